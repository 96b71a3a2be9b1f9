package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/records"
)

// TestEverybodyAtOnce lets callers do everything to the same instances at the same time.
// Each call gets an answer it may get, and in the end every instance can be ended and
// purged without a trace.
func TestEverybodyAtOnce(t *testing.T) {
	t.Parallel()
	calls := 400
	if testing.Short() {
		calls = 100
	}
	w := newWorld(t,
		count.Impl(bump),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) {
			ctx.OnFailure("undo", func(ctx *durable.Context) error {
				_, err := count.Call(ctx, "undone")
				return err
			})
			if _, err := count.Call(ctx, "done"); err != nil {
				return 0, err
			}
			v, err := goOn.Wait(ctx)
			if err != nil {
				return 0, err
			}
			if _, err := durable.Step(ctx, "step", func(ctx context.Context) (int, error) { return bump(ctx, "step") }); err != nil {
				return 0, err
			}
			if v%3 > 0 {
				return flow.ContinueAsNew(n + 1)
			}
			return n, nil
		}))
	w.set = func(o *engine.Options) { o.MaxIdle, o.ReplayOneIn = 3, 5 }
	w.mustStart()
	ctx := t.Context()
	var callers sync.WaitGroup
	for c := range 8 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			for i := range calls {
				id := fmt.Sprint("i", random.IntN(10))
				if err := w.anything(ctx, random.IntN(10), id, i); !expected(err) {
					t.Errorf("an unexpected answer: %v", err)
				}
			}
		})
	}
	callers.Wait()
	for i := range 10 {
		id := fmt.Sprint("i", i)
		for _, f := range []func() error{
			func() error { return w.client.Terminate(ctx, id, "end") },
			func() error { return w.client.Purge(ctx, id) },
		} {
			if err := f(); !expected(err) {
				t.Error(err)
			}
		}
	}
	w.engine.WaitIdle()
	w.advance(2 * time.Hour) // what was kept expires
	w.advance(time.Second)
	snap, err := w.store.Snapshot()
	w.must(err)
	defer snap.Close()
	for space := byte(0x10); space < 0x20; space++ {
		if n := countKeys(t, snap, space); n != 0 {
			t.Errorf("%d keys are left in space %#x", n, space)
		}
	}
}

// anything does one of many things to an instance.
func (w *world) anything(ctx context.Context, what int, id string, i int) error {
	switch what {
	case 0, 1, 2:
		_, err := flow.StartWith(ctx, w.client, 0, durable.ID(id), durable.ReplaceEnded())
		return err
	case 3:
		return w.client.Terminate(ctx, id, "chaos")
	case 4:
		return w.client.Cancel(ctx, id, "chaos", time.Hour)
	case 5:
		return errors.Join(w.client.Suspend(ctx, id, "chaos"), w.client.Resume(ctx, id))
	case 6:
		return w.client.Purge(ctx, id)
	case 7:
		return w.unit(func(ctx context.Context) error { return goOn.Raise(ctx, id, i, durable.KeepFor(time.Minute)) })
	default:
		return goOn.RaiseWith(ctx, w.client, id, i, durable.KeepFor(time.Minute))
	}
}

// expected reports whether a call may be answered by err.
func expected(err error) bool {
	for _, may := range []error{nil, durable.ErrNotFound, durable.ErrEnded, durable.ErrNotEnded, durable.ErrExists} {
		if errors.Is(err, may) {
			return true
		}
	}
	return false
}

// TestListIsStable: an instance that does not change its state is on exactly one page,
// whatever others do meanwhile.
func TestListIsStable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(waiter))
	w.mustStart()
	ctx := t.Context()
	start := func(id string) {
		_, err := flow.StartWith(ctx, w.client, 0, durable.ID(id))
		w.must(err)
		w.clock.Advance(time.Millisecond)
	}
	for i := range 60 {
		start(fmt.Sprintf("old%02d", i))
	}
	seen := map[string]int{}
	q := engine.Query{States: []records.State{records.Running}, Limit: 7}
	for page := 0; ; page++ {
		found, next, err := w.engine.List(q)
		w.must(err)
		for _, in := range found {
			seen[in.ID]++
		}
		if q.Cursor = next; next == "" {
			break
		}
		start(fmt.Sprintf("new%02d", page))
		w.must(goOn.RaiseWith(ctx, w.client, fmt.Sprintf("old%02d", 3*page), 1)) // ends
	}
	for i := range 60 {
		if id := fmt.Sprintf("old%02d", i); w.get(id).State == durable.Running && seen[id] != 1 {
			t.Errorf("%s was seen %d times", id, seen[id])
		}
	}
}

// TestTurnThatIsTooLarge: what no store can take stalls the instance.
func TestTurnThatIsTooLarge(t *testing.T) {
	t.Parallel()
	big := durable.NewActivity[string, int]("big")
	w := newWorld(t, big.Impl(func(context.Context, string) (int, error) { return 0, nil }),
		flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
			text := strings.Repeat("x", 4_000_000)
			for range 20 {
				big.Start(ctx, text)
			}
			return goOn.Wait(ctx)
		}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	if in := w.expect("x", durable.Stalled); !strings.Contains(in.Reason, "turn cannot be committed") {
		t.Errorf("the reason is %s", in.Reason)
	}
}
