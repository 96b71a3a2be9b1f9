// Package promises_test asks the four questions of an architect of a real app in a process
// of its own: it is loaded, killed, broken and mended, and then everything is counted.
package promises_test

import (
	"math/rand/v2"
	"testing"

	"github.com/perdure/perdure/internal/failpoint"
)

var keys = []string{"k0", "k1", "k2", "k3", "k4", "k5"}

// load is how many events of each key are sent between two kills.
const load = 20

// killAt loads the app until it dies at a point, and lets it handle everything in its
// next life. So no event meets more than two deaths, and none is given up for them.
func (w *world) killAt(point failpoint.Point, nth int) {
	w.t.Helper()
	w.t.Logf("kill at %s:%d", point, nth)
	w.Kill()
	w.startDoomed(point, nth)
	w.send(load, keys...)
	w.died()
	w.start()
	w.allAccepted()
	w.allHandled()
}

// killUnderLoad is killAt when so many more events are accepted.
func (w *world) killUnderLoad(more int) {
	w.t.Helper()
	w.t.Logf("kill after %d events", more)
	at := w.accepted.Load() + int64(more)
	w.send(load, keys...)
	w.until(func() string {
		if w.accepted.Load() < at {
			return "events are not accepted"
		}
		return ""
	})
	w.Kill()
	w.start()
	w.allAccepted()
	w.allHandled()
}

// anyOf returns a number of passings of a point, up to one that each load reaches: there
// are as many groups of commits as a key has events, and as many of the rest as all have.
func anyOf(most int) int { return 1 + rand.IntN(most) }

// TestNothingIsLost: what was accepted is handled, whenever the app dies before that is
// durable.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for point, most := range map[failpoint.Point]int{
		failpoint.CommitterGathered: load, failpoint.UnitSealed: 60, failpoint.DeliveryStarted: 100,
		failpoint.TurnRan: 100, failpoint.ActivityStarted: 100,
	} {
		w.killAt(point, anyOf(most))
		w.killAt(point, anyOf(most))
	}
	w.killUnderLoad(anyOf(load * len(keys)))
	w.killUnderLoad(anyOf(load * len(keys)))
	w.wantTicks()
}

// TestNothingIsDoubled: what took effect takes it once, whenever the app dies after that
// is durable, and also when all requests are sent again.
func TestNothingIsDoubled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for point, most := range map[failpoint.Point]int{
		failpoint.CommitterCommitted: load, failpoint.UnitCommitted: 60, failpoint.DeliveryRan: 100,
		failpoint.EngineCommitted: 100, failpoint.EngineApplied: 100, failpoint.ActivityRan: 100,
	} {
		w.killAt(point, anyOf(most))
		w.killAt(point, anyOf(most))
	}
	w.killUnderLoad(anyOf(load * len(keys)))
	for key, n := range w.expected() {
		for seq := 1; seq <= n; seq++ {
			w.must(w.post(key, seq))
		}
	}
	w.allHandled()
	w.wantOnce()
	w.wantTicks()
}

// TestOrderPerKeyIsKept: one key fails again and again while the app is killed; its events
// stay in their order, and the others go on meanwhile. Each fifth event of them fails too.
func TestOrderPerKeyIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.breaks("k0")
	for range 2 { // a third death would give the event up that fails
		w.Kill()
		w.startDoomed(failpoint.DeliveryRan, load+anyOf(2*load))
		w.send(load, keys...)
		w.died()
		w.start()
		w.allAccepted()
		w.until(func() string { return w.missing(w.report(), keys[1:]...) })
		for _, place := range places {
			if seqs := w.report().Seen[place]["k0"]; len(seqs) > 0 {
				t.Fatalf("the key that fails was handled in %s: %v", place, seqs)
			}
		}
	}
	w.breaks()
	w.allHandled()
	w.killUnderLoad(anyOf(load * len(keys)))
	w.wantOrder()
	w.wantOnce()
}
