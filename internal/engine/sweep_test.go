package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/store/storetest"
	"github.com/perdure/perdure/internal/unit"
)

// The orchestrations, activities and events of the sweep.
var (
	count   = durable.NewActivity[string, int]("count", durable.Retry{Attempts: 5})
	flaky   = durable.NewActivity[string, int]("flaky")
	number  = durable.NewEvent[int]("number")
	journey = durable.NewOrchestration[stage, stage]("journey")
	detour  = durable.NewOrchestration[string, int]("detour")
	patient = durable.NewOrchestration[string, int]("patient")
)

// stage is what a journey hands from one generation to the next.
type stage struct {
	Generation int
	Numbers    []int
	Counts     []int
}

// counterKey is a row that activities count in: it lies in no space of the records.
func counterKey(name string) []byte { return append([]byte{0x7e}, name...) }

// bump adds one to a row by reading and writing it, in the unit of ctx.
func bump(ctx context.Context, name string) (int, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return 0, err
	}
	old, err := u.Get(counterKey(name))
	if err != nil {
		return 0, err
	}
	n := uint64(1)
	if old != nil {
		n += binary.BigEndian.Uint64(old)
	}
	return int(n), u.Put(counterKey(name), binary.BigEndian.AppendUint64(nil, n))
}

// sweepImpls returns what the sweep runs.
func sweepImpls() []durable.Implementation {
	var tries atomic.Int32
	return []durable.Implementation{
		count.Impl(bump),
		flaky.Impl(func(ctx context.Context, name string) (int, error) {
			if tries.Add(1)%2 == 1 {
				return 0, errors.New("try again")
			}
			return bump(ctx, name)
		}),
		journey.Impl(func(ctx *durable.Context, s stage) (stage, error) {
			n, err := count.Call(ctx, "shared", durable.StartToClose(time.Hour))
			if err != nil {
				return s, err
			}
			other := count.Start(ctx, "shared")
			v, err := number.Wait(ctx, durable.Within(10_000*time.Hour))
			if err != nil {
				return s, err
			}
			m, err := other.Wait(ctx)
			if err != nil {
				return s, err
			}
			s.Numbers, s.Counts = append(s.Numbers, v), append(s.Counts, n, m)
			if s.Generation++; s.Generation < 2 {
				return journey.ContinueAsNew(s)
			}
			if err := ctx.Sleep(time.Minute); err != nil {
				return s, err
			}
			if n, err = detour.Call(ctx, "shared", durable.ID("detour")); err == nil {
				s.Counts = append(s.Counts, n)
			}
			return s, err
		}),
		detour.Impl(func(ctx *durable.Context, name string) (int, error) {
			ctx.SetStatus("on the way")
			return flaky.Call(ctx, name, durable.Retry{Attempts: 100, Initial: time.Second})
		}),
		patient.Impl(func(ctx *durable.Context, name string) (int, error) {
			ctx.OnFailure("undo", func(ctx *durable.Context) error {
				_, err := count.Call(ctx, name)
				return err
			})
			return number.Wait(ctx)
		}),
	}
}

// TestSweep fails each operation of the store in turn and checks that nothing that was
// acknowledged is lost or doubled, and that everything comes to its end.
func TestSweep(t *testing.T) {
	t.Parallel()
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for _, fault := range []storetest.Fault{storetest.Refuse, storetest.Lose, storetest.Keep} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			met := 0
			for at := 0; ; at += stride {
				hit := false
				ok := t.Run(fmt.Sprint(at), func(t *testing.T) { hit = sweepOnce(t, fault, at) })
				if !ok {
					return
				}
				if !hit {
					break
				}
				met++
			}
			t.Logf("%d failures met", met)
			if met < 100/stride {
				t.Errorf("only %d failures were met", met)
			}
		})
	}
}

// traveller drives the scenario of the sweep.
type traveller struct {
	*world
	raised map[int]int // how often each number may have been taken
	seen   map[string][]history.Turn
}

// sweepOnce runs the scenario on a store whose operation number at fails, and reports
// whether it came to that.
func sweepOnce(t *testing.T, fault storetest.Fault, at int) bool {
	w := &traveller{world: newWorld(t, sweepImpls()...), raised: map[int]int{}, seen: map[string][]history.Turn{}}
	faulty := storetest.NewFaulty(w.store, fault, at)
	if err := w.start(faulty); err != nil {
		w.restart()
	}
	ctx := t.Context()
	w.raise("a", 1, durable.KeepFor(10_000*time.Hour))
	w.try(func() error {
		_, err := journey.StartWith(ctx, w.client, stage{}, durable.ID("a"))
		return err
	})
	w.try(func() error {
		_, err := patient.StartWith(ctx, w.client, "undone", durable.ID("p"))
		return err
	})
	w.try(func() error { return w.client.Suspend(ctx, "a", "test") })
	w.raise("a", 2)
	w.try(func() error { return w.client.Resume(ctx, "a") })
	w.try(func() error {
		if err := w.client.Cancel(ctx, "p", "test", 10_000*time.Hour); !errors.Is(err, durable.ErrEnded) {
			return err
		}
		return nil
	})
	in := w.finish("a", durable.Completed)
	w.finish("p", durable.Canceled)
	w.restart() // what is checked is what the store has

	var got stage
	mustDecode(t, in.Output, &got)
	if len(got.Numbers) != 2 || got.Numbers[0] != 1 || got.Numbers[1] != 2 && w.raised[1] == 1 {
		t.Errorf("numbers %v, raised %v", got.Numbers, w.raised)
	}
	if slices.Sort(got.Counts); !slices.Equal(got.Counts, []int{1, 2, 3, 4, 5}) {
		t.Errorf("counts %v", got.Counts)
	}
	for name, want := range map[string]uint64{"shared": 5, "undone": 1} {
		if n := w.counter(name); n != want {
			t.Errorf("%s was counted %d times, want %d", name, n, want)
		}
	}
	counts, err := w.client.Counts(ctx)
	if err != nil || counts[durable.Completed] != 2 || counts[durable.Canceled] != 1 || counts[durable.Running] != 0 {
		t.Errorf("counts %v, %v", counts, err)
	}
	if due, ok, err := w.engine.NextTimer(); ok || err != nil {
		t.Errorf("a timer is left for %v, %v", due, err)
	}
	return faulty.Failed()
}

func (w *traveller) counter(name string) uint64 {
	snap, err := w.store.Snapshot()
	w.must(err)
	defer snap.Close()
	value, _, err := snap.Get(counterKey(name))
	w.must(err)
	if value == nil {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

// try repeats f until it succeeds; a store that must be opened again is.
func (w *traveller) try(f func() error) {
	w.Helper()
	for attempt := 0; ; attempt++ {
		err := f()
		w.engine.WaitIdle()
		if w.engine.Err() != nil {
			w.restart()
		}
		if err == nil {
			w.remember()
			return
		}
		if attempt == 10 {
			in, _ := w.client.Get(w.Context(), "a")
			w.Fatalf("%v: %+v", err, in)
		}
	}
}

// raise raises a number until that is acknowledged. An attempt whose outcome is not
// known may count as well.
func (w *traveller) raise(id string, n int, opts ...durable.RaiseOption) {
	w.Helper()
	w.try(func() error {
		w.raised[n]++
		return number.RaiseWith(w.Context(), w.client, id, n, opts...)
	})
}

// finish lets time pass until the instance has ended.
func (w *traveller) finish(id string, state durable.State) *durable.Instance {
	w.Helper()
	for range 2000 {
		w.advance(10 * time.Second)
		if w.engine.Err() != nil {
			w.restart()
		}
		w.remember()
		ctx, cancel := context.WithTimeout(w.Context(), 2*time.Millisecond)
		in, err := w.client.Wait(ctx, id) // in real time, for what is tried again
		cancel()
		if err == nil {
			if in.State != state {
				w.Fatalf("%q is %s: %v", id, in.State, in.Err)
			}
			w.engine.WaitIdle()
			return in
		}
	}
	in, err := w.client.Get(w.Context(), id)
	turns, _ := w.engine.History(id)
	w.Fatalf("%q does not end: %+v, %v, history %v", id, in, err, turns)
	return nil
}

// remember checks that no recorded turn has changed since it was last seen.
func (w *traveller) remember() {
	w.Helper()
	for _, id := range []string{"a", "p", "detour"} {
		turns, err := w.engine.History(id)
		if err != nil {
			continue
		}
		old := w.seen[id]
		sameGeneration := len(old) > 0 && len(turns) >= len(old) && reflect.DeepEqual(old[0], turns[0])
		if sameGeneration && !reflect.DeepEqual(old, turns[:len(old)]) {
			w.Fatalf("the history of %q changed: %v, then %v", id, old, turns)
		}
		w.seen[id] = turns
	}
}
