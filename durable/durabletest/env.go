// Package durabletest runs orchestrations inside go test: on a store in memory, with
// virtual time, and with every instance evicted and replayed after each turn, so that
// code which is not deterministic fails its test.
//
//	func TestApproval(t *testing.T) {
//		env := durabletest.New(t, Process.Impl(process), Charge.Impl(fakeCharge))
//		id := durabletest.Start(env, Process, Order{})
//		env.Advance(72 * time.Hour)
//		_, err := durabletest.Wait(env, Process, id) // ErrTimeout
//	}
package durabletest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// Env is an engine under test. Its clock stands still except in Advance and Wait.
type Env struct {
	// Client manages the instances.
	Client *durable.Client

	t         testing.TB
	impls     []durable.Implementation
	store     store.Store
	clock     *clock.Manual
	committer *store.Committer
	engine    *engine.Engine
	unitEnv   *unit.Env
}

// New starts an engine that runs the given implementations until the test ends.
func New(t testing.TB, impls ...durable.Implementation) *Env {
	t.Helper()
	env := &Env{
		t: t, impls: impls,
		store: memory.New(nil),
		clock: clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	env.start()
	t.Cleanup(func() {
		env.stop()
		if err := env.store.Close(); err != nil {
			t.Errorf("durabletest: close the store: %v", err)
		}
	})
	return env
}

func (env *Env) start() {
	env.t.Helper()
	env.committer = store.NewCommitter(env.store, store.CommitterOptions{})
	env.unitEnv = &unit.Env{Snapshot: env.store.Snapshot, Now: env.clock.Now}
	e, err := engine.New(engine.Options{
		Store: env.store, Committer: env.committer, Env: env.unitEnv, Clock: env.clock,
		Logger: slog.New(slog.NewTextHandler(env.t.Output(), nil)), ReplayAlways: true,
	})
	if err != nil {
		env.t.Fatalf("durabletest: %v", err)
	}
	env.unitEnv.Orchestrator = e
	for _, impl := range env.impls {
		if err := impl.Register(e); err != nil {
			env.t.Fatalf("durabletest: %v", err)
		}
	}
	if err := e.Start(env.t.Context()); err != nil {
		env.t.Fatalf("durabletest: %v", err)
	}
	env.engine, env.Client = e, durable.NewClient(e)
}

func (env *Env) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := env.engine.Stop(ctx); err != nil {
		env.t.Errorf("durabletest: stop: %v", err)
	}
	env.committer.Close()
}

// Restart stops the engine and starts another one on the same store, with the given
// implementations or, without any, the same ones: a deploy. Env.Client is replaced.
func (env *Env) Restart(impls ...durable.Implementation) {
	env.t.Helper()
	env.stop()
	if len(impls) > 0 {
		env.impls = impls
	}
	env.start()
	env.Settle()
}

// Now returns the virtual time.
func (env *Env) Now() time.Time { return env.clock.Now() }

// Settle waits until nothing is under way: every instance waits for time, an event or
// a completion from outside.
func (env *Env) Settle() { env.engine.WaitIdle() }

// Advance moves the virtual time by d, firing the timers on the way in their order and
// waiting until what they caused has settled. It must not be called while an activity
// waits for time to pass; see Skip.
func (env *Env) Advance(d time.Duration) {
	env.t.Helper()
	end := env.clock.Now().Add(d)
	for env.next(end) {
	}
	env.Skip(end.Sub(env.clock.Now()))
	env.Settle()
}

// Skip moves the virtual time by d at once, without waiting for running activities.
func (env *Env) Skip(d time.Duration) {
	env.clock.Advance(d)
	env.engine.Tick()
}

// next settles and goes to the next timer that is due by end; false without one.
func (env *Env) next(end time.Time) bool {
	env.t.Helper()
	env.Settle()
	due, ok, err := env.engine.NextTimer()
	if err != nil {
		env.t.Fatalf("durabletest: timers: %v", err)
	}
	if !ok || due.After(end) {
		return false
	}
	if d := due.Sub(env.clock.Now()); d > 0 {
		env.clock.Advance(d)
	}
	env.engine.Tick()
	env.Settle()
	return true
}

// Unit runs f in a unit of work, as a function of an app is run.
func (env *Env) Unit(f func(ctx context.Context) error) error {
	return unit.Run(env.t.Context(), env.unitEnv, env.committer, 10, f)
}

// Start starts an instance and waits until it has settled.
func Start[In, Out any](env *Env, o *durable.Orchestration[In, Out], in In, opts ...durable.StartOption) string {
	env.t.Helper()
	id, err := o.StartWith(env.t.Context(), env.Client, in, opts...)
	if err != nil {
		env.t.Fatalf("durabletest: start %s: %v", o.Name(), err)
	}
	env.Settle()
	return id
}

// Raise raises an event and waits until what it caused has settled.
func Raise[T any](env *Env, e *durable.Event[T], id string, payload T, opts ...durable.RaiseOption) {
	env.t.Helper()
	if err := e.RaiseWith(env.t.Context(), env.Client, id, payload, opts...); err != nil {
		env.t.Fatalf("durabletest: raise %s: %v", e.Name(), err)
	}
	env.Settle()
}

// Wait lets time pass until the instance has ended and returns its output. An instance
// that waits for something which time alone does not bring fails the test.
func Wait[In, Out any](env *Env, o *durable.Orchestration[In, Out], id string) (Out, error) {
	env.t.Helper()
	for {
		env.Settle()
		in, err := env.Client.Get(env.t.Context(), id)
		if err != nil {
			env.t.Fatalf("durabletest: %v", err)
		}
		if in.State.Ended() {
			return o.WaitWith(env.t.Context(), env.Client, id)
		}
		if in.State == durable.Stalled {
			env.t.Fatalf("durabletest: instance %q is stalled: %s", id, in.Reason)
		}
		if !env.next(env.clock.Now().AddDate(100, 0, 0)) {
			env.t.Fatalf("durabletest: instance %q (%s) waits for something that time does not bring", id, in.State)
		}
	}
}

// Run starts an instance, lets time pass until it has ended and returns its output.
func Run[In, Out any](env *Env, o *durable.Orchestration[In, Out], in In, opts ...durable.StartOption) (Out, error) {
	env.t.Helper()
	return Wait(env, o, Start(env, o, in, opts...))
}
