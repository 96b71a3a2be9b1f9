package table_test

import (
	"context"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// File is what the tests keep in tables.
type File struct {
	Name    string
	State   State     `json:"state"`
	Size    int64     `json:"size,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

type State string

var (
	files     = table.Of[File]("files")
	byState   = table.Index("byState", func(f *File) State { return f.State })
	bySize    = table.Index("bySize", func(f *File) int64 { return f.Size })
	byCreated = table.Index("byCreated", func(f *File) time.Time { return f.Created })
	indexed   = table.Of("indexed", byState, bySize, byCreated)
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// app is a store on which units run.
type app struct {
	env       *unit.Env
	committer *store.Committer
}

func newApp(t interface{ Cleanup(func()) }) *app {
	s := memory.New(nil)
	a := &app{
		env:       &unit.Env{Snapshot: s.Snapshot, Now: func() time.Time { return epoch }},
		committer: store.NewCommitter(s, store.CommitterOptions{}),
	}
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
