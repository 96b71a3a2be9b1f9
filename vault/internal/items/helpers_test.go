package items_test

import (
	"context"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// world is a store of items on a store in memory.
type world struct {
	*vaulttest.World
	*items.Store
}

func newWorld(t *testing.T, o items.Options) *world {
	t.Helper()
	w := vaulttest.New(t)
	return &world{w, items.New(w.Env, o)}
}

// in returns what fn returns in a unit of work.
func in[T any](t *testing.T, w *world, fn func(ctx context.Context) (T, error)) (T, error) {
	t.Helper()
	var out T
	err := w.Unit(context.Background(), func(ctx context.Context) (err error) {
		out, err = fn(ctx)
		return err
	})
	return out, err
}

// must is in for what must not fail.
func must[T any](t *testing.T, w *world, fn func(ctx context.Context) (T, error)) T {
	t.Helper()
	out, err := in(t, w, fn)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func secret(name string) model.ID {
	return model.ID{Vault: model.DefaultVault, Kind: model.Secrets, Name: name}
}

// add gives an item a version.
func (w *world) add(t *testing.T, id model.ID, value string) *items.Version {
	t.Helper()
	v, err := w.tryAdd(t, &items.Version{ID: id, Attributes: model.Attributes{Enabled: true}}, value)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) tryAdd(t *testing.T, v *items.Version, value string) (*items.Version, error) {
	t.Helper()
	return in(t, w, func(ctx context.Context) (*items.Version, error) {
		added := *v
		return &added, w.Add(ctx, &added, []byte(value))
	})
}

// value is the secret of a version.
func (w *world) value(t *testing.T, id model.ID) string {
	t.Helper()
	return string(must(t, w, func(ctx context.Context) ([]byte, error) {
		v, err := w.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		return w.Open(ctx, v)
	}))
}

func (w *world) delete(t *testing.T, id model.ID) *model.Deleted[*items.Version] {
	t.Helper()
	return must(t, w, func(ctx context.Context) (*model.Deleted[*items.Version], error) { return w.Delete(ctx, id) })
}

func (w *world) purge(t *testing.T, id model.ID) error {
	t.Helper()
	_, err := in(t, w, func(ctx context.Context) (struct{}, error) { return struct{}{}, w.Purge(ctx, id) })
	return err
}

// later moves the time.
func (w *world) later(d time.Duration) { w.Clock.Advance(d) }
