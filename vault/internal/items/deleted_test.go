package items_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

const day = 24 * time.Hour

func (w *world) recover(t *testing.T, name string) (*items.Version, error) {
	t.Helper()
	return in(t, w, func(ctx context.Context) (*items.Version, error) { return w.Recover(ctx, secret(name)) })
}

func (w *world) deletedOf(t *testing.T, name string) (*model.Deleted[*items.Version], error) {
	t.Helper()
	return in(t, w, func(ctx context.Context) (*model.Deleted[*items.Version], error) { return w.Deleted(ctx, secret(name)) })
}

func (w *world) wantGone(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, model.ErrNotFound) {
		t.Errorf("%s: %v, want %v", what, err, model.ErrNotFound)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	first := w.add(t, secret("Db"), "one")
	second := w.add(t, secret("db"), "two")
	w.later(time.Hour + time.Millisecond)
	d := w.delete(t, secret("DB"))
	at := vaulttest.Epoch.Add(time.Hour)
	if d.Item.ID != second.ID || !d.At.Equal(at) || !d.PurgeAt.Equal(at.Add(90*day)) {
		t.Errorf("%+v", d)
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"get":         func(ctx context.Context) error { _, err := w.Get(ctx, secret("db")); return err },
		"get version": func(ctx context.Context) error { _, err := w.Get(ctx, first.ID); return err },
		"update":      func(ctx context.Context) error { _, err := w.Update(ctx, first.ID, nil); return err },
		"item":        func(ctx context.Context) error { _, err := w.Item(ctx, secret("db")); return err },
		"policy":      func(ctx context.Context) error { return w.SetPolicy(ctx, secret("db"), nil) },
		"versions": func(ctx context.Context) error {
			_, err := w.Versions(ctx, secret("db"), model.Page{})
			return err
		},
		"backup": func(ctx context.Context) error { _, err := w.Backup(ctx, secret("db")); return err },
		"delete": func(ctx context.Context) error { _, err := w.Delete(ctx, secret("db")); return err },
		"open":   func(ctx context.Context) error { _, err := w.Open(ctx, first); return errOr(err, "opened") },
	} {
		err := w.Unit(context.Background(), call)
		if name == "open" { // who has read it has it
			if err == nil {
				t.Error(err)
			}
			continue
		}
		w.wantGone(t, name, err)
	}
	if _, err := w.tryAdd(t, &items.Version{ID: secret("dB")}, "v"); !errors.Is(err, model.ErrDeleted) {
		t.Error(err)
	}
	if got, err := w.deletedOf(t, "db"); err != nil || got.Item.ID != second.ID || got.Deletion != d.Deletion {
		t.Errorf("%+v, %v", got, err)
	}
	item := must(t, w, func(ctx context.Context) (*items.Item, error) { return w.DeletedItem(ctx, secret("db")) })
	if item.Name != "Db" || item.Deletion == nil || *item.Deletion != d.Deletion {
		t.Errorf("%+v", item)
	}
	back, err := w.recover(t, "db")
	if err != nil || back.ID != second.ID || back.Previous != first.Version {
		t.Errorf("%+v, %v", back, err)
	}
	if a, b := w.value(t, first.ID), w.value(t, secret("db")); a != "one" || b != "two" {
		t.Errorf("%q, %q", a, b)
	}
	_, err = w.recover(t, "db")
	w.wantGone(t, "recover twice", err)
	_, err = w.deletedOf(t, "db")
	w.wantGone(t, "deleted after recover", err)
	w.wantGone(t, "purge what is not deleted", w.purge(t, secret("db")))
	w.delete(t, secret("db"))
	if err := w.purge(t, secret("DB")); err != nil {
		t.Error(err)
	}
	w.wantWhole(t, 0, 0, 0)
	if v := w.add(t, secret("dB"), "new"); v.Previous != "" || v.Name != "dB" {
		t.Errorf("%+v", v)
	}
}

func errOr(err error, text string) error {
	if err == nil {
		return errors.New(text)
	}
	return err
}

func TestPurgeProtection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{
		PurgeProtected:  func(vault string) bool { return vault == model.DefaultVault },
		RecoverableDays: func(vault string) int { return map[string]int{model.DefaultVault: 10, "low": 1, "high": 1000}[vault] },
	})
	w.add(t, secret("x"), "v")
	w.delete(t, secret("x"))
	if err := w.purge(t, secret("x")); !errors.Is(err, model.ErrProtected) {
		t.Error(err)
	}
	w.later(10*day - time.Second)
	if err := w.purge(t, secret("x")); !errors.Is(err, model.ErrProtected) {
		t.Error(err)
	}
	if n, _ := w.purgeDue(t); n != 0 {
		t.Errorf("purged %d", n)
	}
	w.later(time.Second)
	w.wantGone(t, "its time has come", w.purge(t, secret("x")))
	_, err := w.recover(t, "x")
	w.wantGone(t, "its time has come", err)
	if got, _ := w.deletedNames(t, 0, nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if n, more := w.purgeDue(t); n != 1 || more {
		t.Errorf("purged %d, %v", n, more)
	}
	w.wantWhole(t, 0, 0, 0)
	for vault, days := range map[string]int{model.DefaultVault: 10, "low": 7, "high": 90, "none": 90} {
		if got := w.RecoverableDays(vault); got != days {
			t.Errorf("%s: %d days", vault, got)
		}
	}
	other := model.ID{Vault: "low", Kind: model.Secrets, Name: "x"}
	w.add(t, other, "v")
	w.delete(t, other)
	if err := w.purge(t, other); err != nil {
		t.Error(err)
	}
}

func (w *world) purgeDue(t *testing.T) (n int, more bool) {
	t.Helper()
	w.Do(t, func(ctx context.Context) (err error) {
		n, more, err = w.PurgeDue(ctx)
		return err
	})
	return n, more
}

// A name that is given again while a deleted item has it: see the package's doc.
func TestReuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{ReuseDeleted: func(string) bool { return true }, RecoverableDays: func(string) int { return 7 }})
	for _, value := range []string{"one", "two", "three", "four"} {
		if v := w.add(t, secret("x"), value); v.Previous != "" {
			t.Errorf("%+v", v)
		}
		if value != "four" {
			w.delete(t, secret("x")) // all in the same moment
		}
	}
	w.add(t, secret("xx"), "other")
	w.delete(t, secret("xx"))
	w.wantWhole(t, 1, 4, 5)
	if got, _ := w.deletedNames(t, 1, nil); !slices.Equal(got, []string{"x", "xx"}) {
		t.Errorf("%v", got)
	}
	if _, err := w.recover(t, "x"); !errors.Is(err, model.ErrExists) {
		t.Errorf("the name is in use: %v", err)
	}
	w.delete(t, secret("x"))
	w.wantWhole(t, 0, 5, 5)
	// The last one that was deleted comes first.
	if _, err := w.recover(t, "x"); err != nil || w.value(t, secret("x")) != "four" {
		t.Error(err)
	}
	w.delete(t, secret("x"))
	for i, value := range []string{"three", "two", "one"} {
		if err := w.purge(t, secret("X")); err != nil {
			t.Fatal(err)
		}
		w.wantWhole(t, 0, 4-i, 4-i)
		if v, err := w.recover(t, "x"); err != nil || w.value(t, v.ID) != value {
			t.Fatalf("%+v, %v; want %q", v, err, value)
		}
		w.delete(t, secret("x"))
	}
	if err := w.purge(t, secret("x")); err != nil {
		t.Error(err)
	}
	w.wantGone(t, "none is left", w.purge(t, secret("x")))
	w.wantWhole(t, 0, 1, 1)
}

// Those that were deleted before are purged in their own time, whatever happens to the last one.
func TestReusePurgesInTime(t *testing.T) {
	t.Parallel()
	days := 90
	w := newWorld(t, items.Options{ReuseDeleted: func(string) bool { return true }, RecoverableDays: func(string) int { return days }})
	put := func(value string) {
		w.add(t, secret("x"), value)
		w.delete(t, secret("x"))
	}
	put("one") // until day 90
	days = 10
	w.later(day)
	put("two") // until day 11
	days = 30
	w.later(day)
	put("three") // until day 32
	w.later(9 * day)
	if n, more := w.purgeDue(t); n != 1 || more {
		t.Errorf("day 11: purged %d, %v", n, more)
	}
	w.wantWhole(t, 0, 2, 2)
	w.later(21 * day)
	if n, more := w.purgeDue(t); n != 1 || more {
		t.Errorf("day 32: purged %d, %v", n, more)
	}
	if v, err := w.recover(t, "x"); err != nil || w.value(t, v.ID) != "one" {
		t.Errorf("%+v, %v", v, err)
	}
	w.delete(t, secret("x"))
	put("four")
	put("five") // three of one moment
	w.later(30 * day)
	for total, more := 0, true; more; {
		var n int
		if n, more = w.purgeDue(t); n == 0 && more {
			t.Fatal("no progress")
		}
		if total += n; !more && total != 3 {
			t.Errorf("purged %d", total)
		}
	}
	w.wantWhole(t, 0, 0, 0)
}

func TestPurgeDueIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.Do(t, func(ctx context.Context) error {
		for i := range 5 {
			for range 130 {
				if err := w.Add(ctx, &items.Version{ID: secret(fmt.Sprintf("many-%d", i))}, []byte("v")); err != nil {
					return err
				}
			}
			if _, err := w.Delete(ctx, secret(fmt.Sprintf("many-%d", i))); err != nil {
				return err
			}
		}
		return nil
	})
	w.later(day)
	w.Do(t, func(ctx context.Context) error {
		for i := range 150 {
			id := secret(fmt.Sprintf("one-%d", i))
			if err := w.Add(ctx, &items.Version{ID: id}, []byte("v")); err != nil {
				return err
			}
			if _, err := w.Delete(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
	w.later(90 * day)
	for _, want := range []struct {
		n    int
		more bool
	}{{4, true}, {100, true}, {51, false}, {0, false}} {
		if n, more := w.purgeDue(t); n != want.n || more != want.more {
			t.Errorf("purged %d, %v; want %d, %v", n, more, want.n, want.more)
		}
	}
	w.wantWhole(t, 0, 0, 0)
}
