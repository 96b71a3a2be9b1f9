package audit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *audit.Options) { o.Retention = time.Hour })
	w.noteMany(t, audit.RetireBatch+3)
	old := w.head(t)
	w.Clock.Advance(2 * time.Hour)
	w.noteMany(t, 4)
	kept := w.head(t)
	if err := w.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.all(t, audit.Filter{}); len(got) != 4 || got[0].Position != audit.RetireBatch+4 {
		t.Fatalf("%d entries are left", len(got))
	}
	w.noteMany(t, 1)
	report, err := w.Verify(t.Context(), kept, w.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Nodes[0]; r.Removed != audit.RetireBatch+3 || r.Entries != 4 || r.Unlinked != 1 || r.Head != kept.Position {
		t.Errorf("report %+v", r)
	}
	if _, err := w.Verify(t.Context(), old, w.PublicKey()); err != nil {
		t.Errorf("a checkpoint of the very end of what was removed: %v", err)
	}
	// All goes, and the chain goes on.
	w.Clock.Advance(2 * time.Hour)
	w.sync(t)
	if err := w.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(t.Context(), old, w.PublicKey()); !errors.Is(err, audit.ErrOldHead) {
		t.Errorf("a checkpoint of what was removed: %v", err)
	}
	w.note(t, user("ada"), operation(model.OpGet, "x"))
	report, err = w.Verify(t.Context(), w.head(t), w.PublicKey())
	if err != nil || report.Nodes[0].Entries != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
