package items_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// mortal is a store that dies at a commit, which is lost or kept without anybody hearing of it.
type mortal struct {
	store.Store
	mu   sync.Mutex
	left int // commits until it dies; negative never
	kept bool
	dead bool
}

func (m *mortal) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 {
		m.left--
	}
	if m.left != 0 && !m.dead {
		return m.Store.Commit(ctx, group)
	}
	if !m.dead && m.kept {
		_, _ = m.Store.Commit(ctx, group) // its result is what a crash hides
	}
	m.dead = true
	return nil, fmt.Errorf("%w: it has crashed", store.ErrOutcomeUnknown)
}

func (m *mortal) Close() error { return nil }

// state is how many rows there are.
type state struct{ live, deleted, versions int }

// life is what happens to the items of the crash test, with how many rows there are after each unit.
var life = []struct {
	what string
	do   func(ctx context.Context, s *items.Store) error
	then state
	wait time.Duration // before it
}{
	{"add", func(ctx context.Context, s *items.Store) error {
		return s.Add(ctx, &items.Version{ID: secret("many")}, []byte("value"))
	}, state{1, 0, 1}, 0},
	{"a second version", func(ctx context.Context, s *items.Store) error {
		return s.Add(ctx, &items.Version{ID: secret("many")}, []byte("value"))
	}, state{1, 0, 2}, 0},
	{"48 more in one unit", func(ctx context.Context, s *items.Store) error {
		return addMany(ctx, s, "many", 48)
	}, state{1, 0, 50}, 0},
	{"delete", func(ctx context.Context, s *items.Store) error {
		_, err := s.Delete(ctx, secret("many"))
		return err
	}, state{0, 1, 50}, 0},
	{"recover", func(ctx context.Context, s *items.Store) error {
		_, err := s.Recover(ctx, secret("many"))
		return err
	}, state{1, 0, 50}, 0},
	{"restore", func(ctx context.Context, s *items.Store) error {
		backup, err := s.Backup(ctx, secret("many"))
		if err == nil {
			_, err = s.Restore(ctx, "other", model.Secrets, backup)
		}
		return err
	}, state{2, 0, 100}, 0},
	{"delete again", func(ctx context.Context, s *items.Store) error {
		_, err := s.Delete(ctx, secret("many"))
		return err
	}, state{1, 1, 100}, 0},
	{"reuse", func(ctx context.Context, s *items.Store) error { return addMany(ctx, s, "many", 2) }, state{2, 1, 102}, 0},
	{"delete what reuses", func(ctx context.Context, s *items.Store) error {
		_, err := s.Delete(ctx, secret("many"))
		return err
	}, state{1, 2, 102}, 0},
	{"purge", func(ctx context.Context, s *items.Store) error { return s.Purge(ctx, secret("many")) }, state{1, 1, 100}, 0},
	{"purge what had the name before", func(ctx context.Context, s *items.Store) error { return s.Purge(ctx, secret("many")) }, state{1, 0, 50}, 0},
	{"12 items of 50 versions", func(ctx context.Context, s *items.Store) error {
		for i := range 12 {
			name := fmt.Sprintf("due-%d", i)
			if err := addMany(ctx, s, name, 50); err != nil {
				return err
			}
			if _, err := s.Delete(ctx, secret(name)); err != nil {
				return err
			}
		}
		return nil
	}, state{1, 12, 650}, 0},
	{"the first step of purging them", purgeStep, state{1, 2, 150}, 90 * day},
	{"the second one", purgeStep, state{1, 0, 50}, 0},
}

func addMany(ctx context.Context, s *items.Store, name string, n int) error {
	for range n {
		if err := s.Add(ctx, &items.Version{ID: secret(name)}, []byte("value")); err != nil {
			return err
		}
	}
	return nil
}

func purgeStep(ctx context.Context, s *items.Store) error {
	_, _, err := s.PurgeDue(ctx)
	return err
}

// TestCrash kills the store at each commit: then nothing is half, and what was answered is there.
func TestCrash(t *testing.T) {
	t.Parallel()
	for at := range life {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, kept %v", life[at].what, kept), func(t *testing.T) {
				t.Parallel()
				crash(t, at, kept)
			})
		}
	}
}

func crash(t *testing.T, at int, kept bool) {
	inside := memory.New(nil)
	t.Cleanup(func() { _ = inside.Close() })
	m := &mortal{Store: inside, left: at + 1, kept: kept}
	ground := vaulttest.On(t, m)
	changed := 0
	o := items.Options{ReuseDeleted: func(string) bool { return true }, Changed: func(model.ID) { changed++ }}
	s := items.New(ground.Env, o)
	answered := state{}
	for i, step := range life {
		ground.Clock.Advance(step.wait)
		before := changed
		err := ground.Unit(context.Background(), func(ctx context.Context) error { return step.do(ctx, s) })
		if (err == nil) != (i < at) {
			t.Fatalf("%s: %v", step.what, err)
		}
		if err != nil {
			if changed != before {
				t.Errorf("%s: told of a change that is not known to be durable", step.what)
			}
			break
		}
		answered = step.then
	}
	// The process starts again on what is durable.
	again := vaulttest.On(t, inside)
	again.Env.Seal = ground.Seal
	again.Clock.AdvanceTo(ground.Clock.Now())
	w := &world{again, items.New(again.Env, o)}
	want := answered
	if kept {
		want = life[at].then
	}
	w.wantWhole(t, want.live, want.deleted, want.versions)
	// Life goes on: what was not answered can be done again.
	first := at
	if kept {
		first++
	}
	for _, step := range life[first:min(first+2, len(life))] {
		w.later(step.wait)
		w.Do(t, func(ctx context.Context) error { return step.do(ctx, w.Store) })
		w.wantWhole(t, step.then.live, step.then.deleted, step.then.versions)
	}
}
