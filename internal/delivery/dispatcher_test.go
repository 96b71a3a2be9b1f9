package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

func TestEventReachesEachFunctionOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got *delivery.Delivery
	w.start(nil,
		delivery.Function{Name: "one", Topics: []string{"blob/files"}, Handle: func(ctx context.Context, d *delivery.Delivery) error {
			got = d
			return handle(ctx, d)
		}},
		delivery.Function{Name: "two", Topics: []string{"blob/files", "blob/other", "blob/files"}, Handle: handle},
		delivery.Function{Name: "picky", Topics: []string{"blob/files"}, Handle: handle,
			Accepts: func(topic string, event []byte) bool { return string(event) == "other" }},
		delivery.Function{Name: "deaf", Handle: handle},
	)
	w.unit(func(u *unit.Unit) error {
		return w.PublishWith(u, "blob/files", []byte("event"), map[string]string{"traceparent": "00-1"})
	})
	w.publish("blob/nobody", "lost")
	w.settle()
	w.expect("handled", w.handled("event"), 2)
	w.expect("handled without a function", w.handled("lost"), 0)
	for _, f := range []string{"one", "two", "picky", "deaf"} {
		w.expect("stored for "+f, w.stored(f), 0)
	}
	if got.Topic != "blob/files" || got.Function != "one" || got.Headers["traceparent"] != "00-1" || !got.EnqueuedAt.Equal(noon) {
		t.Errorf("delivery %+v", got)
	}
}

func TestNothingRunsBeforeTheCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{Name: "f", Topics: []string{"t"}, Handle: handle})
	u := unit.New(w.env)
	if err := w.Publish(u, "t", []byte("discarded")); err != nil {
		t.Fatal(err)
	}
	u.Discarded()
	w.settle()
	w.expect("handled", w.handled("discarded"), 0)
	if err := w.Publish(u, "t", []byte("late")); !errors.Is(err, unit.ErrUnitClosed) {
		t.Errorf("publishing in a unit that has ended: %v", err)
	}
}

func TestFailuresAreRetriedAcrossRestartsThenDeadLettered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var attempts atomic.Int64
	f := delivery.Function{
		Name: "f", Topics: []string{"t"},
		Policy: delivery.Policy{Attempts: 3, Backoff: delivery.Backoff{Initial: time.Minute, Multiplier: 10}},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			n := attempts.Add(1)
			w.expect("attempts so far", d.Attempts, n-1)
			if err := handle(ctx, d); err != nil {
				return err
			}
			return fmt.Errorf("failure %d", n)
		},
	}
	alerts := make(chan delivery.DeadLetter, 1)
	hook := func(c *delivery.Config) {
		c.SweepEvery = 24 * time.Hour
		c.OnDeadLetter = func(l delivery.DeadLetter) {
			alerts <- l
			panic("a hook that panics harms nobody")
		}
	}
	w.start(hook, f)
	w.publish("t", "secret-bytes")
	w.settle()
	w.expect("attempts", attempts.Load(), 1)
	w.clock.Advance(29 * time.Second)
	w.settle()
	w.expect("attempts before the wait is over", attempts.Load(), 1)
	w.clock.Advance(31 * time.Second)
	w.settle()
	w.expect("attempts after one minute", attempts.Load(), 2)

	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start(hook, f)
	w.settle()
	w.expect("attempts after the restart", attempts.Load(), 2)
	w.expect("stored", w.stored("f"), 1)
	w.clock.Advance(5 * time.Minute) // ten, bounded by Max
	w.settle()
	w.expect("attempts", attempts.Load(), 3)
	w.expect("stored", w.stored("f"), 0)
	w.expect("handled", w.handled("secret-bytes"), 0)

	alert := <-alerts
	letters := w.letters("f")
	if len(letters) != 1 || letters[0].ID != alert.ID {
		t.Fatalf("letters %+v, alert %+v", letters, alert)
	}
	l := letters[0]
	w.expect("cause", l.Cause, records.AttemptsExhausted)
	w.expect("reason", l.Reason, "3 attempts failed, the last one: failure 3")
	w.expect("event", string(l.Event), "secret-bytes")
	if l.DeadAt.Before(noon.Add(time.Minute)) || l.DeadAt.After(w.clock.Now()) {
		t.Errorf("dead at %v", l.DeadAt)
	}
	var history []string
	for _, f := range l.Failures {
		history = append(history, f.Error)
	}
	w.expect("history", history, []string{"failure 1", "failure 2", "failure 3"})
	if log := w.log.String(); strings.Contains(log, "secret-bytes") || !strings.Contains(log, l.ID.String()) {
		t.Errorf("log shows the event or not its id:\n%s", log)
	}
}

func TestPermanentErrorsAreNotRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cause := errors.New("no such file type")
	w.start(nil, delivery.Function{Name: "f", Topics: []string{"t"}, Handle: func(context.Context, *delivery.Delivery) error {
		return fmt.Errorf("analysis: %w", delivery.Permanent(cause))
	}})
	w.publish("t", "event")
	w.settle()
	letters := w.letters("f")
	if len(letters) != 1 || letters[0].Cause != records.PermanentError || letters[0].Reason != "analysis: no such file type" {
		t.Errorf("letters %+v", letters)
	}
	if delivery.Permanent(nil) != nil || !errors.Is(delivery.Permanent(cause), cause) || delivery.IsPermanent(cause) {
		t.Error("Permanent does not wrap as it says")
	}
}

func TestPanicAndGoexitAreFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Attempts: 1},
		Handle: func(_ context.Context, d *delivery.Delivery) error {
			if string(d.Event) == "exit" {
				runtime.Goexit()
			}
			panic("at the disco")
		},
	})
	w.publish("t", "panic")
	w.publish("t", "exit")
	w.settle()
	letters := w.letters("f")
	if len(letters) != 2 {
		t.Fatalf("letters %+v", letters)
	}
	w.expect("first", letters[0].LastError(), "panic: at the disco")
	w.expect("second", letters[1].LastError(), "perdure: function called runtime.Goexit")
	if log := w.log.String(); !strings.Contains(log, "TestPanicAndGoexitAreFailures") {
		t.Errorf("no stack in the log:\n%s", log)
	}
}

func TestRunThatTimesOutCannotCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type call struct {
		ctx  context.Context
		d    *delivery.Delivery
		done chan error
	}
	calls := make(chan call)
	closed := make(chan error, 3) // what the context said when the unit was closed
	w.start(func(c *delivery.Config) { c.SweepEvery = time.Hour }, delivery.Function{
		Name: "f", Topics: []string{"t"},
		Policy: delivery.Policy{Timeout: time.Minute, Concurrency: 1, Backoff: delivery.Backoff{Initial: time.Second}},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			u.OnDiscard(func() { closed <- ctx.Err() })
			c := call{ctx, d, make(chan error)}
			calls <- c
			return <-c.done
		},
	})
	w.publish("t", "slow")
	first := <-calls
	w.wait(2) // its timeout and the sweep
	w.clock.Advance(time.Minute)
	<-first.ctx.Done()
	if err := <-closed; err != nil {
		t.Error("the function saw its context end before its unit was closed")
	}
	if cause := context.Cause(first.ctx); !errors.Is(cause, delivery.ErrTimeout) {
		t.Errorf("cause %v", cause)
	}
	if err := handle(first.ctx, first.d); !errors.Is(err, unit.ErrUnitClosed) {
		t.Errorf("the unit of a run that timed out answers %v", err)
	}
	w.settle()
	w.clock.Advance(time.Second)
	second := <-calls // beside the first, which goes on
	w.expect("attempts", second.d.Attempts, 1)
	// Now as many were given up as may run: the third has to wait for one.
	w.wait(2)
	w.clock.Advance(time.Minute)
	<-second.ctx.Done()
	w.settle()
	w.clock.Advance(10 * time.Second) // due, but it stays where it is
	w.expect("waiting", w.InMemory("f"), 1)
	first.done <- nil // too late to commit
	third := <-calls
	w.expect("handled by late ones", w.handled("slow"), 0)
	if err := handle(third.ctx, third.d); err != nil {
		t.Error(err)
	}
	second.done <- nil
	third.done <- nil
	w.settle()
	w.expect("handled", w.handled("slow"), 1)
	w.expect("stored", w.stored("f"), 0)
}

// wait waits until timers are set.
func (w *world) wait(timers int) {
	w.t.Helper()
	if err := w.clock.WaitTimers(w.t.Context(), timers); err != nil {
		w.t.Fatal(err)
	}
}

func TestConflictsAreNotAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shared := []byte("shared")
	ran := make(chan int, 100)
	conflicts := 3
	f := delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Attempts: 1, Timeout: -1},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			if _, err := u.Get(shared); err != nil {
				return err
			}
			if conflicts--; conflicts >= 0 { // another is quicker
				w.unit(func(u *unit.Unit) error { return u.Put(shared, fmt.Append(nil, conflicts)) })
			}
			ran <- d.Attempts
			return handle(ctx, d)
		},
	}
	backOff := func() {
		w.wait(2) // the backoff and the sweep
		next, _ := w.clock.Next()
		w.clock.AdvanceTo(next)
	}
	w.start(nil, f)
	w.publish("t", "event")
	for range 3 {
		w.expect("attempts", <-ran, 0)
		backOff()
	}
	w.expect("attempts", <-ran, 0)
	w.settle()
	w.expect("handled", w.handled("event"), 1)

	conflicts = 1000
	w.publish("t", "hopeless")
	for range 20 {
		<-ran
		backOff()
	}
	w.settle()
	if letters := w.letters("f"); len(letters) != 1 || !strings.Contains(letters[0].LastError(), unit.ErrConflict.Error()) {
		t.Errorf("letters %+v", letters)
	}
}

func TestOrderOfArrivalWithLittleMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const events, window = 500, 8
	var (
		mu   sync.Mutex
		seen []string
		most int
	)
	f := delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Concurrency: 1},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, string(d.Event))
			most = max(most, w.InMemory("f"))
			return handle(ctx, d)
		},
	}
	hold, holds := f, make(chan struct{})
	hold.Handle = func(ctx context.Context, _ *delivery.Delivery) error {
		close(holds)
		<-ctx.Done()
		return ctx.Err()
	}
	little := func(c *delivery.Config) { c.Window = window }
	w.start(little, hold)
	var want []string
	for i := range events {
		want = append(want, fmt.Sprint(i))
	}
	w.publish("t", want[:events/2]...)
	<-holds
	stopAtOnce, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Stop(stopAtOnce); err == nil {
		t.Error("Stop says nothing of the run that it cut short")
	}
	w.clock.Advance(time.Second)
	w.start(little, f)
	for _, e := range want[events/2:] { // while the others are handled
		w.publish("t", e)
	}
	w.settle()
	if !slices.Equal(seen, want) {
		t.Errorf("handled %d in the order %v", len(seen), seen)
	}
	if most > window {
		t.Errorf("%d deliveries in memory, want at most %d", most, window)
	}
	for _, e := range want {
		if n := w.handled(e); n != 1 {
			t.Errorf("event %s handled %d times", e, n)
		}
	}
}

func TestFunctionsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var (
		mu   sync.Mutex
		seen []string
	)
	gate := make(chan struct{})
	note := func(_ context.Context, d *delivery.Delivery) error {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, d.Function)
		return nil
	}
	w.start(func(c *delivery.Config) { c.MaxRunning = 1 },
		delivery.Function{Name: "busy", Topics: []string{"many"}, Handle: note},
		delivery.Function{Name: "calm", Topics: []string{"few"}, Handle: note},
	)
	w.settle()
	w.publish("many", make([]string, 20)...)
	w.publish("few", make([]string, 2)...)
	close(gate)
	w.settle()
	if last := slices.Index(seen, "calm"); last > 2 {
		t.Errorf("order %v", seen)
	}
	w.expect("runs", len(seen), 22)
}

func TestSweepFindsWhatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{Name: "f", Topics: []string{"t"}, Handle: handle})
	w.settle()
	w.unit(func(u *unit.Unit) error { // without a dispatcher: nobody is told
		return records.PutDelivery(u, &delivery.Delivery{Function: "f", ID: delivery.ID{1}, Event: []byte("event")})
	})
	w.settle()
	w.expect("handled", w.handled("event"), 0)
	w.clock.Advance(time.Minute)
	w.settle()
	w.expect("handled", w.handled("event"), 1)
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	running, release := make(chan struct{}), make(chan struct{})
	f := delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Concurrency: 1},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			if string(d.Event) == "first" {
				close(running)
				<-release
			}
			return handle(ctx, d)
		},
	}
	w.start(nil, f)
	w.publish("t", "first", "second")
	<-running
	stopped := make(chan error)
	deadline := watched{Context: context.Background(), asked: make(chan struct{})}
	go func() { stopped <- w.Stop(deadline) }()
	<-deadline.asked // by Stop, which waits now
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a function runs: %v", err)
	case release <- struct{}{}:
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	w.expect("first", w.handled("first"), 1)
	w.expect("second", w.handled("second"), 0)
	w.start(nil, f)
	w.settle()
	w.expect("second after the restart", w.handled("second"), 1)
}

// watched is a context that tells when someone begins to wait for its end.
type watched struct {
	context.Context
	asked chan struct{}
}

func (w watched) Done() <-chan struct{} {
	close(w.asked)
	return w.Context.Done()
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, err := delivery.New(delivery.Config{Env: w.env, Committer: w.committer})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Register(delivery.Function{Name: "f", Handle: handle}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []delivery.Function{
		{Handle: handle},
		{Name: strings.Repeat("x", 257), Handle: handle},
		{Name: "g"},
		{Name: "f", Handle: handle},
	} {
		if err := d.Register(f); !errors.Is(err, delivery.ErrBadFunction) {
			t.Errorf("%q: %v", f.Name, err)
		}
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Errorf("Stop before Start: %v", err)
	}
	if err := d.Start(t.Context()); err == nil {
		t.Error("started after Stop")
	}
	if err := d.Register(delivery.Function{Name: "late", Handle: handle}); !errors.Is(err, delivery.ErrBadFunction) {
		t.Errorf("late: %v", err)
	}
}

func TestUnreadableDeliveriesHarmNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.unit(func(u *unit.Unit) error {
		return records.PutDelivery(u, &delivery.Delivery{Function: "f", ID: delivery.ID{1}})
	})
	w.unit(func(u *unit.Unit) error { // as a newer release would write it
		return u.Scan(store.Range{}, func(it store.Item) bool {
			return u.Put(it.Key, []byte{0xfe}) == nil
		})
	})
	w.start(nil, delivery.Function{Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Concurrency: 1}, Handle: handle})
	w.publish("t", "event")
	w.settle()
	w.expect("handled", w.handled("event"), 1)
	w.expect("stored", w.stored("f"), 1)
	if log := w.log.String(); !strings.Contains(log, "cannot be read") {
		t.Errorf("log: %s", log)
	}
}

func TestOrphansAreLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.unit(func(u *unit.Unit) error {
		return records.PutDelivery(u, &delivery.Delivery{Function: "renamed", ID: delivery.ID{1}})
	})
	w.start(nil)
	if log := w.log.String(); !strings.Contains(log, "function=renamed") {
		t.Errorf("log: %s", log)
	}
}

func TestBackoffBounds(t *testing.T) {
	t.Parallel()
	p := delivery.Policy{Backoff: delivery.Backoff{Initial: time.Second, Max: time.Minute, Multiplier: 3}}
	for failed, full := range map[int]time.Duration{1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 5: time.Minute, 5000: time.Minute} {
		for range 100 {
			if d := p.Delay(failed); d < full/2 || d > full {
				t.Fatalf("after %d failures %v, want %v to %v", failed, d, full/2, full)
			}
		}
	}
}
