package records_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
)

// TestBusyMark follows the mark of an instance through its states.
func TestBusyMark(t *testing.T) {
	t.Parallel()
	s := memory.New(nil)
	defer s.Close()
	in := &records.Instance{ID: "a", Name: "n", State: records.Running, Created: time.Unix(7, 0).UTC()}
	other := &records.Instance{ID: "b", Name: "n", State: records.Running, Created: time.Unix(6, 0).UTC()}
	steps := []struct {
		what   string
		change func(txn *store.Txn)
		busy   []records.InstanceKey
	}{
		{"two are created, one of them busy", func(txn *store.Txn) {
			records.CreateInstance(txn, 1, in, true)
			records.CreateInstance(txn, 2, other, false)
		}, []records.InstanceKey{1}},
		{"both are busy", func(txn *store.Txn) { records.MarkInstance(txn, 2, other, true) }, []records.InstanceKey{2, 1}},
		{"one is suspended", func(txn *store.Txn) {
			in.State = records.Suspended
			records.UnlistInstance(txn, 1, in, records.Running)
			records.MarkInstance(txn, 1, in, true)
			records.PutInstance(txn, 1, in)
		}, []records.InstanceKey{2, 1}},
		{"the other rests", func(txn *store.Txn) { records.MarkInstance(txn, 2, other, false) }, []records.InstanceKey{1}},
		{"one has ended", func(txn *store.Txn) {
			in.State = records.Completed
			records.UnlistInstance(txn, 1, in, records.Suspended)
			records.MarkInstance(txn, 1, in, false)
		}, nil},
	}
	for _, step := range steps {
		txn := &store.Txn{}
		step.change(txn)
		if verdicts, err := s.Commit(context.Background(), []*store.Txn{txn}); err != nil || verdicts[0] != nil {
			t.Fatal(err, verdicts)
		}
		snap, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		var found []records.InstanceKey
		if err := records.BusyInstances(snap, func(k records.InstanceKey) bool {
			found = append(found, k)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		busy, err := records.IsBusy(snap, 1, in)
		if !slices.Equal(found, step.busy) || busy != slices.Contains(step.busy, 1) || err != nil {
			t.Errorf("%s: busy are %v, want %v; %v, %v", step.what, found, step.busy, busy, err)
		}
		_ = snap.Close()
	}
}
