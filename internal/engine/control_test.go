package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
)

// TestManyTimersAtOneMoment: more than memory holds fire, each once.
func TestManyTimersAtOneMoment(t *testing.T) {
	t.Parallel()
	n := 100_000
	if testing.Short() {
		n = 25_000
	}
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, n int) (int, error) {
		timers := make([]*durable.Task[time.Time], n)
		for i := range timers {
			timers[i] = ctx.Timer(time.Hour)
		}
		fired, err := durable.All(ctx, timers...)
		return len(fired), err
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, n, durable.ID("x"))
	w.must(err)
	if held := w.engine.Held(); held != 0 {
		t.Errorf("%d timers of the far future are in memory", held)
	}
	w.restart()
	w.advance(time.Hour)
	w.expect("x", durable.Completed)
	if held := w.engine.Held(); held > 0 {
		t.Errorf("%d timers are left in memory", held)
	}
	if due, ok, err := w.engine.NextTimer(); ok || err != nil {
		t.Errorf("a timer is left for %v, %v", due, err)
	}
}

// TestAnswersOfAnEarlierGeneration are not taken for those of the present one, which has
// calls of the same numbers.
func TestAnswersOfAnEarlierGeneration(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	w := newWorld(t,
		work.Impl(func(_ context.Context, n int) (int, error) {
			if n >= 100 {
				<-slow
			}
			return n, nil
		}),
		flow.Impl(func(ctx *durable.Context, generation int) (int, error) {
			a, b := work.Start(ctx, generation), work.Start(ctx, generation+1)
			if generation == 0 {
				if _, err := goOn.Wait(ctx); err != nil {
					return 0, err
				}
				return flow.ContinueAsNew(100)
			}
			all, err := durable.All(ctx, a, b)
			return all[0]*1000 + all[1], err
		}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.must(w.client.Suspend(t.Context(), "x", "test"))
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 0)) // before the answers in the inbox, or after
	w.engine.WaitIdle()
	w.must(w.client.Resume(t.Context(), "x"))
	close(slow)
	if in := w.expect("x", durable.Completed); string(in.Output) != "100101" {
		t.Errorf("it returned %s", in.Output)
	}
}

// TestCancelOutlivesAGeneration: code that goes on as a new generation although it was
// asked to end is asked again.
func TestCancelOutlivesAGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, n int) (int, error) {
		_, err := goOn.Wait(ctx)
		if n == 0 {
			return flow.ContinueAsNew(1)
		}
		return 0, err
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.must(w.client.Cancel(t.Context(), "x", "test", 0))
	w.expect("x", durable.Canceled)
}

func TestChildrenOfOneID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, other.Impl(waiter), flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
		first, second := other.Begin(ctx, 1, durable.ID("child")), other.Begin(ctx, 2, durable.ID("child"))
		_, err := second.Wait(ctx)
		if !errors.Is(err, durable.NewError("exists", "")) || !strings.HasPrefix(err.Error(), `orchestration "other": `) {
			return 0, err
		}
		ctx.CancelTask(first)
		return 1, nil
	}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.expect("x", durable.Completed)
	w.expect("child", durable.Canceled)
	if counts, err := w.client.Counts(t.Context()); err != nil || counts[durable.Completed]+counts[durable.Canceled] != 2 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

// TestPendingActivityOfASuspendedInstance still ends when nobody completes it in time,
// and cannot be completed twice.
func TestPendingActivityOfASuspendedInstance(t *testing.T) {
	t.Parallel()
	tokens := make(chan string, 2)
	w := newWorld(t,
		work.Impl(func(ctx context.Context, _ int) (int, error) {
			token, err := durable.Token(ctx)
			tokens <- token
			return 0, errors.Join(err, durable.ErrPending)
		}),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) {
			return work.Call(ctx, n, durable.StartToClose(time.Hour))
		}))
	w.mustStart()
	ctx := t.Context()
	for _, id := range []string{"late", "done"} {
		_, err := flow.StartWith(ctx, w.client, 0, durable.ID(id))
		w.must(err)
		token := soon(t, tokens)
		w.engine.WaitIdle()
		w.must(w.client.Suspend(ctx, id, "test"))
		w.restart()
		if id == "done" {
			w.must(w.client.Complete(ctx, token, 7))
			if err := w.client.Complete(ctx, token, 8); !errors.Is(err, durable.ErrToken) {
				t.Errorf("completed twice: %v", err)
			}
		}
		w.advance(time.Hour)
		if id == "late" {
			if err := w.client.Complete(ctx, token, 8); !errors.Is(err, durable.ErrToken) {
				t.Errorf("completed too late: %v", err)
			}
		}
		w.restart()
		w.must(w.client.Resume(ctx, id))
	}
	if in := w.expect("late", durable.Failed); !errors.Is(in.Err, durable.ErrTimeout) {
		t.Errorf("it failed with %v", in.Err)
	}
	if in := w.expect("done", durable.Completed); string(in.Output) != "7" {
		t.Errorf("it returned %s", in.Output)
	}
}

// TestRetryOfASuspendedInstance: an attempt that fell due while the instance was
// suspended is made after it is resumed, whatever restarts come between.
func TestRetryOfASuspendedInstance(t *testing.T) {
	t.Parallel()
	attempts := make(chan int, 10)
	var hang atomic.Bool
	hang.Store(true)
	w := newWorld(t,
		work.Impl(func(ctx context.Context, n int) (int, error) {
			info, _ := durable.Info(ctx)
			attempts <- info.Attempt
			if info.Attempt == 1 {
				return 0, errors.New("not yet")
			}
			if hang.Load() {
				<-ctx.Done()
			}
			return n, nil
		}),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) {
			return work.Call(ctx, n, durable.Retry{Attempts: 2, Initial: time.Hour})
		}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 3, durable.ID("x"))
	w.must(err)
	soon(t, attempts)
	w.engine.WaitIdle()
	w.must(w.client.Suspend(t.Context(), "x", "test"))
	w.advance(2 * time.Hour)
	w.restart()
	w.must(w.client.Resume(t.Context(), "x"))
	if n := soon(t, attempts); n != 2 {
		t.Errorf("it is attempt %d", n)
	}
	w.cutOff()
	hang.Store(false)
	w.mustStart()
	w.ended("x")
}

// TestPurgeLeavesNothing: neither timers nor messages of a purged instance stay.
func TestPurgeLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		other.Impl(waiter),
		flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
			_, err := other.Call(ctx, 0, durable.ID("child"))
			return 0, err
		}, durable.Retention(time.Hour)))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.engine.WaitIdle()
	w.must(w.client.Terminate(t.Context(), "x", "test"))
	w.must(w.client.Purge(t.Context(), "x"))
	w.must(goOn.RaiseWith(t.Context(), w.client, "child", 1)) // it answers a parent that is gone
	w.expect("child", durable.Completed)
	w.must(w.client.Purge(t.Context(), "child"))
	w.advance(2 * time.Hour)
	w.engine.WaitIdle()
	snap, err := w.store.Snapshot()
	w.must(err)
	defer snap.Close()
	for space := byte(0x10); space < 0x20; space++ {
		if n := countKeys(t, snap, space); n != 0 {
			t.Errorf("%d keys are left in space %#x", n, space)
		}
	}
}

// TestManyChildren: a fan-out of more children than run at once comes back.
func TestManyChildren(t *testing.T) {
	t.Parallel()
	n := 5000
	if testing.Short() {
		n = 1000
	}
	w := newWorld(t,
		other.Impl(func(_ *durable.Context, n int) (int, error) { return 2 * n, nil }),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) {
			tasks := make([]*durable.Task[int], n)
			for i := range tasks {
				tasks[i] = other.Begin(ctx, i)
			}
			all, err := durable.All(ctx, tasks...)
			sum := 0
			for _, v := range all {
				sum += v
			}
			return sum, err
		}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, n, durable.ID("x"))
	w.must(err)
	if in := w.expect("x", durable.Completed); string(in.Output) != fmt.Sprint(n*(n-1)) {
		t.Errorf("it returned %s", in.Output)
	}
}
