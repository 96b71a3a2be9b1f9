// Package vaulttest is the ground of a vault for tests: real units of work on a store in memory, time that the test
// moves, and a guard that lets everybody do everything and remembers it.
package vaulttest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault/internal/model"
)

// Epoch is when a World begins.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// World is what the parts of a vault work with.
type World struct {
	*model.Env
	Clock *clock.Manual // that of Env.Now
	Guard *Guard
}

// New returns a world on a store in memory. It ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	return On(t, s)
}

// On returns a world on a store. The test closes the store after it has ended.
func On(t testing.TB, s store.Store) *World {
	t.Helper()
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(committer.Close)
	w := &World{Clock: clock.NewManual(Epoch)}
	env := &unit.Env{Snapshot: s.Snapshot, Now: w.Clock.Now}
	w.Env = &model.Env{
		Unit: func(ctx context.Context, fn func(ctx context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
		Now: func() time.Time { return w.Clock.Now().UTC() }, Seal: keystore.NewMemory(),
		OnCommit: func(ctx context.Context, f func()) {
			if u, err := unit.From(ctx); err == nil {
				u.OnCommit(f)
			}
		},
	}
	w.Guard = &Guard{env: w.Env}
	return w
}

// Do runs fn in a unit of work that must succeed.
func (w *World) Do(t testing.TB, fn func(ctx context.Context) error) {
	t.Helper()
	if err := w.Unit(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// Guard lets everybody do everything.
type Guard struct {
	env *model.Env

	mu   sync.Mutex
	done []model.Operation
}

var _ model.Guard = (*Guard)(nil)

// Done returns the operations that succeeded, in their order, and forgets them.
func (g *Guard) Done() []model.Operation {
	g.mu.Lock()
	defer g.mu.Unlock()
	done := g.done
	g.done = nil
	return done
}

// Do implements model.Guard.
func (g *Guard) Do(ctx context.Context, _ model.Caller, op *model.Operation, fn func(ctx context.Context) error) error {
	if err := g.env.Unit(ctx, fn); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = append(g.done, *op)
	return nil
}

// Visible implements model.Guard.
func (g *Guard) Visible(ctx context.Context, by model.Caller, op *model.Operation, fn func(ctx context.Context, visible func(name string) bool) error) error {
	return g.Do(ctx, by, op, func(ctx context.Context) error {
		return fn(ctx, func(string) bool { return true })
	})
}
