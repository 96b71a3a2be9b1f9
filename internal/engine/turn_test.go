package engine_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/records"
)

var (
	work  = durable.NewActivity[int, int]("work")
	flow  = durable.NewOrchestration[int, int]("flow")
	other = durable.NewOrchestration[int, int]("other")
	goOn  = durable.NewEvent[int]("goOn")
)

// waiter waits for one event and returns its payload.
func waiter(ctx *durable.Context, _ int) (int, error) { return goOn.Wait(ctx) }

// numbers waits for n events and returns their payloads' order as a status.
func numbers(ctx *durable.Context, n int) (int, error) {
	var got []int
	for range n {
		v, err := goOn.Wait(ctx)
		if err != nil {
			return 0, err
		}
		got = append(got, v)
	}
	ctx.SetStatus(got)
	return len(got), nil
}

func TestPanicInTheFirstTurnStalls(t *testing.T) {
	t.Parallel()
	mended := false
	w := newWorld(t, flow.Impl(func(*durable.Context, int) (int, error) {
		if !mended {
			panic("not yet")
		}
		return 7, nil
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	in := w.expect("x", durable.Stalled)
	if !strings.Contains(in.Reason, "not yet") || !strings.Contains(in.Reason, "turn_test.go") {
		t.Errorf("the reason is %s", in.Reason)
	}
	mended = true
	w.must(w.client.Resume(t.Context(), "x"))
	w.expect("x", durable.Completed)
}

// TestStallKeepsTheBusyMark: an activity that runs while its instance stalls is found by
// the next process.
func TestStallKeepsTheBusyMark(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
		work.Start(ctx, 1)
		if _, err := goOn.Wait(ctx); err != nil {
			return 0, err
		}
		panic("oh no")
	}), work.Impl(func(context.Context, int) (int, error) {
		<-release
		return 0, nil
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 1))
	for w.get("x").State != durable.Stalled { // not idle: the activity runs
		runtime.Gosched()
	}
	snap, err := w.store.Snapshot()
	w.must(err)
	busy := 0
	w.must(records.BusyInstances(snap, func(records.InstanceKey) bool {
		busy++
		return true
	}))
	w.must(snap.Close())
	close(release)
	if busy != 1 {
		t.Errorf("%d instances are marked busy, want 1", busy)
	}
}

func TestGoexitStalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
		if _, err := goOn.Wait(ctx); err != nil {
			return 0, err
		}
		runtime.Goexit()
		return 0, nil
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 1)) // its turn runs on this goroutine
	if in := w.expect("x", durable.Stalled); !strings.Contains(in.Reason, "Goexit") {
		t.Errorf("the reason is %s", in.Reason)
	}
}

func TestGoexitOfAnActivityIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		work.Impl(func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) { return work.Call(ctx, n) }))
	w.set = func(o *engine.Options) { o.MaxActivities = 1 }
	w.mustStart()
	ids := []string{"x", "y", "z"} // the second waits for the place of the first
	for _, id := range ids {
		_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID(id))
		w.must(err)
	}
	for _, id := range ids {
		if in := w.expect(id, durable.Failed); !strings.Contains(in.Err.Error(), "Goexit") {
			t.Errorf("%s failed with %v", id, in.Err)
		}
	}
}

// TestTurnThatRunsTooLong: the instance stalls with the stack, and what the code does
// when it goes on counts for nothing.
func TestTurnThatRunsTooLong(t *testing.T) {
	t.Parallel()
	block, returned := make(chan struct{}), make(chan struct{})
	var blocking atomic.Bool
	blocking.Store(true)
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
		v, err := goOn.Wait(ctx)
		if blocking.Load() {
			defer close(returned)
			<-block
			return -1, nil
		}
		return v, err
	}))
	w.set = func(o *engine.Options) { o.TurnLimit = 200 * time.Millisecond }
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	raised := make(chan error, 1)
	go func() { raised <- goOn.RaiseWith(t.Context(), w.client, "x", 42) }()
	deadline := time.Now().Add(20 * time.Second)
	for w.get("x").State != durable.Stalled && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	in := w.expect("x", durable.Stalled) // although its goroutine still runs
	for _, want := range []string{"longer than 200ms", "TestTurnThatRunsTooLong", "turn_test.go"} {
		if !strings.Contains(in.Reason, want) {
			t.Errorf("the reason does not have %q: %s", want, in.Reason)
		}
	}
	blocking.Store(false)
	close(block)
	soon(t, returned)
	w.must(soon(t, raised))
	w.must(w.client.Resume(t.Context(), "x"))
	if in := w.expect("x", durable.Completed); string(in.Output) != "42" {
		t.Errorf("it returned %s", in.Output)
	}
}

// TestCompletionSurvivesAStall: an activity whose result made the turn panic is not run
// again, and what it wrote is there.
func TestCompletionSurvivesAStall(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	var mended atomic.Bool
	w := newWorld(t,
		count.Impl(func(ctx context.Context, name string) (int, error) {
			runs.Add(1)
			return bump(ctx, name)
		}),
		flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
			n, err := count.Call(ctx, "row")
			if !mended.Load() {
				panic("cannot take it")
			}
			return n, err
		}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.expect("x", durable.Stalled)
	mended.Store(true)
	w.must(w.client.Resume(t.Context(), "x"))
	if in := w.expect("x", durable.Completed); string(in.Output) != "1" || runs.Load() != 1 {
		t.Errorf("it returned %s after %d runs", in.Output, runs.Load())
	}
}

// TestManyMessagesOfASuspendedInstance: more than one turn takes are kept, cost nothing
// while it is suspended, and come in order.
func TestManyMessagesOfASuspendedInstance(t *testing.T) {
	t.Parallel()
	const n = 2000
	w := newWorld(t, flow.Impl(numbers))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, n, durable.ID("x"))
	w.must(err)
	w.must(w.client.Suspend(t.Context(), "x", "test"))
	for i := range n {
		w.must(goOn.RaiseWith(t.Context(), w.client, "x", i))
	}
	w.restart()
	w.expect("x", durable.Suspended)
	w.must(w.client.Resume(t.Context(), "x"))
	in := w.expect("x", durable.Completed)
	var got []int
	mustDecode(t, in.Status, &got)
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("took %d events: %v", len(got), got)
	}
}

// TestKeptEventsComeFirst: what was raised before the start is taken before what was
// raised after it, however the instance was started.
func TestKeptEventsComeFirst(t *testing.T) {
	t.Parallel()
	for _, inUnit := range []bool{false, true} {
		const n = 1500 // more than are moved in one commit
		w := newWorld(t, flow.Impl(numbers))
		w.mustStart()
		for i := range n {
			w.must(goOn.RaiseWith(t.Context(), w.client, "x", i, durable.KeepFor(time.Hour)))
		}
		if inUnit {
			w.must(w.unit(func(ctx context.Context) error {
				_, err := flow.Start(ctx, n+1, durable.ID("x"))
				return err
			}))
		} else {
			_, err := flow.StartWith(t.Context(), w.client, n+1, durable.ID("x"))
			w.must(err)
		}
		w.must(goOn.RaiseWith(t.Context(), w.client, "x", n))
		var got []int
		mustDecode(t, w.expect("x", durable.Completed).Status, &got)
		if len(got) != n+1 || !slices.IsSorted(got) {
			t.Errorf("took %v", got)
		}
	}
}

// TestKeptRacingWithTheStart: an event is never left behind when the instance is started
// at the same moment.
func TestKeptRacingWithTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(waiter))
	w.mustStart()
	for i := range 300 {
		id := "x" + time.Duration(i).String()
		raised := make(chan error, 1)
		go func() { raised <- goOn.RaiseWith(t.Context(), w.client, id, i, durable.KeepFor(time.Hour)) }()
		_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID(id))
		w.must(err)
		w.must(soon(t, raised))
		w.ended(id)
	}
}

func TestKeptEventExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(waiter))
	w.mustStart()
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 1, durable.KeepFor(time.Minute)))
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 2, durable.KeepFor(time.Hour)))
	w.restart()
	w.advance(time.Minute)
	w.advance(time.Second)
	if len(w.lost) != 1 || string(w.lost[0].Payload) != "1" || w.lost[0].InstanceID != "x" {
		t.Fatalf("given up: %+v", w.lost)
	}
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	if in := w.expect("x", durable.Completed); string(in.Output) != "2" {
		t.Errorf("it took %s", in.Output)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	var times []time.Time
	back := &backwards{Manual: nil}
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, n int) (int, error) {
		for range 3 {
			times = append(times, ctx.Now())
			if _, err := goOn.Wait(ctx); err != nil {
				return 0, err
			}
		}
		if n == 0 {
			return flow.ContinueAsNew(1)
		}
		return 0, nil
	}))
	back.Manual = w.clock
	w.set = func(o *engine.Options) { o.Clock = back }
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	for range 6 {
		back.offset.Add(-int64(time.Hour))
		w.must(goOn.RaiseWith(t.Context(), w.client, "x", 0))
		w.engine.WaitIdle()
	}
	w.expect("x", durable.Completed)
	if !slices.IsSortedFunc(times, time.Time.Compare) || len(times) < 6 {
		t.Errorf("the times were %v", times)
	}
}

// TestCanceledStepEndsBeforeTheCodeGoesOn: a step's function and the code that waits for
// it never run at once.
func TestCanceledStepEndsBeforeTheCodeGoesOn(t *testing.T) {
	t.Parallel()
	begun, goOnNow := make(chan struct{}), make(chan struct{})
	var running, overlap atomic.Bool
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
		_, err := durable.Step(ctx, "slow", func(ctx context.Context) (int, error) {
			running.Store(true)
			close(begun)
			<-ctx.Done()
			<-goOnNow
			running.Store(false)
			return 0, ctx.Err()
		}, durable.Retry{Attempts: 5})
		overlap.Store(running.Load())
		return 0, err
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	soon(t, begun)
	w.must(w.client.Cancel(t.Context(), "x", "test", 0))
	close(goOnNow)
	w.expect("x", durable.Canceled)
	if overlap.Load() {
		t.Error("the code went on while the step's function ran")
	}
}

// TestStepInBackoff: an event does not make a step run again before its time, and a
// cancel ends it at once.
func TestStepInBackoff(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		var runs atomic.Int32
		w := newWorld(t, flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
			return durable.Step(ctx, "fails", func(context.Context) (int, error) {
				return 0, errors.New("attempt failed: " + time.Duration(runs.Add(1)).String())
			}, durable.Retry{Attempts: 3, Initial: time.Hour})
		}))
		w.set = func(o *engine.Options) { o.ReplayAlways = always }
		w.mustStart()
		for _, id := range []string{"x", "y"} {
			_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID(id))
			w.must(err)
			w.engine.WaitIdle()
		}
		w.must(goOn.RaiseWith(t.Context(), w.client, "x", 1))
		w.engine.WaitIdle()
		if n := runs.Load(); n != 2 {
			t.Fatalf("it ran %d times, want once each", n)
		}
		w.must(w.client.Cancel(t.Context(), "y", "test", 0))
		w.expect("y", durable.Canceled)
		w.advance(time.Hour)
		w.advance(2 * time.Hour)
		in := w.expect("x", durable.Failed)
		if n := runs.Load(); n != 4 || !strings.Contains(in.Err.Error(), `step "fails"`) || !strings.Contains(in.Err.Error(), "3 attempts") {
			t.Errorf("ran %d times, then %v", n, in.Err)
		}
	}
}
