package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/delivery"
)

func TestRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var runs atomic.Int64
	w.start(nil, delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Rate: delivery.Rate{PerSecond: 10, Burst: 5}},
		Handle: func(context.Context, *delivery.Delivery) error {
			runs.Add(1)
			return nil
		},
	})
	w.publish("t", make([]string, 100)...)
	at := func(passed time.Duration, want int64) {
		t.Helper()
		for end := noon.Add(passed); w.clock.Now().Before(end); w.settle() { // runs need time as well
			next := w.clock.Now().Add(50 * time.Millisecond)
			if next.After(end) {
				next = end
			}
			w.clock.AdvanceTo(next)
		}
		w.settle()
		if n := runs.Load(); n != want {
			t.Errorf("%d runs after %v, want %d", n, passed, want)
		}
	}
	at(0, 5)
	at(99*time.Millisecond, 5)
	at(101*time.Millisecond, 6)
	at(time.Second+time.Millisecond, 15)
	at(8*time.Second+time.Millisecond, 85)
	at(20*time.Second, 100)
	w.publish("t", make([]string, 20)...) // after a rest
	at(20*time.Second, 105)
}

func TestBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var (
		runs atomic.Int64
		up   atomic.Bool
	)
	w.start(func(c *delivery.Config) { c.SweepEvery = 24 * time.Hour }, delivery.Function{
		Name: "f", Topics: []string{"t"},
		Policy: delivery.Policy{
			Concurrency: 1, Attempts: 100, Backoff: delivery.Backoff{Initial: time.Millisecond, Max: time.Millisecond},
			Break: delivery.Break{After: 3, Pause: time.Minute},
		},
		Handle: func(_ context.Context, d *delivery.Delivery) error {
			runs.Add(1)
			switch {
			case string(d.Event) == "bad":
				return delivery.Permanent(errors.New("bad"))
			case up.Load():
				return nil
			}
			return errors.New("down")
		},
	})
	at := func(passed time.Duration, want int64) {
		t.Helper()
		w.clock.AdvanceTo(noon.Add(passed))
		w.settle()
		if n := runs.Load(); n != want {
			t.Errorf("%d runs after %v, want %d", n, passed, want)
		}
	}
	w.settle()
	w.publish("t", "bad", "bad", "bad") // these say nothing of the function
	at(0, 3)
	w.publish("t", make([]string, 10)...)
	at(0, 6)
	w.publish("t", "more")
	at(59*time.Second, 6)
	at(61*time.Second, 7) // one trial
	up.Store(true)
	at(3*time.Minute, 7+11)
	state, err := w.States()
	if err != nil || len(state) != 1 || !state[0].PausedUntil.IsZero() || state[0].Failures != 0 {
		t.Errorf("state %+v, %v", state, err)
	}
	for _, want := range []string{"pauses after failures in a row", "goes on after its pause"} {
		if log := w.log.String(); !strings.Contains(log, want) {
			t.Errorf("log without %q:\n%s", want, log)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(c *delivery.Config) { c.SweepEvery = 24 * time.Hour }, delivery.Function{
		Name: "f", Topics: []string{"t"},
		Policy: delivery.Policy{Attempts: 1, Concurrency: 1, Break: delivery.Break{After: 2, Pause: time.Minute}},
		Handle: func(context.Context, *delivery.Delivery) error { return errors.New("down") },
	})
	w.settle()
	w.send("a", "1")
	w.settle()
	w.send("b", "1")
	w.settle()
	w.send("a", "2")
	w.clock.Advance(time.Second)
	states, err := w.States()
	want := fmt.Sprint([]delivery.State{{
		Function: "f", Depth: 1, HeldLanes: 2, DeadLetters: 2, Oldest: noon, Failures: 2, PausedUntil: noon.Add(time.Minute),
	}})
	if err != nil || len(states) != 1 {
		t.Fatal(states, err)
	}
	states[0].Oldest = states[0].Oldest.Truncate(time.Second) // ids are made unique
	w.expect("states", states, want)
}

func TestExtend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type call struct {
		ctx  context.Context
		done chan error
	}
	calls := make(chan call)
	w.start(func(c *delivery.Config) { c.SweepEvery = 24 * time.Hour }, delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Timeout: time.Minute, Attempts: 1},
		Handle: func(ctx context.Context, _ *delivery.Delivery) error {
			c := call{ctx, make(chan error)}
			calls <- c
			return <-c.done
		},
	})
	w.publish("t", "long")
	c := <-calls
	w.wait(2) // its timeout and the sweep
	w.clock.Advance(50 * time.Second)
	if err := delivery.Extend(c.ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(59 * time.Minute)
	if err := c.ctx.Err(); err != nil {
		t.Fatalf("the run ended before its time: %v", err)
	}
	if err := delivery.Extend(c.ctx, 0); err == nil || errors.Is(err, delivery.ErrNoLease) {
		t.Errorf("extended by nothing: %v", err)
	}
	w.clock.Advance(2 * time.Minute)
	<-c.ctx.Done()
	if err := delivery.Extend(c.ctx, time.Hour); !errors.Is(err, delivery.ErrNoLease) {
		t.Errorf("extended after its time: %v", err)
	}
	c.done <- nil
	w.settle()
	w.expect("failure", w.letters("f")[0].LastError(), "perdure: function ran out of time after 1h0m50s")
	if err := delivery.Extend(t.Context(), time.Hour); !errors.Is(err, delivery.ErrNoLease) {
		t.Errorf("extended what does not run: %v", err)
	}
}
