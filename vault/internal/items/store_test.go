package items_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	first := w.add(t, secret("Db-Password"), "one")
	if len(first.Version) != 32 || first.Previous != "" || !first.Created.Equal(vaulttest.Epoch) || !first.Updated.Equal(vaulttest.Epoch) {
		t.Errorf("%+v", first)
	}
	w.later(90 * time.Minute)
	second := w.add(t, secret("DB-PASSWORD"), "two")
	if second.Previous != first.Version || second.Name != "Db-Password" || !second.Created.Equal(vaulttest.Epoch.Add(90*time.Minute)) {
		t.Errorf("%+v", second)
	}
	for _, c := range []struct{ name, version, value string }{
		{"db-password", "", "two"}, {"Db-Password", second.Version, "two"}, {"dB-pASSWORD", first.Version, "one"},
	} {
		id := secret(c.name)
		id.Version = c.version
		if got := w.value(t, id); got != c.value {
			t.Errorf("%s: %q", id, got)
		}
	}
	item := must(t, w, func(ctx context.Context) (*items.Item, error) { return w.Item(ctx, secret("db-password")) })
	if item.Current != second.Version || item.Name != "Db-Password" || !item.Created.Equal(vaulttest.Epoch) || item.Deletion != nil {
		t.Errorf("%+v", item)
	}
	for name, id := range map[string]model.ID{
		"another name":    secret("db"),
		"another vault":   {Vault: "other", Kind: model.Secrets, Name: "Db-Password"},
		"another kind":    {Vault: model.DefaultVault, Kind: model.Keys, Name: "Db-Password"},
		"another version": {Vault: model.DefaultVault, Kind: model.Secrets, Name: "Db-Password", Version: items.NewVersion()},
		"no version":      {Vault: model.DefaultVault, Kind: model.Secrets, Name: "Db-Password", Version: "../x"},
	} {
		_, err := in(t, w, func(ctx context.Context) (*items.Version, error) { return w.Get(ctx, id) })
		if !errors.Is(err, model.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
