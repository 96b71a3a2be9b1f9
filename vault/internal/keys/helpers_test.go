package keys_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

var by = model.Caller{} // the guard of the tests lets everybody

const day = 24 * time.Hour

// world is a service of keys on a store in memory.
type world struct {
	*vaulttest.World
	*keys.Service
	store *items.Store
}

func newWorld(t testing.TB, o keys.Options) *world {
	t.Helper()
	w := vaulttest.New(t)
	store := items.New(w.Env, items.Options{})
	return &world{w, keys.New(w.Env, store, w.Guard, o), store}
}

// later moves the time.
func (w *world) later(d time.Duration) { w.Clock.Advance(d) }

func id(name string) model.ID {
	return model.ID{Vault: model.DefaultVault, Kind: model.Keys, Name: name}
}

// at is a version of a key.
func at(name, version string) model.ID {
	i := id(name)
	i.Version = version
	return i
}

// create makes a key: "EC", "RSA", "oct 256", …
func (w *world) create(t testing.TB, name, typ string, ops ...string) *model.Key {
	t.Helper()
	c := model.CreateKey{Type: typ, Ops: ops}
	if typ == "oct 512" {
		c.Type, c.Size = "oct", 512
	}
	return must[*model.Key](t)(w.Create(t.Context(), by, id(name), c))
}

// change changes attributes of a version.
func (w *world) change(t testing.TB, i model.ID, c model.Change) *model.Key {
	t.Helper()
	return must[*model.Key](t)(w.Update(t.Context(), by, i, model.UpdateKey{Change: c}))
}

func digest(message string) []byte {
	d := sha256.Sum256([]byte(message))
	return d[:]
}

// must returns what came without an error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// wantField fails unless err is about a field of a request, with a text in it.
func wantField(t testing.TB, err error, field, text string) {
	t.Helper()
	var f *model.FieldError
	if !errors.As(err, &f) || f.Field != field || !strings.Contains(f.Detail, text) {
		t.Errorf("error %v, want one of field %q with %q", err, field, text)
	}
}

// in runs fn in a unit of work that must succeed.
func (w *world) in(t testing.TB, fn func(ctx context.Context)) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		fn(ctx)
		return nil
	})
}

func ptr[T any](v T) *T { return &v }
