package unit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// world is a store with what units need to run on it.
type world struct {
	store *memory.Store
	*store.Committer
	env *unit.Env
}

func newWorld(t interface{ Cleanup(func()) }) *world {
	s := memory.New(nil)
	w := &world{store: s, Committer: store.NewCommitter(s, store.CommitterOptions{})}
	w.env = &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
	t.Cleanup(func() {
		w.Committer.Close()
		_ = s.Close()
	})
	return w
}

// run runs fn as a unit that must commit at its first attempt.
func (w *world) run(t testing.TB, fn func(u *unit.Unit) error) {
	t.Helper()
	if err := w.try(1, func(_ context.Context, u *unit.Unit) error { return fn(u) }); err != nil {
		t.Fatal(err)
	}
}

func (w *world) try(attempts int, fn func(context.Context, *unit.Unit) error) error {
	return unit.Run(context.Background(), w.env, w, attempts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return fn(ctx, u)
	})
}

// set commits key=value in a unit of its own.
func (w *world) set(t testing.TB, key, value string) {
	t.Helper()
	w.run(t, func(u *unit.Unit) error { return u.Put([]byte(key), []byte(value)) })
}

// all returns what is committed, as "key=value" in order.
func (w *world) all(t testing.TB) []string {
	t.Helper()
	var all []string
	w.run(t, func(u *unit.Unit) (err error) {
		all, err = scan(u, store.Range{}, -1)
		return err
	})
	return all
}

// scan returns the first n items of r as "key=value"; all if n is negative.
func scan(u *unit.Unit, r store.Range, n int) ([]string, error) {
	found := []string{}
	err := u.Scan(r, func(it store.Item) bool {
		found = append(found, fmt.Sprintf("%s=%s", it.Key, it.Value))
		return len(found) != n
	})
	return found, err
}

func get(t testing.TB, u *unit.Unit, key string) string {
	t.Helper()
	value, err := u.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if value == nil {
		return "absent"
	}
	return string(value)
}

func wantItems(t testing.TB, what string, got []string, want string) {
	t.Helper()
	if !slices.Equal(got, strings.Fields(want)) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
