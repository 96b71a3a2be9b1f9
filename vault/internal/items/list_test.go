package items_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

type visible = func(name string) bool

// names are those of all pages of a list, and how many pages there were.
func names[T any](t *testing.T, w *world, most int, list func(ctx context.Context, p model.Page) (model.List[T], error), name func(T) string) (out []string, pages int) {
	t.Helper()
	p := model.Page{Max: most}
	for {
		l := must(t, w, func(ctx context.Context) (model.List[T], error) { return list(ctx, p) })
		for _, v := range l.Items {
			out = append(out, name(v))
		}
		pages++
		if p.Cursor = l.Next; p.Cursor == "" {
			return out, pages
		}
	}
}

func (w *world) names(t *testing.T, most int, see visible) ([]string, int) {
	t.Helper()
	return names(t, w, most, func(ctx context.Context, p model.Page) (model.List[*items.Version], error) {
		return w.List(ctx, model.DefaultVault, model.Secrets, p, see)
	}, func(v *items.Version) string { return v.Name })
}

func (w *world) deletedNames(t *testing.T, most int, see visible) ([]string, int) {
	t.Helper()
	return names(t, w, most, func(ctx context.Context, p model.Page) (model.List[model.Deleted[*items.Version]], error) {
		return w.ListDeleted(ctx, model.DefaultVault, model.Secrets, p, see)
	}, func(d model.Deleted[*items.Version]) string { return d.Item.Name })
}

func TestList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	var want []string
	for i := range 60 {
		name := fmt.Sprintf("Name-%02d", i)
		want = append(want, name)
		w.add(t, secret(name), "v")
		w.add(t, secret(strings.ToLower(name)), "v")
	}
	w.add(t, model.ID{Vault: "default2", Kind: model.Secrets, Name: "another-vault"}, "v")
	w.add(t, model.ID{Vault: model.DefaultVault, Kind: model.Keys, Name: "another-kind"}, "v")
	check := func(list func(*testing.T, int, visible) ([]string, int)) {
		t.Helper()
		for _, c := range []struct {
			most  int
			see   visible
			pages int
			want  []string
		}{
			{0, nil, 3, want},
			{1000, nil, 3, want},
			{20, nil, 3, want}, // the last one is full: there is no empty one behind it
			{1, nil, 60, want},
			{5, func(name string) bool { return name < "Name-10" }, 2, want[:10]},
			{5, func(name string) bool { return name >= "Name-55" }, 1, want[55:]},
			{1, func(name string) bool { return name == "Name-20" }, 1, want[20:21]}, // nobody learns of the others
			{25, func(string) bool { return false }, 1, nil},
		} {
			got, pages := list(t, c.most, c.see)
			if !slices.Equal(got, c.want) || pages != c.pages {
				t.Errorf("by %d: %d pages, want %d: %v", c.most, pages, c.pages, got)
			}
		}
	}
	check(w.names)
	for _, name := range want {
		w.delete(t, secret(name))
	}
	if got, _ := w.names(t, 0, nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
	check(w.deletedNames)
}

// A page does not look at all rows to find a few; the next one goes on.
func TestListIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.SetMaxScanned(10)
	w.Do(t, func(ctx context.Context) error {
		for i := range 45 {
			if err := w.Add(ctx, &items.Version{ID: secret(fmt.Sprintf("x-%02d", i))}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	for _, most := range []int{1, 2, 25} {
		got, pages := w.names(t, most, func(name string) bool { return name == "x-33" || name == "x-05" || name == "x-44" })
		if !slices.Equal(got, []string{"x-05", "x-33", "x-44"}) || pages < 5 {
			t.Errorf("by %d: %d pages, %q", most, pages, got)
		}
	}
}

func TestListOfVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	var want []string
	for range 60 {
		want = append([]string{w.add(t, secret("x"), "v").Version}, want...)
	}
	for most, pages := range map[int]int{0: 3, 1: 60, 20: 3, 24: 3, 1000: 3} {
		got, n := names(t, w, most, func(ctx context.Context, p model.Page) (model.List[*items.Version], error) {
			return w.Versions(ctx, secret("X"), p)
		}, func(v *items.Version) string { return v.Version })
		if !slices.Equal(got, want) || n != pages {
			t.Errorf("by %d: %d pages: %v", most, n, got)
		}
	}
}

// A cursor is good for its own list alone, and says nothing to who has it.
func TestCursors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	for _, name := range []string{"alpha", "beta", "gamma"} {
		w.add(t, secret(name), "v")
		w.add(t, secret(name), "v")
	}
	lists := map[string]func(ctx context.Context, p model.Page) (string, error){
		"list": func(ctx context.Context, p model.Page) (string, error) {
			l, err := w.List(ctx, model.DefaultVault, model.Secrets, p, nil)
			return l.Next, err
		},
		"other vault": func(ctx context.Context, p model.Page) (string, error) {
			l, err := w.List(ctx, "other", model.Secrets, p, nil)
			return l.Next, err
		},
		"deleted": func(ctx context.Context, p model.Page) (string, error) {
			l, err := w.ListDeleted(ctx, model.DefaultVault, model.Secrets, p, nil)
			return l.Next, err
		},
		"versions": func(ctx context.Context, p model.Page) (string, error) {
			l, err := w.Versions(ctx, secret("alpha"), p)
			return l.Next, err
		},
		"other versions": func(ctx context.Context, p model.Page) (string, error) {
			l, err := w.Versions(ctx, secret("beta"), p)
			return l.Next, err
		},
		"expiring": func(ctx context.Context, p model.Page) (string, error) {
			l, err := w.Expiring(ctx, 0, p, nil)
			return l.Next, err
		},
	}
	of := func(name string) string {
		return must(t, w, func(ctx context.Context) (string, error) { return lists[name](ctx, model.Page{Max: 1}) })
	}
	cursor := of("list")
	if b, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || strings.Contains(string(b), "alpha") {
		t.Errorf("%q, %v", b, err)
	}
	changed := []byte(cursor)
	changed[len(changed)/2] ^= 1
	bad := []string{"x", "-", "not a cursor", strings.Repeat("A", 100), strings.Repeat("A", 10_000), string(changed), "\xff"}
	for name, list := range lists {
		for _, c := range append(bad, of("list"), of("versions")) {
			_, err := in(t, w, func(ctx context.Context) (string, error) { return list(ctx, model.Page{Cursor: c}) })
			if fault := new(model.FieldError); name != "list" && name != "versions" && (!errors.As(err, &fault) || fault.Field != "cursor") {
				t.Errorf("%s, %.60q: %v", name, c, err)
			}
		}
	}
	for _, name := range []string{"list", "versions"} {
		for _, c := range bad {
			_, err := in(t, w, func(ctx context.Context) (string, error) { return lists[name](ctx, model.Page{Cursor: c}) })
			if fault := new(model.FieldError); !errors.As(err, &fault) {
				t.Errorf("%s, %.60q: %v", name, c, err)
			}
		}
	}
	// The row that it stands on may be gone.
	w.delete(t, secret("alpha"))
	w.delete(t, secret("beta"))
	l := must(t, w, func(ctx context.Context) (model.List[*items.Version], error) {
		return w.List(ctx, model.DefaultVault, model.Secrets, model.Page{Cursor: cursor}, nil)
	})
	if len(l.Items) != 1 || l.Items[0].Name != "gamma" {
		t.Errorf("%+v", l)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("AAAA")
	f.Add("not a cursor")
	f.Fuzz(func(t *testing.T, cursor string) {
		w := newWorld(t, items.Options{})
		w.add(t, secret("x"), "v")
		for _, list := range []func(ctx context.Context, p model.Page) error{
			func(ctx context.Context, p model.Page) error {
				_, err := w.List(ctx, model.DefaultVault, model.Secrets, p, nil)
				return err
			},
			func(ctx context.Context, p model.Page) error {
				_, err := w.Versions(ctx, secret("x"), p)
				return err
			},
		} {
			err := w.Unit(context.Background(), func(ctx context.Context) error { return list(ctx, model.Page{Cursor: cursor}) })
			if fault := new(model.FieldError); cursor != "" && !errors.As(err, &fault) {
				t.Errorf("%q: %v", cursor, err)
			}
		}
	})
}
