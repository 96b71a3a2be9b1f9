package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
)

// A run whose last event ends at the very moment at which its time is over has failed,
// or has not: nothing else happens.
func TestARunThatEndsWithItsTime(t *testing.T) {
	t.Parallel()
	const rounds = 300
	w, clock := newWorld(t)
	w.start(nil, consumer.Group{
		Policy: delivery.Policy{Timeout: time.Minute, Attempts: 1},
		Handle: func(ctx context.Context, e *consumer.Event) error {
			if err := note(ctx, e); err != nil {
				return err
			}
			if e.Key != "quick" {
				clock.Advance(time.Minute)
			}
			return nil
		},
	})
	for i := range rounds {
		w.append(1, "quick=1", fmt.Sprintf("late%d=1", i))
		w.settle()
	}
	w.expect("lag", w.lag(), 0)
	letters := len(w.letters())
	for i := range rounds {
		if w.handled(fmt.Sprintf("late%d", i)) == "" {
			letters--
		}
	}
	w.expect("dead letters that were handled", letters, 0)
}

// What a function was given stays as it is, also when it was given up.
func TestABatchThatTakesTooLongKeepsItsEvents(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	begun, release, seen := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	w.append(1, "a=1", "a=2")
	w.start(nil, consumer.Group{
		Policy: delivery.Policy{Timeout: time.Minute, Attempts: 1},
		HandleBatch: func(ctx context.Context, batch []*consumer.Event) error {
			close(begun)
			<-ctx.Done()
			<-release
			all := ""
			for _, e := range batch {
				if e == nil {
					all += "nothing "
					continue
				}
				all += text(e) + " "
			}
			seen <- all
			return nil
		},
	})
	<-begun
	clock.Advance(time.Minute)
	w.settle()
	close(release)
	w.expect("what the function sees", <-seen, "a=1 a=2 ")
}
