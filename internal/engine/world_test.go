package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/storetest"
	"github.com/perdure/perdure/internal/unit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store that outlives the engines which run on it.
type world struct {
	*testing.T
	impls []durable.Implementation
	store *memory.Store
	// clock is the engine's; leases has the time of the store's leases.
	clock, leases *clock.Manual
	// set changes the options of the next engine.
	set func(*engine.Options)

	committer *store.Committer
	env       *unit.Env
	engine    *engine.Engine
	client    *durable.Client
	lost      []engine.Undelivered
}

func newWorld(t *testing.T, impls ...durable.Implementation) *world {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{T: t, impls: impls, clock: clock.NewManual(start), leases: clock.NewManual(start)}
	w.store = memory.New(&memory.Options{Now: w.leases.Now})
	t.Cleanup(func() {
		w.stop()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// start starts an engine on s, which is w.store or wraps it.
func (w *world) start(s store.Store) error {
	w.Helper()
	w.committer = store.NewCommitter(s, store.CommitterOptions{})
	w.env = &unit.Env{Snapshot: s.Snapshot, Now: w.clock.Now}
	o := engine.Options{
		Store: s, Committer: w.committer, Env: w.env, Clock: w.clock,
		Logger: slog.New(slog.DiscardHandler),
		DeadLetter: func(_ *unit.Unit, d engine.Undelivered) error {
			w.lost = append(w.lost, d)
			return nil
		},
	}
	if w.set != nil {
		w.set(&o)
	}
	e, err := engine.New(o)
	if err != nil {
		w.Fatal(err)
	}
	w.env.Orchestrator = e
	for _, impl := range w.impls {
		if err := impl.Register(e); err != nil {
			w.Fatal(err)
		}
	}
	w.engine, w.client = e, durable.NewClient(e)
	return e.Start(w.Context())
}

func (w *world) mustStart() {
	w.Helper()
	if err := w.start(w.store); err != nil {
		w.Fatal(err)
	}
}

// stop ends the engine, whatever state it is in.
func (w *world) stop() {
	if w.engine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := w.engine.Stop(ctx); err != nil && !errors.Is(err, store.ErrOutcomeUnknown) && !errors.Is(err, storetest.ErrInjected) {
		w.Errorf("stop: %v", err)
	}
	w.committer.Close()
	w.engine = nil
}

// restart is what follows the death of a process: its lease has run out.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.leases.Advance(time.Minute)
	w.mustStart()
}

// advance moves the time and waits until what that caused has settled.
func (w *world) advance(d time.Duration) {
	w.clock.Advance(d)
	w.engine.Tick()
	w.engine.WaitIdle()
}

// get returns what is known of an instance.
func (w *world) get(id string) *durable.Instance {
	w.Helper()
	in, err := w.client.Get(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return in
}

// expect waits until nothing is under way and demands a state.
func (w *world) expect(id string, state durable.State) *durable.Instance {
	w.Helper()
	w.engine.WaitIdle()
	in := w.get(id)
	if in.State != state {
		w.Fatalf("instance %q is %s (%s %v), want %s", id, in.State, in.Reason, in.Err, state)
	}
	return in
}

// must fails the test at an error.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// soon waits for a value; it fails the test when none comes.
func soon[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// ended waits for the end of an instance in real time.
func (w *world) ended(id string) *durable.Instance {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	in, err := w.client.Wait(ctx, id)
	if err != nil {
		w.Fatalf("wait for %q: %v", id, err)
	}
	return in
}
