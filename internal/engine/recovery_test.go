package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/store"
)

// journalLeft returns the journal of a process that died while entries ran. The
// instance is the first of the store.
func journalLeft(t *testing.T, entries map[poison.Kind]uint32) *poison.Journal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "running.journal")
	dead, err := poison.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for kind, seq := range entries {
		id := binary.BigEndian.AppendUint64(nil, 1)
		if kind == poison.Activity {
			id = binary.BigEndian.AppendUint32(id, seq)
		}
		dead.Enter(kind, id)
	}
	journal, err := poison.Open(path) // the mapping of the dead one is not emptied
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	return journal
}

// TestActivityThatKillsTheProcess: after so many deaths it fails instead of running.
func TestActivityThatKillsTheProcess(t *testing.T) {
	t.Parallel()
	begun, hang := make(chan int, 10), make(chan struct{})
	w := newWorld(t,
		work.Impl(func(ctx context.Context, n int) (int, error) {
			info, _ := durable.Info(ctx)
			begun <- info.Attempt
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-hang:
				return n, nil
			}
		}),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) { return work.Call(ctx, n) }))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	soon(t, begun)
	for death := 1; death <= 2; death++ {
		w.cutOff()
		w.set = func(o *engine.Options) {
			o.MaxDeaths, o.Journal = 2, journalLeft(t, map[poison.Kind]uint32{poison.Activity: 1})
		}
		w.mustStart()
		if death == 1 {
			if n := soon(t, begun); n != 2 {
				t.Errorf("after a death it is attempt %d", n)
			}
		}
	}
	in := w.expect("x", durable.Failed)
	if !errors.Is(in.Err, durable.NewError("process deaths", "")) || !strings.Contains(in.Err.Error(), `activity "work": the process died 2 times`) {
		t.Errorf("it failed with %v", in.Err)
	}
}

// cutOff stops the engine without letting activities end in order.
func (w *world) cutOff() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.engine.Stop(ctx)
	w.committer.Close()
	w.leases.Advance(time.Minute)
}

// TestTurnThatKillsTheProcess: the instance stalls, restarts do not try again, a person
// can.
func TestTurnThatKillsTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(waiter))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	for range 2 {
		w.stop()
		w.set = func(o *engine.Options) {
			o.MaxDeaths, o.Journal = 2, journalLeft(t, map[poison.Kind]uint32{poison.Turn: 0})
		}
		w.mustStart()
	}
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 5))
	if in := w.expect("x", durable.Stalled); !strings.Contains(in.Reason, "died 2 times") {
		t.Errorf("the reason is %s", in.Reason)
	}
	w.set = func(o *engine.Options) { o.MaxDeaths = 2 }
	w.restart()
	w.expect("x", durable.Stalled)
	w.must(w.client.Resume(t.Context(), "x"))
	w.expect("x", durable.Completed)
}

// TestSuspectsRunAlone: of several activities that a process died with, one runs at a
// time.
func TestSuspectsRunAlone(t *testing.T) {
	t.Parallel()
	var suspicious atomic.Bool
	var running, most atomic.Int32
	begun := make(chan struct{}, 10)
	w := newWorld(t,
		work.Impl(func(ctx context.Context, n int) (int, error) {
			if !suspicious.Load() {
				begun <- struct{}{}
				<-ctx.Done()
				return 0, ctx.Err()
			}
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			return n, nil
		}),
		flow.Impl(func(ctx *durable.Context, _ int) (int, error) {
			all, err := durable.All(ctx, work.Start(ctx, 1), work.Start(ctx, 2), work.Start(ctx, 3))
			return len(all), err
		}))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	for range 3 {
		soon(t, begun)
	}
	w.cutOff()
	suspicious.Store(true)
	path := filepath.Join(t.TempDir(), "running.journal")
	dead, err := poison.Open(path)
	w.must(err)
	for seq := range uint32(3) {
		dead.Enter(poison.Activity, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 1), seq+1))
	}
	journal, err := poison.Open(path)
	w.must(err)
	defer journal.Close()
	w.set = func(o *engine.Options) { o.Journal = journal }
	w.mustStart()
	w.ended("x")
	if most.Load() != 1 {
		t.Errorf("%d suspects ran at once", most.Load())
	}
	if left := journal.Left(poison.Activity); len(left) != 0 {
		t.Errorf("the journal still has %d entries of the dead process", len(left))
	}
}

// TestLeaseTakeover: one owner at a time; the former one's commits are refused and it
// stops.
func TestLeaseTakeover(t *testing.T) {
	t.Parallel()
	fatal := make(chan error, 1)
	w := newWorld(t, flow.Impl(waiter))
	w.set = func(o *engine.Options) { o.OnFatal = func(err error) { fatal <- err } }
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)

	second := &world{T: t, impls: w.impls, store: w.store, clock: w.clock, leases: w.leases}
	if err := second.start(w.store); !errors.Is(err, store.ErrLeaseHeld) || !strings.Contains(err.Error(), "another process runs") {
		t.Fatalf("a second owner: %v", err)
	}
	second.committer.Close()
	w.leases.Advance(time.Minute)
	second.mustStart()
	defer second.stop()
	if err := goOn.RaiseWith(t.Context(), w.client, "x", 1); !errors.Is(err, durable.ErrStopped) {
		t.Fatalf("a raise at the former owner: %v", err)
	}
	if err := soon(t, fatal); !errors.Is(err, store.ErrLeaseHeld) {
		t.Errorf("the former owner ended with %v", err)
	}
	second.must(goOn.RaiseWith(t.Context(), second.client, "x", 2))
	if in := second.expect("x", durable.Completed); string(in.Output) != "2" {
		t.Errorf("it took %s", in.Output)
	}
}

// TestLeaseThatRanOut is taken again when nobody had it meanwhile, as after a sleep of
// the machine.
func TestLeaseThatRanOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, flow.Impl(waiter))
	w.mustStart()
	_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID("x"))
	w.must(err)
	w.leases.Advance(time.Hour)
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 2))
	w.ended("x")
}

// TestEviction: events raised at many instances of which few stay in memory are each
// taken once, and in order for each sender.
func TestEviction(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		instances, each := 2000, 3
		if testing.Short() {
			instances = 200
		}
		w := newWorld(t, flow.Impl(numbers))
		w.set = func(o *engine.Options) { o.MaxIdle, o.ReplayAlways, o.ReplayOneIn = 10, always, 7 }
		w.mustStart()
		id := func(i int) string { return "i" + time.Duration(i).String() }
		var senders sync.WaitGroup
		for s := range 8 {
			senders.Go(func() {
				for i := s; i < instances; i += 8 {
					if _, err := flow.StartWith(t.Context(), w.client, 2*each, durable.ID(id(i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		senders.Wait()
		for s := range 2 { // two senders for each instance, side by side
			for part := range 4 {
				senders.Go(func() {
					for n := range each {
						for i := part; i < instances; i += 4 {
							if err := goOn.RaiseWith(t.Context(), w.client, id(i), s*100+n); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
		}
		senders.Wait()
		w.engine.WaitIdle()
		for i := range instances {
			var got []int
			mustDecode(t, w.expect(id(i), durable.Completed).Status, &got)
			next := map[int]int{}
			for _, n := range got {
				if n%100 != next[n/100] {
					t.Fatalf("instance %d took %v", i, got)
				}
				next[n/100]++
			}
			if next[0] != each || next[1] != each {
				t.Fatalf("instance %d took %v", i, got)
			}
		}
		if n := w.engine.Idle(); n > 10 {
			t.Errorf("%d instances are idle in memory", n)
		}
	}
}

// TestRunningActivitiesAreNotEvicted: the activity of an instance that others push out
// of memory runs once.
func TestRunningActivitiesAreNotEvicted(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	begun, hang := make(chan struct{}), make(chan struct{})
	w := newWorld(t,
		work.Impl(func(_ context.Context, n int) (int, error) {
			if runs.Add(1) == 1 {
				close(begun)
			}
			<-hang
			return n, nil
		}),
		other.Impl(func(ctx *durable.Context, n int) (int, error) {
			if _, err := goOn.Wait(ctx); err != nil {
				return 0, err
			}
			return work.Call(ctx, n)
		}),
		flow.Impl(waiter))
	w.set = func(o *engine.Options) { o.MaxIdle = 1 }
	w.mustStart()
	_, err := other.StartWith(t.Context(), w.client, 9, durable.ID("x"))
	w.must(err)
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 1))
	soon(t, begun)
	for range 50 {
		_, err := flow.StartWith(t.Context(), w.client, 0)
		w.must(err)
	}
	w.must(goOn.RaiseWith(t.Context(), w.client, "x", 1))
	close(hang)
	w.ended("x")
	if runs.Load() != 1 {
		t.Errorf("the activity ran %d times", runs.Load())
	}
}
