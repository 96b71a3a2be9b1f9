package queue_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// Batch is what the tests send.
type Batch struct {
	ID       string `json:"id"`
	Customer string `json:"customer,omitempty"`
}

// app is a store on which units run, and what handles messages.
type app struct {
	t          testing.TB
	clock      *clock.Manual
	env        *unit.Env
	committer  *store.Committer
	dispatcher *delivery.Dispatcher

	mu   sync.Mutex
	seen []string
}

func newApp(t testing.TB) *app {
	s := memory.New(nil)
	c := clock.NewManual(noon)
	a := &app{t: t, clock: c, env: &unit.Env{Snapshot: s.Snapshot, Now: c.Now}}
	a.committer = store.NewCommitter(s, store.CommitterOptions{})
	var err error
	if a.dispatcher, err = delivery.New(delivery.Config{Env: a.env, Committer: a.committer, Clock: c}); err != nil {
		t.Fatal(err)
	}
	a.env.Deliver = a.dispatcher.Deliver
	t.Cleanup(func() {
		_ = a.dispatcher.Stop(context.Background())
		a.committer.Close()
		_ = s.Close()
	})
	return a
}

// handle begins to handle the messages of a queue, one at a time, and notes them.
func (a *app) handle(queue string) {
	a.t.Helper()
	err := a.dispatcher.Register(delivery.Function{
		Name: "queue/" + queue, Policy: delivery.Policy{Concurrency: 1},
		Handle: func(_ context.Context, d *delivery.Delivery) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.seen = append(a.seen, string(d.Event))
			return nil
		},
	})
	if err == nil {
		err = a.dispatcher.Start(context.Background())
	}
	if err == nil {
		err = a.dispatcher.Idle(context.Background())
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// handled waits until nothing is to be handled now and returns what was.
func (a *app) handled() []string {
	a.t.Helper()
	if err := a.dispatcher.Idle(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.seen...)
}

// try runs fn in a unit, once.
func (a *app) try(fn func(ctx context.Context) error) error {
	return unit.Run(context.Background(), a.env, a.committer, 1, fn)
}

// run runs fn in a unit that must commit.
func (a *app) run(fn func(ctx context.Context) error) {
	a.t.Helper()
	if err := unit.Run(context.Background(), a.env, a.committer, 100, fn); err != nil {
		a.t.Fatal(err)
	}
}
