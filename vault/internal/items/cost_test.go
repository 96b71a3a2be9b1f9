package items_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// counting is a store that counts what is read of it.
type counting struct {
	store.Store
	gets atomic.Int64
}

func (c *counting) Snapshot() (store.Snapshot, error) {
	s, err := c.Store.Snapshot()
	return &countingSnapshot{s, c}, err
}

func (c *counting) Close() error { return nil }

type countingSnapshot struct {
	store.Snapshot
	c *counting
}

func (s *countingSnapshot) Get(key []byte) ([]byte, store.Version, error) {
	s.c.gets.Add(1)
	return s.Snapshot.Get(key)
}

func (s *countingSnapshot) Scan(r store.Range, visit func(store.Item) bool) error {
	return s.Snapshot.Scan(r, func(i store.Item) bool {
		s.c.gets.Add(1)
		return visit(i)
	})
}

// What an operation costs does not depend on how many versions there are.
func TestCost(t *testing.T) {
	t.Parallel()
	inside := memory.New(nil)
	t.Cleanup(func() { _ = inside.Close() })
	c := &counting{Store: inside}
	ground := vaulttest.On(t, c)
	w := &world{ground, items.New(ground.Env, items.Options{})}
	first := w.add(t, secret("x"), "v")
	for _, n := range []int{1, 300} {
		w.Do(t, func(ctx context.Context) error { return addMany(ctx, w.Store, "x", n) })
		for _, step := range []struct {
			what  string
			do    func()
			reads int64
		}{
			{"get the current one", func() { w.value(t, secret("x")) }, 2},
			{"get the first one", func() { w.value(t, first.ID) }, 2},
			{"add", func() { w.add(t, secret("x"), "v") }, 3},
			{"update", func() {
				w.Do(t, func(ctx context.Context) error {
					_, err := w.Update(ctx, first.ID, func(*items.Version) error { return nil })
					return err
				})
			}, 3},
			{"delete", func() { w.delete(t, secret("x")) }, 5},
			{"recover", func() {
				must(t, w, func(ctx context.Context) (*items.Version, error) { return w.Recover(ctx, secret("x")) })
			}, 5},
		} {
			before := c.gets.Load()
			step.do()
			if got := c.gets.Load() - before; got != step.reads {
				t.Errorf("%d versions: %s: %d reads, want %d", n, step.what, got, step.reads)
			}
		}
	}
}

// Of many who give an item a new version at a time none is lost, and each has another one before it.
func TestConcurrentVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	const workers, each = 8, 10
	var all sync.WaitGroup
	errs := make(chan error, workers)
	for i := range workers {
		all.Go(func() {
			for n := range each {
				err := w.Unit(context.Background(), func(ctx context.Context) error {
					return w.Add(ctx, &items.Version{ID: secret("x")}, fmt.Appendf(nil, "%d-%d", i, n))
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	w.wantWhole(t, 1, 0, workers*each)
}

// Of an add and a delete of one name at a time the later one sees the earlier one.
func TestDeleteWhileAdding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	var all sync.WaitGroup
	run := func(fn func(ctx context.Context) error, allowed ...error) {
		all.Go(func() {
			for range 30 {
				err := w.Unit(context.Background(), fn)
				for _, a := range allowed {
					if errors.Is(err, a) {
						err = nil
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	run(func(ctx context.Context) error {
		return w.Add(ctx, &items.Version{ID: secret("x")}, []byte("v"))
	}, model.ErrDeleted)
	run(func(ctx context.Context) error { _, err := w.Delete(ctx, secret("x")); return err }, model.ErrNotFound)
	run(func(ctx context.Context) error { _, err := w.Recover(ctx, secret("x")); return err }, model.ErrNotFound)
	run(func(ctx context.Context) error { return w.Purge(ctx, secret("x")) }, model.ErrNotFound)
	all.Wait()
	w.Do(t, func(ctx context.Context) error {
		live, deleted, _, err := items.Whole(ctx, w.Store)
		if live+deleted > 1 {
			t.Errorf("%d live, %d deleted", live, deleted)
		}
		return err
	})
}
