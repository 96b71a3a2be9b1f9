package secrets_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/secrets"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

type world struct {
	*vaulttest.World
	*secrets.Service
	store *items.Store
}

var ctx = context.Background()

func newWorld(t *testing.T) *world {
	t.Helper()
	w := vaulttest.New(t)
	store := items.New(w.Env, items.Options{})
	return &world{w, secrets.New(w.Env, store, w.Guard), store}
}

func id(name string) model.ID { return model.ID{Vault: model.DefaultVault, Name: name} }

func (w *world) set(t *testing.T, name, value string, c model.Change) *model.Secret {
	t.Helper()
	s, err := w.Set(ctx, model.Operator, id(name), model.SetSecret{Value: value, Change: c})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantOps are the operations that the guard has let through since it was last asked.
func (w *world) wantOps(t *testing.T, want ...model.Op) []model.Operation {
	t.Helper()
	done := w.Guard.Done()
	var got []model.Op
	for _, o := range done {
		got = append(got, o.Op)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("operations %v, want %v", got, want)
	}
	return done
}

func TestSetAndGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, end := "text/plain", vaulttest.Epoch.Add(time.Hour+time.Millisecond)
	first := w.set(t, "Db", "one", model.Change{ContentType: &text, Expires: &end, Tags: map[string]string{"a": "b"}})
	second := w.set(t, "db", "two", model.Change{})
	if second.Previous != first.Version || second.Name != "Db" || second.Value != "two" || second.Kind != model.Secrets ||
		second.ContentType != "" || second.Tags != nil || !second.Expires.IsZero() || !second.Enabled {
		t.Errorf("%+v", second)
	}
	got, err := w.Get(ctx, model.Operator, id("DB"))
	if err != nil || !reflect.DeepEqual(got, second) {
		t.Errorf("%+v, %v; want %+v", got, err, second)
	}
	got, err = w.Get(ctx, model.Operator, first.ID)
	if err != nil || !reflect.DeepEqual(got, first) || got.ContentType != text || got.Tags["a"] != "b" || !got.Expires.Equal(vaulttest.Epoch.Add(time.Hour)) {
		t.Errorf("%+v, %v; want %+v", got, err, first)
	}
	done := w.wantOps(t, model.OpSet, model.OpSet, model.OpGet, model.OpGet)
	for i, v := range []*model.Secret{first, second, second, first} {
		if done[i].ID != v.ID {
			t.Errorf("operation %d is noted for %v, not %v", i, done[i].ID, v.ID)
		}
	}
	if _, err := w.Get(ctx, model.Operator, id("other")); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
}

// As in Azure Key Vault times are for information, and what is disabled is kept from everybody.
func TestWhatMayBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	yes, no := true, false
	past, future := vaulttest.Epoch.Add(-time.Hour), vaulttest.Epoch.Add(time.Hour)
	for _, c := range []struct {
		name   string
		change model.Change
		want   error
	}{
		{"plain", model.Change{}, nil},
		{"enabled", model.Change{Enabled: &yes}, nil},
		{"expired", model.Change{Expires: &past}, nil},
		{"future", model.Change{NotBefore: &future}, nil},
		{"disabled", model.Change{Enabled: &no}, model.ErrDisabled},
	} {
		w.set(t, c.name, "v", c.change)
		if _, err := w.Get(ctx, model.Operator, id(c.name)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := w.Update(ctx, model.Operator, id("disabled"), model.Change{Enabled: &yes}); err != nil {
		t.Error(err)
	}
	if got, err := w.Get(ctx, model.Operator, id("disabled")); err != nil || got.Value != "v" {
		t.Errorf("enabled again: %+v, %v", got, err)
	}
}

func TestBadSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early, late := vaulttest.Epoch, vaulttest.Epoch.Add(time.Hour)
	for name, c := range map[string]struct {
		id    model.ID
		set   model.SetSecret
		field string
	}{
		"too long":       {id("x"), model.SetSecret{Value: strings.Repeat("x", model.MaxSecret+1)}, "value"},
		"not UTF-8":      {id("x"), model.SetSecret{Value: "\xff"}, "value"},
		"ends first":     {id("x"), model.SetSecret{Change: model.Change{NotBefore: &late, Expires: &early}}, "exp"},
		"odd name":       {id("a_b"), model.SetSecret{}, "name"},
		"no name":        {id(""), model.SetSecret{}, "name"},
		"no vault":       {model.ID{Name: "x"}, model.SetSecret{}, "vault"},
		"too many tags":  {id("x"), model.SetSecret{Change: model.Change{Tags: manyTags(model.MaxTags + 1)}}, "tags"},
		"a vault's path": {model.ID{Vault: "a.secrets", Name: "x"}, model.SetSecret{}, "vault"},
	} {
		_, err := w.Set(ctx, model.Operator, c.id, c.set)
		fault := new(model.FieldError)
		if !errors.As(err, &fault) || fault.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.wantOps(t)
	w.set(t, "longest", strings.Repeat("x", model.MaxSecret), model.Change{Tags: manyTags(model.MaxTags)})
	w.set(t, "empty", "", model.Change{})
	if got, err := w.Get(ctx, model.Operator, id("empty")); err != nil || got.Value != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func manyTags(n int) map[string]string {
	tags := map[string]string{}
	for i := range n {
		tags[strings.Repeat("t", i+1)] = "v"
	}
	return tags
}

func TestLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"b", "A", "c"} {
		w.set(t, name, "value", model.Change{})
	}
	w.set(t, "a", "value", model.Change{})
	list, err := w.List(ctx, model.Operator, model.DefaultVault, model.Page{Max: 2})
	if err != nil || len(list.Items) != 2 || list.Items[0].Name != "A" || list.Items[1].Name != "b" || list.Items[0].Value != "" || list.Next == "" {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = w.List(ctx, model.Operator, model.DefaultVault, model.Page{Cursor: list.Next})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "c" || list.Next != "" {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = w.Versions(ctx, model.Operator, id("a"), model.Page{})
	if err != nil || len(list.Items) != 2 || list.Items[0].Previous != list.Items[1].Version || list.Items[0].Value != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := w.Versions(ctx, model.Operator, id("none"), model.Page{}); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
}

func TestDeleteAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.set(t, "db", "one", model.Change{})
	backup, err := w.Backup(ctx, model.Operator, id("db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Restore(ctx, model.Operator, model.DefaultVault, backup); !errors.Is(err, model.ErrExists) {
		t.Error(err)
	}
	d, err := w.Delete(ctx, model.Operator, id("db"))
	if err != nil || d.Item.Value != "" || !d.PurgeAt.Equal(vaulttest.Epoch.Add(90*24*time.Hour)) {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := w.Get(ctx, model.Operator, first.ID); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
	if _, err := w.Set(ctx, model.Operator, id("db"), model.SetSecret{}); !errors.Is(err, model.ErrDeleted) {
		t.Error(err)
	}
	list, err := w.ListDeleted(ctx, model.Operator, model.DefaultVault, model.Page{})
	if err != nil || len(list.Items) != 1 || !reflect.DeepEqual(list.Items[0], *d) {
		t.Errorf("%+v, %v", list, err)
	}
	again, err := w.GetDeleted(ctx, model.Operator, id("db"))
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("%+v, %v", again, err)
	}
	back, err := w.Recover(ctx, model.Operator, id("db"))
	if err != nil || back.ID != first.ID {
		t.Errorf("%+v, %v", back, err)
	}
	if got, err := w.Get(ctx, model.Operator, id("db")); err != nil || got.Value != "one" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.Delete(ctx, model.Operator, id("db")); err != nil {
		t.Error(err)
	}
	if err := w.Purge(ctx, model.Operator, id("db")); err != nil {
		t.Error(err)
	}
	w.wantOps(t, model.OpSet, model.OpBackup, model.OpDelete, model.OpList, model.OpGet, model.OpRecover, model.OpGet, model.OpDelete, model.OpPurge)
	if err := w.Purge(ctx, model.Operator, id("db")); !errors.Is(err, model.ErrNotFound) {
		t.Error(err)
	}
	restored, err := w.Restore(ctx, model.Operator, "other", backup)
	if err != nil || restored.Vault != "other" || restored.Version != first.Version {
		t.Errorf("%+v, %v", restored, err)
	}
	if got, err := w.Get(ctx, model.Operator, restored.ID); err != nil || got.Value != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What belongs to a certificate is read here, and nothing else.
func TestManaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	of := id("cert")
	of.Kind = model.Secrets
	var backup []byte
	w.Do(t, func(ctx context.Context) (err error) {
		if err = w.store.Add(ctx, &items.Version{ID: of, Attributes: model.Attributes{Enabled: true}, Managed: true}, []byte("pfx")); err != nil {
			return err
		}
		backup, err = w.store.Backup(ctx, of)
		return err
	})
	got, err := w.Get(ctx, model.Operator, of)
	if err != nil || got.Value != "pfx" || !got.Managed {
		t.Errorf("%+v, %v", got, err)
	}
	calls := map[string]func() error{
		"set": func() error { _, err := w.Set(ctx, model.Operator, of, model.SetSecret{Value: "x"}); return err },
		"generate": func() error {
			_, err := w.Generate(ctx, model.Operator, of, secrets.Generator{Length: 8}, model.Change{})
			return err
		},
		"update": func() error { _, err := w.Update(ctx, model.Operator, of, model.Change{}); return err },
		"delete": func() error { _, err := w.Delete(ctx, model.Operator, of); return err },
		"backup": func() error { _, err := w.Backup(ctx, model.Operator, of); return err },
		"restore": func() error {
			_, err := w.Restore(ctx, model.Operator, "other", backup)
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, model.ErrManaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Do(t, func(ctx context.Context) error { _, err := w.store.Delete(ctx, of); return err })
	if _, err := w.Recover(ctx, model.Operator, of); !errors.Is(err, model.ErrManaged) {
		t.Error(err)
	}
	if err := w.Purge(ctx, model.Operator, of); !errors.Is(err, model.ErrManaged) {
		t.Error(err)
	}
	if d, err := w.GetDeleted(ctx, model.Operator, of); err != nil || !d.Item.Managed {
		t.Errorf("%+v, %v", d, err)
	}
}

// refusing lets nobody do anything, and finds out who looked something up nonetheless.
type refusing struct{ asked []model.Op }

func (r *refusing) Do(_ context.Context, _ model.Caller, op *model.Operation, _ func(context.Context) error) error {
	r.asked = append(r.asked, op.Op)
	return model.ErrForbidden
}

func (r *refusing) Visible(_ context.Context, _ model.Caller, op *model.Operation, _ func(context.Context, func(string) bool) error) error {
	r.asked = append(r.asked, op.Op)
	return model.ErrForbidden
}

// A refusal is the same whether there is such a secret or not, and every call asks for its own right.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, "there", "v", model.Change{})
	backup, err := w.Backup(ctx, model.Operator, id("there"))
	if err != nil {
		t.Fatal(err)
	}
	r := new(refusing)
	s := secrets.New(w.Env, w.store, r)
	nobody := model.Caller{}
	for _, name := range []string{"there", "not-there"} {
		of := id(name)
		for i, call := range []func() error{
			func() error { _, err := s.Set(ctx, nobody, of, model.SetSecret{}); return err },
			func() error {
				_, err := s.Generate(ctx, nobody, of, secrets.Generator{Length: 8}, model.Change{})
				return err
			},
			func() error { _, err := s.Get(ctx, nobody, of); return err },
			func() error { _, err := s.Update(ctx, nobody, of, model.Change{}); return err },
			func() error { _, err := s.List(ctx, nobody, of.Vault, model.Page{}); return err },
			func() error { _, err := s.Versions(ctx, nobody, of, model.Page{}); return err },
			func() error { _, err := s.Delete(ctx, nobody, of); return err },
			func() error { _, err := s.ListDeleted(ctx, nobody, of.Vault, model.Page{}); return err },
			func() error { _, err := s.GetDeleted(ctx, nobody, of); return err },
			func() error { _, err := s.Recover(ctx, nobody, of); return err },
			func() error { return s.Purge(ctx, nobody, of) },
			func() error { _, err := s.Backup(ctx, nobody, of); return err },
			func() error { _, err := s.Restore(ctx, nobody, of.Vault, backup); return err },
		} {
			if err := call(); !errors.Is(err, model.ErrForbidden) || err.Error() != model.ErrForbidden.Error() {
				t.Errorf("%s, call %d: %v", name, i, err)
			}
		}
		want := []model.Op{
			model.OpSet, model.OpSet, model.OpGet, model.OpUpdate, model.OpList, model.OpList, model.OpDelete, model.OpList,
			model.OpGet, model.OpRecover, model.OpPurge, model.OpBackup, model.OpRestore,
		}
		if !reflect.DeepEqual(r.asked, want) {
			t.Errorf("asked for %v, want %v", r.asked, want)
		}
		r.asked = nil
	}
}
