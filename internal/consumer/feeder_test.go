package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestEventsAreHandledOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.append(3, "a=1", "b=1", "a=2")
	g := consumer.Group{Partitions: 3, Handle: note}
	w.start(nil, g)
	w.append(3, "a=3", "c=1")
	w.append(3, "b=2")
	w.settle()
	w.expect("a", w.handled("a"), "a=1 a=2 a=3")
	w.expect("b", w.handled("b"), "b=1 b=2")
	w.expect("c", w.handled("c"), "c=1")
	w.expect("lag", w.lag(), 0)
	w.restart(g)
	w.append(3, "a=4")
	w.settle()
	w.expect("after a restart", w.handled("a"), "a=1 a=2 a=3 a=4")
}

func TestManyEventsShareACommit(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	var events []string
	for i := range 3000 {
		events = append(events, fmt.Sprintf("k=%d", i))
	}
	w.append(1, events...)
	var runs atomic.Int64
	w.prepare(nil, consumer.Group{Handle: func(context.Context, *consumer.Event) error { runs.Add(1); return nil }})
	before := w.committer.Stats().Transactions
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if commits := w.committer.Stats().Transactions - before; runs.Load() != 3000 || commits > 10 {
		t.Errorf("%d runs in %d commits", runs.Load(), commits)
	}
	if err := w.end(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSeveralGroupsReadAll(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	count := func(name string) consumer.Group {
		return consumer.Group{Function: name, Handle: func(ctx context.Context, e *consumer.Event) error {
			u, err := unit.From(ctx)
			return errors.Join(err, u.Append([]byte("handled/"+name), e.Data))
		}}
	}
	w.append(1, "a=1")
	w.start(nil, count("f"), count("g"))
	w.append(1, "a=2")
	w.settle()
	w.unit(func(u *unit.Unit) error {
		f, err := u.Peek([]byte("handled/f"))
		g, err2 := u.Peek([]byte("handled/g"))
		if string(f) != string(g) || len(f) == 0 || f[7] != 2 {
			t.Errorf("f handled %v, g %v", f, g)
		}
		return errors.Join(err, err2)
	})
}

// A failure undoes nothing of its neighbours, and nothing is handled twice.
func TestAFailureLeavesItsNeighboursAlone(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	var events []string
	for i := range 100 {
		events = append(events, fmt.Sprintf("k%d=%d", i%10, i))
	}
	w.append(1, events...)
	f := fails(map[string]int{"k3=3": 2, "k3=13": 2, "k7=57": 2, "k9=99": 3})
	w.start(nil, consumer.Group{Handle: f.handle})
	w.settle()
	w.expect("of k0", len(strings.Fields(w.handled("k0"))), 10)
	w.expect("of k3, which is held", w.handled("k3"), "")
	w.expect("of k7 before it failed", len(strings.Fields(w.handled("k7"))), 5)
	w.expect("lag", w.lag(), 0)
	for range 10 {
		clock.Advance(time.Minute)
		w.settle()
	}
	for k := range 10 {
		var want []string
		for i := k; i < 100; i += 10 {
			want = append(want, fmt.Sprintf("k%d=%d", k, i))
		}
		w.expect(fmt.Sprint("k", k), w.handled(fmt.Sprint("k", k)), strings.Join(want, " "))
	}
}

// While something of a key waits, later events of the key wait behind it; when it was
// handled, the next ones are handled from the stream again.
func TestAHeldKeyGoesOnInOrder(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	f := fails(map[string]int{"a=1": 1})
	w.start(nil, consumer.Group{Handle: f.handle})
	w.append(1, "a=1")
	w.settle()
	w.append(1, "a=2", "b=1")
	w.settle()
	w.expect("a", w.handled("a"), "")
	w.expect("b", w.handled("b"), "b=1")
	clock.Advance(time.Minute)
	w.settle()
	w.append(1, "a=3")
	w.settle()
	w.expect("a", w.handled("a"), "a=1 a=2 a=3")
	w.expect("runs of a=3", f.runs["a=3"], 1)
}

func TestADeadLetterHoldsItsKey(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	broken := atomic.Bool{}
	broken.Store(true)
	handle := func(ctx context.Context, e *consumer.Event) error {
		if text(e) == "a=1" && broken.Load() {
			return delivery.Permanent(errMoody)
		}
		return note(ctx, e)
	}
	w.start(nil, consumer.Group{Handle: handle})
	w.append(1, "a=1", "a=2", "b=1")
	w.settle()
	w.append(1, "a=3", "b=2")
	w.settle()
	w.expect("a", w.handled("a"), "")
	w.expect("b", w.handled("b"), "b=1 b=2")
	w.expect("dead letters", w.letters(), "[a=1]")
	letters, _, err := w.dispatcher.DeadLetters("f", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w.expect("attempts", letters[0].Attempts, 1)
	broken.Store(false)
	if err := w.dispatcher.Resend(context.Background(), "f", letters[0].ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.append(1, "a=4")
	w.settle()
	w.expect("a after it was sent again", w.handled("a"), "a=1 a=2 a=3 a=4")
}

func TestDeadLettersThatAreSkippedHoldNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	f := fails(map[string]int{"a=1": 100})
	w.start(nil, consumer.Group{Handle: f.handle, Policy: delivery.Policy{Attempts: 1, SkipDeadLetters: true}})
	w.append(1, "a=1", "a=2")
	w.settle()
	w.expect("a", w.handled("a"), "a=2")
	w.expect("dead letters", w.letters(), "[a=1]")
}

func TestEventsWithoutAKeyDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	f := fails(map[string]int{"=1": 100})
	w.start(nil, consumer.Group{Handle: f.handle})
	w.append(1, "=1", "=2", "=3")
	w.settle()
	w.expect("without a key", w.handled(""), "=2 =3")
}

func TestHowRunsFail(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ctx context.Context) error{
		"panic":  func(context.Context) error { panic("boom") },
		"goexit": func(context.Context) error { runtime.Goexit(); return nil },
		"error":  func(context.Context) error { return errMoody },
		"size": func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			_ = u.Put([]byte("large"), make([]byte, unit.MaxBytes))
			return nil // the unit has failed all the same
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t)
			w.append(1, "a=1", "b=1", "bad=1", "c=1", "bad=2", "d=1")
			w.start(nil, consumer.Group{
				Policy: delivery.Policy{Attempts: 1},
				Handle: func(ctx context.Context, e *consumer.Event) error {
					if err := note(ctx, e); err != nil || text(e) != "bad=1" {
						return err
					}
					return fail(ctx)
				},
			})
			w.settle()
			for _, key := range []string{"a", "b", "c", "d"} {
				w.expect(key, w.handled(key), key+"=1")
			}
			w.expect("bad", w.handled("bad"), "")
			w.expect("dead letters", w.letters(), "[bad=1]")
		})
	}
}

func TestARunThatTakesTooLongCannotCommit(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	release, stuck := make(chan struct{}), make(chan error, 1)
	begun := make(chan struct{}, 2)
	w.append(1, "a=1", "slow=1", "b=1")
	var runs atomic.Int64
	w.start(nil, consumer.Group{
		Policy: delivery.Policy{Timeout: time.Minute, Attempts: 1},
		Handle: func(ctx context.Context, e *consumer.Event) error {
			if text(e) == "slow=1" {
				begun <- struct{}{}
				if runs.Add(1) == 2 {
					<-ctx.Done()
					<-release
					stuck <- note(ctx, e)
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
			return note(ctx, e)
		},
	})
	for range 2 { // among others, then alone
		<-begun
		clock.Advance(time.Minute)
	}
	w.settle()
	close(release)
	if err := <-stuck; !errors.Is(err, unit.ErrUnitClosed) {
		t.Errorf("what was given up writes: %v", err)
	}
	w.expect("a", w.handled("a"), "a=1")
	w.expect("b", w.handled("b"), "b=1")
	w.expect("slow", w.handled("slow"), "")
	w.expect("dead letters", w.letters(), "[slow=1]")
}

// Units that disturb each other are run again until each event was handled once.
func TestConflicts(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.clock = systemClock
	add := func(ctx context.Context, _ *consumer.Event) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		n, err := u.Get([]byte("sum"))
		if err != nil {
			return err
		}
		return u.Put([]byte("sum"), append(append([]byte(nil), n...), 'x'))
	}
	const partitions, events = 4, 400
	for i := range events {
		w.append(partitions, fmt.Sprintf("k%d=1", i))
	}
	w.start(nil, consumer.Group{Partitions: partitions, Handle: add})
	w.settle()
	w.unit(func(u *unit.Unit) error {
		n, err := u.Peek([]byte("sum"))
		w.expect("sum", len(n), events)
		return err
	})
}

func TestStopLetsARunEnd(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.append(1, "a=1", "a=2", "a=3")
	begun, release := make(chan struct{}, 3), make(chan struct{})
	w.start(nil, consumer.Group{Handle: func(ctx context.Context, e *consumer.Event) error {
		begun <- struct{}{}
		<-release
		return note(ctx, e)
	}})
	<-begun
	stopped := make(chan error, 1)
	stopping := make(chan struct{})
	go func() { close(stopping); stopped <- w.end(context.Background()) }()
	<-stopping
	for !w.IsStopping() {
		runtime.Gosched()
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	w.expect("a", w.handled("a"), "a=1")
	w.start(nil, consumer.Group{Handle: note})
	w.settle()
	w.expect("a", w.handled("a"), "a=1 a=2 a=3")
}

func TestStopCutsARunOff(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.append(1, "a=1")
	begun := make(chan struct{}, 1)
	w.start(nil, consumer.Group{Handle: func(ctx context.Context, _ *consumer.Event) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.end(ctx); err == nil || !strings.Contains(err.Error(), "1 runs were cut short") {
		t.Errorf("Stop: %v", err)
	}
	w.start(nil, consumer.Group{Handle: note})
	w.settle()
	w.expect("a", w.handled("a"), "a=1")
	w.expect("dead letters", w.letters(), "[]")
}

func TestBadGroups(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.prepare(nil)
	good := consumer.Group{Function: "f", Stream: "s", Partitions: 1, Handle: note}
	for name, change := range map[string]func(*consumer.Group){
		"no stream":     func(g *consumer.Group) { g.Stream = "" },
		"no partitions": func(g *consumer.Group) { g.Partitions = 0 },
		"no handler":    func(g *consumer.Group) { g.Handle = nil },
		"both handlers": func(g *consumer.Group) { g.HandleBatch = noteAll },
	} {
		g := good
		change(&g)
		if err := w.Register(g); !errors.Is(err, consumer.ErrBadGroup) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Register(good); err != nil {
		t.Fatal(err)
	}
	if err := w.Register(good); !errors.Is(err, delivery.ErrBadFunction) {
		t.Errorf("twice: %v", err)
	}
}

func TestASweepFindsWhatNoSignalTold(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	w.start(func(c *consumer.Config) {
		c.Watch = func(byte) (<-chan struct{}, func()) { return nil, func() {} }
	}, consumer.Group{Handle: note})
	w.settle()
	w.append(1, "a=1")
	clock.Advance(time.Minute)
	for w.handled("a") == "" {
		runtime.Gosched()
	}
}

func TestHeadersReachTheFunction(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	var runs []string
	w.start(nil, consumer.Group{Handle: func(_ context.Context, e *consumer.Event) error {
		runs = append(runs, fmt.Sprint(e.Headers, e.Key, e.Partition, e.Position, e.Time))
		if len(runs) == 1 {
			return errMoody
		}
		return nil
	}})
	w.unit(func(u *unit.Unit) error {
		return records.AppendEvents(u, "s", &records.Event{
			Key: "k", Time: noon, Headers: map[string]string{"traceparent": "x"}, Data: []byte("1"),
		})
	})
	w.settle()
	clock.Advance(time.Minute)
	w.settle()
	w.expect("runs", len(runs), 2)
	w.expect("the second run", runs[1], runs[0])
}
