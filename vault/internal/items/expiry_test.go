package items_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// ends adds a version that ends at a time after the epoch.
func (w *world) ends(t *testing.T, id model.ID, after time.Duration) *items.Version {
	t.Helper()
	v, err := w.tryAdd(t, &items.Version{ID: id, Attributes: model.Attributes{Enabled: true, Expires: vaulttest.Epoch.Add(after)}}, "v")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// warnings are those that are due, as "NAME DAYS".
func (w *world) warnings(t *testing.T) []string {
	t.Helper()
	var out []string
	for more := true; more; {
		var due []items.Warning
		w.Do(t, func(ctx context.Context) (err error) {
			due, more, err = w.DueWarnings(ctx, w.Now())
			return err
		})
		for _, d := range due {
			out = append(out, fmt.Sprintf("%s %d", d.Name, d.Days))
		}
	}
	return out
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.ends(t, secret("forty"), 40*day)
	key := model.ID{Vault: "other", Kind: model.Keys, Name: "Key"}
	made := w.ends(t, key, 40*day)
	w.ends(t, secret("five"), 5*day)     // who made it knew
	w.ends(t, secret("hour"), time.Hour) // so here
	w.add(t, secret("never"), "v")
	if _, err := w.tryAdd(t, &items.Version{ID: secret("cert"), Managed: true, Attributes: model.Attributes{Expires: vaulttest.Epoch.Add(40 * day)}}, "v"); err != nil {
		t.Fatal(err)
	}
	now := time.Duration(0)
	at := func(to time.Duration, want ...string) {
		t.Helper()
		w.later(to - now)
		now = to
		got := w.warnings(t)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("after %v: %q, want %q", to, got, want)
		}
	}
	at(0)
	at(4*day - time.Second)
	at(4*day, "five 1")
	at(10*day - time.Second)
	at(10*day, "Key 30", "forty 30")
	at(10 * day)
	w.ends(t, key, 100*day)
	at(33*day, "forty 7")
	w.Do(t, func(ctx context.Context) error { // the old version's end does not count
		_, err := w.Update(ctx, made.ID, func(v *items.Version) error { v.Expires = vaulttest.Epoch.Add(34 * day); return nil })
		return err
	})
	// An update of something else does not make it come again, nor lose it.
	w.later(6 * day)
	now = 39 * day
	w.Do(t, func(ctx context.Context) error {
		_, err := w.Update(ctx, secret("forty"), func(v *items.Version) error { v.ContentType = "x"; return nil })
		return err
	})
	at(39*day, "forty 1")
	at(80*day, "Key 30")
	w.Do(t, func(ctx context.Context) error {
		_, err := w.Update(ctx, key, func(v *items.Version) error { v.Expires = time.Time{}; return nil })
		return err
	})
	at(200 * day)
}

// What was due while nobody asked comes once, as the last of it.
func TestLateWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.ends(t, secret("x"), 40*day)
	w.ends(t, secret("ended"), 36*day)
	w.ends(t, secret("gone"), 40*day)
	w.delete(t, secret("gone"))
	w.later(38 * day)
	if got := w.warnings(t); !slices.Equal(got, []string{"ended 1", "x 7"}) && !slices.Equal(got, []string{"x 7", "ended 1"}) {
		t.Errorf("%q", got)
	}
	must(t, w, func(ctx context.Context) (*items.Version, error) { return w.Recover(ctx, secret("gone")) })
	if got := w.warnings(t); !slices.Equal(got, []string{"gone 7"}) {
		t.Errorf("%q", got)
	}
	w.later(100 * day)
	if got := w.warnings(t); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// A unit that fails has not sent anything; more than one unit's worth comes in several.
func TestManyWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	w.Do(t, func(ctx context.Context) error {
		for i := range 250 {
			v := &items.Version{ID: secret(fmt.Sprintf("x-%d", i)), Attributes: model.Attributes{Expires: vaulttest.Epoch.Add(40 * day)}}
			if err := w.Add(ctx, v, nil); err != nil {
				return err
			}
		}
		return nil
	})
	w.later(20 * day)
	lost := fmt.Errorf("the unit fails")
	err := w.Unit(context.Background(), func(ctx context.Context) error {
		due, more, err := w.DueWarnings(ctx, w.Now())
		if err != nil || len(due) != 100 || !more {
			t.Errorf("%d, %v, %v", len(due), more, err)
		}
		return lost
	})
	if err == nil {
		t.Error("no error")
	}
	got := w.warnings(t)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 250 {
		t.Errorf("%d warnings", len(got))
	}
}

func TestExpiring(t *testing.T) {
	t.Parallel()
	w := newWorld(t, items.Options{})
	key := model.ID{Vault: "other", Kind: model.Keys, Name: "Key"}
	w.ends(t, secret("later"), 20*day)
	w.ends(t, secret("x"), 10*day)
	made := w.ends(t, key, 5*day)
	w.ends(t, secret("ended"), time.Hour)
	w.ends(t, secret("replaced"), day)
	w.ends(t, secret("replaced"), 100*day)
	w.ends(t, secret("gone"), day)
	w.delete(t, secret("gone"))
	w.add(t, secret("never"), "v")
	w.later(2 * time.Hour)
	list := func(within time.Duration, most int, see func(model.ID) bool) []string {
		t.Helper()
		got, _ := names(t, w, most, func(ctx context.Context, p model.Page) (model.List[*items.Expiry], error) {
			return w.Expiring(ctx, within, p, see)
		}, func(e *items.Expiry) string {
			if e.Name == "Key" && (e.ID != made.ID || !e.Expires.Equal(made.Expires)) {
				t.Errorf("%+v", e)
			}
			return e.Name
		})
		return got
	}
	for _, most := range []int{1, 2, 25} {
		if got := list(15*day, most, nil); !slices.Equal(got, []string{"ended", "Key", "x"}) {
			t.Errorf("%q", got)
		}
		if got := list(15*day, most, func(id model.ID) bool { return id.Kind == model.Secrets }); !slices.Equal(got, []string{"ended", "x"}) {
			t.Errorf("%q", got)
		}
	}
	if got := list(0, 0, nil); !slices.Equal(got, []string{"ended"}) {
		t.Errorf("%q", got)
	}
}
