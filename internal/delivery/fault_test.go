package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/storetest"
	"github.com/perdure/perdure/internal/unit"
)

// TestNothingIsLostOrDoneTwiceWhenTheStoreFails publishes events to a function
// and lets the i-th operation of the store fail, for every i. Afterwards the
// store is opened again. Each event that was published must have been handled
// once, or be a dead letter.
func TestNothingIsLostOrDoneTwiceWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []storetest.Fault{storetest.Refuse, storetest.Lose, storetest.Keep} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			storetest.Sweep(t, fault, func(t *testing.T, inject func(store.Store) *storetest.Faulty) {
				synctest.Test(t, func(t *testing.T) { surviveFault(t, inject) })
			})
		})
	}
}

// flaky handles "good" at once, "moody" at the third attempt and "bad" never.
func flaky(ctx context.Context, d *delivery.Delivery) error {
	if err := handle(ctx, d); err != nil {
		return err
	}
	if event := string(d.Event); event == "bad" || event == "moody" && d.Attempts < 2 {
		return errors.New("no")
	}
	return nil
}

func surviveFault(t *testing.T, inject func(store.Store) *storetest.Faulty) {
	inner := memory.New(nil)
	faulty := inject(inner)
	events := []string{"good", "bad", "moody"}
	acknowledged := map[string]bool{}

	broken := life(t, faulty)
	if err := broken.Start(context.Background()); err == nil {
		for _, e := range events {
			err := unit.Run(context.Background(), broken.env, broken.committer, 10, func(ctx context.Context) error {
				u, err := unit.From(ctx)
				if err != nil {
					return err
				}
				return broken.Publish(u, "t", []byte(e))
			})
			acknowledged[e] = err == nil
		}
	}
	broken.pass(time.Hour)
	broken.end()

	w := life(t, inner)
	if err := w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	dead := map[string]int64{}
	for _, l := range w.letters("f") {
		dead[string(l.Event)]++
	}
	for _, e := range events {
		handled := w.handled(e)
		all := handled + dead[e]
		if all > 1 || all == 0 && acknowledged[e] {
			t.Errorf("event %q: handled %d times, %d dead letters, published %v", e, handled, dead[e], acknowledged[e])
		}
		if e == "bad" && handled > 0 || e != "bad" && dead[e] > 0 {
			t.Errorf("event %q: handled %d times, %d dead letters", e, handled, dead[e])
		}
	}
	want := ""
	if dead["bad"] > 0 {
		want = "f/attempts-exhausted: 1, "
	}
	w.expect("count", w.count(""), want)
	w.expect("stored", w.stored("f"), 0)
	w.end()
	if err := inner.Close(); err != nil {
		t.Error(err)
	}
}

// life is one life of a process on a store.
func life(t *testing.T, s store.Store) *world {
	w := &world{t: t, store: s, log: &logBuffer{}}
	w.env = &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
	w.committer = store.NewCommitter(s, store.CommitterOptions{})
	d, err := delivery.New(delivery.Config{
		Env: w.env, Committer: w.committer, Log: w.logger(),
		SweepEvery: 20 * time.Minute, // a few, each of them an operation to fail
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Register(delivery.Function{Name: "f", Topics: []string{"t"}, Handle: flaky}); err != nil {
		t.Fatal(err)
	}
	w.Dispatcher = d
	return w
}

// pass lets time pass, in a bubble.
func (w *world) pass(d time.Duration) { <-time.After(d) }

// end ends a life in order.
func (w *world) end() {
	if err := w.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
	w.committer.Close()
}

// TestConcurrentPublishers publishes from several goroutines while functions run,
// with a memory that is much too small.
func TestConcurrentPublishers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(c *delivery.Config) { c.Window = 4 },
		delivery.Function{Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Concurrency: 3}, Handle: handle})
	const publishers, events = 4, 100
	done := make(chan struct{})
	for p := range publishers {
		go func() {
			for e := range events {
				w.publish("t", fmt.Sprintf("%d/%d", p, e))
			}
			done <- struct{}{}
		}()
	}
	for range publishers {
		<-done
	}
	w.settle()
	for p := range publishers {
		for e := range events {
			if n := w.handled(fmt.Sprintf("%d/%d", p, e)); n != 1 {
				t.Fatalf("event %d of publisher %d handled %d times", e, p, n)
			}
		}
	}
}
