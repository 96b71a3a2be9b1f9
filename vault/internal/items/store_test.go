package items_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
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

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	there := w.add(t, secret("there"), "v")
	w.tryManaged(t, "cert", true, nil)
	enough := map[string]string{}
	for i := range model.MaxTags + 1 {
		enough[strings.Repeat("x", i+1)] = ""
	}
	early, late := vaulttest.Epoch, vaulttest.Epoch.Add(time.Second)
	for name, c := range map[string]struct {
		v    items.Version
		want any // an error, or the field of one
	}{
		"no name":              {items.Version{ID: secret("")}, "name"},
		"odd name":             {items.Version{ID: secret("a/b")}, "name"},
		"long name":            {items.Version{ID: secret(strings.Repeat("x", model.MaxName+1))}, "name"},
		"odd vault":            {items.Version{ID: model.ID{Vault: "a.keys", Kind: model.Secrets, Name: "x"}}, "vault"},
		"no kind":              {items.Version{ID: model.ID{Vault: "a", Name: "x"}}, "kind"},
		"odd version":          {items.Version{ID: version(secret("x"), strings.Repeat("G", 32))}, "version"},
		"the same version":     {items.Version{ID: there.ID}, model.ErrExists},
		"times":                {items.Version{ID: secret("x"), Attributes: model.Attributes{NotBefore: late, Expires: early}}, "exp"},
		"the same times":       {items.Version{ID: secret("x"), Attributes: model.Attributes{NotBefore: late, Expires: late}}, "exp"},
		"before all time":      {items.Version{ID: secret("x"), Attributes: model.Attributes{Expires: time.Unix(-1, 0)}}, "exp"},
		"after all time":       {items.Version{ID: secret("x"), Attributes: model.Attributes{NotBefore: time.Unix(1<<50, 0)}}, "nbf"},
		"tags":                 {items.Version{ID: secret("x"), Tags: enough}, "tags"},
		"a long tag":           {items.Version{ID: secret("x"), Tags: map[string]string{strings.Repeat("x", model.MaxTag+1): ""}}, "tags"},
		"a long value":         {items.Version{ID: secret("x"), Tags: map[string]string{"x": strings.Repeat("ä", model.MaxTag+1)}}, "tags"},
		"a tag without a name": {items.Version{ID: secret("x"), Tags: map[string]string{"": "x"}}, "tags"},
		"a tag of bytes":       {items.Version{ID: secret("x"), Tags: map[string]string{"x": "\xff"}}, "tags"},
		"content type":         {items.Version{ID: secret("x"), ContentType: strings.Repeat("x", model.MaxContentType+1)}, "contentType"},
		"a large public part":  {items.Version{ID: secret("x"), Public: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}, "value"},
		"of a certificate":     {items.Version{ID: secret("cert")}, model.ErrManaged},
		"not of a certificate": {items.Version{ID: secret("there"), Managed: true}, model.ErrExists},
	} {
		_, err := w.tryAdd(t, &c.v, "v")
		if field, ok := c.want.(string); ok {
			fault := new(model.FieldError)
			if !errors.As(err, &fault) || fault.Field != field || !errors.Is(err, model.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		} else if !errors.Is(err, c.want.(error)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.add(t, secret(strings.Repeat("x", model.MaxName)), "v")
	if _, err := w.tryAdd(t, &items.Version{ID: secret("x"), Tags: map[string]string{strings.Repeat("ä", model.MaxTag): strings.Repeat("ä", model.MaxTag)}}, ""); err != nil {
		t.Error(err)
	}
}

func version(id model.ID, v string) model.ID {
	id.Version = v
	return id
}

// tryManaged adds a version that is managed or not.
func (w *world) tryManaged(t *testing.T, name string, managed bool, want error) {
	t.Helper()
	if _, err := w.tryAdd(t, &items.Version{ID: secret(name), Managed: managed}, "v"); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

func TestMaxVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.Do(t, func(ctx context.Context) error {
		for range model.MaxVersions {
			if err := w.Add(ctx, &items.Version{ID: secret("x")}, []byte("v")); err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := w.tryAdd(t, &items.Version{ID: secret("X")}, "v"); !errors.Is(err, model.ErrTooMany) {
		t.Error(err)
	}
	backup := must(t, w, func(ctx context.Context) ([]byte, error) { return w.Backup(ctx, secret("x")) })
	must(t, w, func(ctx context.Context) (*items.Version, error) {
		return w.Restore(ctx, "other", model.Secrets, backup)
	})
	w.delete(t, secret("x"))
	if err := w.purge(t, secret("x")); err != nil {
		t.Error(err)
	}
	w.wantWhole(t, 1, 0, model.MaxVersions)
}

// wantWhole checks that nothing is half, and how much there is.
func (w *world) wantWhole(t *testing.T, live, deleted, versions int) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		a, b, c, err := items.Whole(ctx, w.Store)
		if err == nil && (a != live || b != deleted || c != versions) {
			t.Errorf("%d items, %d deleted, %d versions; want %d, %d, %d", a, b, c, live, deleted, versions)
		}
		return err
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	first := w.add(t, secret("x"), "one")
	second := w.add(t, secret("x"), "two")
	w.later(time.Minute)
	no, text, end := false, "text/plain", vaulttest.Epoch.Add(time.Hour+time.Microsecond)
	update := func(id model.ID, c model.Change) (*items.Version, error) {
		return in(t, w, func(ctx context.Context) (*items.Version, error) {
			return w.Update(ctx, id, func(v *items.Version) error {
				v.ID, v.Created, v.Previous, v.Managed = model.ID{}, time.Time{}, "", true // none of that changes
				return items.Apply(v, c)
			})
		})
	}
	for _, c := range []struct {
		id model.ID
		of *items.Version
	}{{secret("X"), second}, {first.ID, first}} {
		got, err := update(c.id, model.Change{Enabled: &no, ContentType: &text, Expires: &end, Tags: map[string]string{"a": "b"}})
		if err != nil || got.ID != c.of.ID || got.Previous != c.of.Previous || got.Managed || !got.Created.Equal(c.of.Created) ||
			!got.Updated.Equal(vaulttest.Epoch.Add(time.Minute)) || got.Enabled || got.ContentType != text || got.Tags["a"] != "b" ||
			!got.Expires.Equal(vaulttest.Epoch.Add(time.Hour)) {
			t.Errorf("%+v, %v", got, err)
		}
		again := must(t, w, func(ctx context.Context) (*items.Version, error) { return w.Get(ctx, c.id) })
		if !reflect.DeepEqual(again, got) {
			t.Errorf("%+v, want %+v", again, got)
		}
	}
	if a, b := w.value(t, first.ID), w.value(t, second.ID); a != "one" || b != "two" {
		t.Errorf("%q, %q", a, b)
	}
	got, err := update(secret("x"), model.Change{Expires: &time.Time{}, Tags: map[string]string{}})
	if err != nil || !got.Expires.IsZero() || len(got.Tags) != 0 || got.ContentType != text {
		t.Errorf("%+v, %v", got, err)
	}
	before := vaulttest.Epoch.Add(-time.Hour)
	if _, err := update(first.ID, model.Change{NotBefore: &end}); !errors.Is(err, model.ErrInvalid) {
		t.Error(err)
	}
	if _, err := update(secret("y"), model.Change{NotBefore: &before}); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
	if _, err := update(version(secret("x"), items.NewVersion()), model.Change{}); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	set := func(name, policy string) error {
		_, err := in(t, w, func(ctx context.Context) (any, error) {
			return nil, w.SetPolicy(ctx, secret(name), []byte(policy))
		})
		return err
	}
	if err := set("x", `{}`); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
	w.add(t, secret("x"), "one")
	if err := set("x", `{"a":1}`); err != nil {
		t.Error(err)
	}
	w.add(t, secret("x"), "two")
	item := must(t, w, func(ctx context.Context) (*items.Item, error) { return w.Item(ctx, secret("x")) })
	if string(item.Policy) != `{"a":1}` {
		t.Errorf("%s", item.Policy)
	}
	if err := set("x", `"`+strings.Repeat("x", 1<<20)+`"`); !errors.Is(err, model.ErrInvalid) {
		t.Error(err)
	}
}

// Who can write to the database cannot make a name answer with the secret of another one, or with an old one.
func TestSealedPartsKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ctx context.Context, w *world, old, now, other *items.Version) error{
		"versions": func(ctx context.Context, w *world, old, now, _ *items.Version) error {
			return items.Swap(ctx, w.Store, old.ID, now.ID)
		},
		"versions of two names": func(ctx context.Context, w *world, _, now, other *items.Version) error {
			return items.Swap(ctx, w.Store, now.ID, other.ID)
		},
		"names": func(ctx context.Context, _ *world, _, now, other *items.Version) error {
			return items.SwapItems(ctx, now.ID, other.ID, true)
		},
		"all but the names": func(ctx context.Context, _ *world, _, now, other *items.Version) error {
			return items.SwapItems(ctx, now.ID, other.ID, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, items.Options{})
			old, now, other := w.add(t, secret("x"), "old"), w.add(t, secret("x"), "now"), w.add(t, secret("other"), "other")
			w.Do(t, func(ctx context.Context) error { return change(ctx, w, old, now, other) })
			value, err := in(t, w, func(ctx context.Context) (string, error) {
				v, err := w.Get(ctx, secret("x"))
				if err != nil {
					return "", err
				}
				b, err := w.Open(ctx, v)
				return string(b), err
			})
			if err == nil || value != "" {
				t.Errorf("%q, %v", value, err)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.add(t, secret("empty"), "")
	w.add(t, secret("full"), "v")
	w.Do(t, func(ctx context.Context) error { return w.Add(ctx, &items.Version{ID: secret("none")}, nil) })
	open := func(v *items.Version) ([]byte, error) {
		return in(t, w, func(ctx context.Context) ([]byte, error) { return w.Open(ctx, v) })
	}
	list := must(t, w, func(ctx context.Context) (model.List[*items.Version], error) {
		return w.List(ctx, model.DefaultVault, model.Secrets, model.Page{}, nil)
	})
	want := map[string][]byte{"empty": {}, "full": []byte("v"), "none": nil}
	for _, v := range list.Items {
		if got, err := open(v); err != nil || !reflect.DeepEqual(got, want[v.Name]) {
			t.Errorf("%s of a list: %#v, %v", v.Name, got, err)
		}
		if got, err := open(&items.Version{ID: v.ID}); err != nil || !reflect.DeepEqual(got, want[v.Name]) {
			t.Errorf("%s by its id: %#v, %v", v.Name, got, err)
		}
	}
	d := w.delete(t, secret("full"))
	if got, err := open(d.Item); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("a deleted one: %q, %v", got, err)
	}
}

// Whoever keeps what was read is told of each change, when it is durable.
func TestChanged(t *testing.T) {
	t.Parallel()
	var changed []string
	w := newWorld(t, items.Options{Changed: func(id model.ID) { changed = append(changed, id.String()) }})
	want := func(step string, names ...string) {
		t.Helper()
		if !reflect.DeepEqual(changed, names) {
			t.Errorf("%s: told of %v, want %v", step, changed, names)
		}
		changed = nil
	}
	v := w.add(t, secret("Db"), "one")
	want("add", "default/secrets/Db")
	w.add(t, secret("db"), "two")
	want("a second version", "default/secrets/Db")
	w.Do(t, func(ctx context.Context) error {
		_, err := w.Update(ctx, v.ID, func(*items.Version) error { return nil })
		return err
	})
	want("update", "default/secrets/Db")
	lost := errors.New("the unit fails")
	err := w.Unit(context.Background(), func(ctx context.Context) error {
		if err := w.Add(ctx, &items.Version{ID: secret("db")}, nil); err != nil {
			return err
		}
		return lost
	})
	if !errors.Is(err, lost) {
		t.Error(err)
	}
	want("a unit that fails")
	w.value(t, secret("db"))
	backup := must(t, w, func(ctx context.Context) ([]byte, error) { return w.Backup(ctx, secret("db")) })
	want("reads")
	w.delete(t, secret("db"))
	want("delete", "default/secrets/Db")
	must(t, w, func(ctx context.Context) (*items.Version, error) { return w.Recover(ctx, secret("DB")) })
	want("recover", "default/secrets/Db")
	must(t, w, func(ctx context.Context) (*items.Version, error) {
		return w.Restore(ctx, "other", model.Secrets, backup)
	})
	want("restore", "other/secrets/Db")
	if items.Canonical(secret("Db")) != items.Canonical(secret("dB")) {
		t.Error("one name, two ids")
	}
}
