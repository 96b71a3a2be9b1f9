package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/stream"
)

// Name is what the tests keep in streams.
type Name struct {
	Text string `json:"text"`
	Year int    `json:"year,omitempty"`
}

var (
	names = stream.Of[Name]("names", stream.Partitions(4), stream.KeyBy(func(n Name) string { return n.Text }))
	plain = stream.Of[Name]("plain")
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// app is a store on which units run.
type app struct {
	env       *unit.Env
	committer *store.Committer
	now       time.Time
}

func newApp(t interface{ Cleanup(func()) }) *app {
	s := memory.New(nil)
	a := &app{committer: store.NewCommitter(s, store.CommitterOptions{}), now: epoch}
	a.env = &unit.Env{Snapshot: s.Snapshot, Now: func() time.Time { return a.now }}
	t.Cleanup(func() {
		a.committer.Close()
		_ = s.Close()
	})
	return a
}

// try runs fn in a unit, once.
func (a *app) try(fn func(ctx context.Context) error) error {
	return unit.Run(context.Background(), a.env, a.committer, 1, fn)
}

// run runs fn in a unit that must commit at once.
func (a *app) run(t testing.TB, fn func(ctx context.Context) error) {
	t.Helper()
	if err := a.try(fn); err != nil {
		t.Fatal(err)
	}
}

// read returns up to 100 events of a partition.
func read[T any](t testing.TB, a *app, s *stream.Stream[T], partition int, from stream.Place) (events []stream.Event[T]) {
	t.Helper()
	a.run(t, func(ctx context.Context) (err error) {
		events, err = s.Read(ctx, partition, from, 100)
		return err
	})
	return events
}

// all returns the events of all partitions.
func all[T any](t testing.TB, a *app, s *stream.Stream[T]) (events []stream.Event[T]) {
	t.Helper()
	for p := range s.Settings().Partitions {
		events = append(events, read(t, a, s, p, stream.FromStart)...)
	}
	return events
}

// demo is the app of the examples.
type demo struct {
	*app
	cleanups []func()
}

func (d *demo) Cleanup(f func()) { d.cleanups = append(d.cleanups, f) }

func startApp() *demo {
	d := &demo{}
	d.app = newApp(d)
	return d
}

func (d *demo) stop() {
	for _, f := range d.cleanups {
		f()
	}
}

// Unit runs fn as a unit of work.
func (d *demo) Unit(ctx context.Context, fn func(context.Context) error) error {
	return unit.Run(ctx, d.env, d.committer, 5, fn)
}
