package consumer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
)

func TestTheRateOfAGroup(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]consumer.Group{
		"events":  {Handle: note},
		"batches": {HandleBatch: noteAll, Batch: consumer.Batch{Size: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, clock := newWorld(t)
			w.append(1, "a=1", "a=2", "a=3", "a=4", "a=5")
			g.Policy.Rate = delivery.Rate{PerSecond: 2, Burst: 2}
			w.start(nil, g)
			w.settle()
			w.expect("at once", w.handled("a"), "a=1 a=2")
			clock.Advance(499 * time.Millisecond)
			w.settle()
			w.expect("before its turn", w.handled("a"), "a=1 a=2")
			clock.Advance(time.Millisecond)
			w.settle()
			w.expect("after half a second", w.handled("a"), "a=1 a=2 a=3")
			for range 3 {
				clock.Advance(500 * time.Millisecond)
				w.settle()
			}
			w.expect("after two seconds", w.handled("a"), "a=1 a=2 a=3 a=4 a=5")
		})
	}
}

// A function that fails again and again pauses, so that not every event uses up an
// attempt; then one event tries whether it works again.
func TestAGroupPausesAfterFailures(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	down := map[string]int{}
	var events []string
	for _, k := range []string{"a", "b", "c", "d", "e", "f"} {
		events = append(events, k+"=1")
		down[k+"=1"] = 1
	}
	down["e=1"], down["f=1"] = 0, 0
	f := fails(down)
	w.append(1, events...)
	w.start(nil, consumer.Group{Handle: f.handle, Policy: delivery.Policy{
		Break: delivery.Break{After: 3, Pause: time.Minute}, Backoff: delivery.Backoff{Initial: time.Hour, Max: time.Hour},
	}})
	w.settle()
	w.expect("runs of d", f.runs["d=1"], 0)
	w.expect("lag", w.lag(), 3)
	if log := w.log.String(); !strings.Contains(log, "a function pauses after failures in a row") {
		t.Errorf("the log does not tell of the pause: %s", log)
	}
	clock.Advance(time.Minute)
	w.settle()
	w.expect("runs of d", f.runs["d=1"], 1)
	w.expect("runs of e during the second pause", f.runs["e=1"], 0)
	clock.Advance(time.Minute)
	w.settle()
	w.expect("lag", w.lag(), 0)
	w.expect("e", w.handled("e"), "e=1")
}

// What an event itself is at fault for says nothing of the function.
func TestPermanentErrorsDoNotPauseAGroup(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.append(1, "a=1", "b=1", "c=1")
	w.start(nil, consumer.Group{
		Handle: func(context.Context, *consumer.Event) error { return delivery.Permanent(errMoody) },
		Policy: delivery.Policy{Break: delivery.Break{After: 1, Pause: time.Minute}},
	})
	w.settle()
	w.expect("dead letters", w.letters(), "[a=1 b=1 c=1]")
}
