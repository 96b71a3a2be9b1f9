package windows_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/window"
)

// All partitions are fed at once while windows close: every event counts once, few
// batches run again, and nothing is left.
func TestPartitionsAtOnce(t *testing.T) {
	t.Parallel()
	const perPartition, batch = 5000, 50
	w := newWorld(t, window.Tumbling(5*second, eventTime, window.OutOfOrder(0)), func(c *config) { c.Clock = clock.System() })
	defer w.end()
	w.env.Now = clock.System().Now
	for p := range partitions {
		var visits []visit
		for i := range perPartition {
			// Two in a hundred are late, unless another partition is slower.
			at := int64(i / 10)
			if i%50 == 0 {
				at -= 30
			}
			visits = append(visits, visit{Who: fmt.Sprint(i % 7), At: at - 100_000})
		}
		w.append(p, visits...)
	}
	var wait sync.WaitGroup
	for p := range partitions {
		wait.Go(func() {
			for {
				n, err := w.feed(p, batch)
				switch {
				case errors.Is(err, unit.ErrConflict) || errors.Is(err, store.ErrConflict):
					t.Errorf("a batch kept conflicting: %v", err)
					return
				case err != nil:
					t.Error(err)
					return
				case n == 0:
					return
				}
			}
		})
	}
	wait.Wait()
	w.f.Look()
	w.settle()
	const batches = partitions * perPartition / batch
	if n := w.conflicts.Load(); n > batches/2 {
		t.Errorf("%d conflicts of %d batches", n, batches)
	}
	sum := w.late()
	for _, r := range w.results() {
		sum += r.Value
	}
	open := 0
	for _, n := range w.openCounts() {
		open += n
	}
	if sum+open != partitions*perPartition {
		t.Errorf("%d events in results or late, %d in open windows, want %d", sum, open, partitions*perPartition)
	}
	t.Logf("%d results, %d late, %d in open windows, %d conflicts of %d batches", len(w.results()), w.late(), open, w.conflicts.Load(), batches)
}
