package unit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

func TestScanOverlaysOwnWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range strings.Fields("b d f h") {
		w.set(t, key, "old")
	}
	w.run(t, func(u *unit.Unit) error {
		err := errors.Join(
			u.Put([]byte("a"), []byte("new")),
			u.Put([]byte("d"), []byte("new")),
			u.Put([]byte("e"), []byte("new")),
			u.Delete([]byte("f")),
			u.Put([]byte("g"), []byte("new")), u.Delete([]byte("g")),
			u.Put([]byte("i"), []byte("new")),
		)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			start, end string
			reverse    bool
			n          int
			want       string
		}{
			{"", "", false, -1, "a=new b=old d=new e=new h=old i=new"},
			{"", "", true, -1, "i=new h=old e=new d=new b=old a=new"},
			{"b", "e", false, -1, "b=old d=new"},
			{"b", "e", true, -1, "d=new b=old"},
			{"c", "", false, -1, "d=new e=new h=old i=new"},
			{"", "", false, 1, "a=new"},
			{"", "", false, 4, "a=new b=old d=new e=new"},
			{"", "", true, 3, "i=new h=old e=new"},
			{"f", "h", false, -1, ""},
			{"x", "", true, -1, ""},
		} {
			found, err := scan(u, store.Range{Start: []byte(c.start), End: []byte(c.end), Reverse: c.reverse}, c.n)
			if err != nil {
				return err
			}
			wantItems(t, fmt.Sprintf("%+v", c), found, c.want)
		}
		return nil
	})
}

// More keys than a page holds, half of them the unit's own.
func TestScanCrossesPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 3000
	key := func(i int) []byte { return fmt.Appendf(nil, "%05d", i) }
	w.run(t, func(u *unit.Unit) error {
		for i := 0; i < n; i += 2 {
			if err := u.Put(key(i), nil); err != nil {
				return err
			}
		}
		return nil
	})
	w.run(t, func(u *unit.Unit) error {
		for i := 1; i < n; i += 2 {
			if err := u.Put(key(i), nil); err != nil {
				return err
			}
		}
		for _, reverse := range []bool{false, true} {
			next := 0
			err := u.Scan(store.Range{Reverse: reverse}, func(it store.Item) bool {
				want := key(next)
				if reverse {
					want = key(n - 1 - next)
				}
				if string(it.Key) != string(want) {
					t.Errorf("reverse %v: key %s, want %s", reverse, it.Key, want)
				}
				next++
				return !t.Failed()
			})
			if err != nil || next != n {
				t.Errorf("reverse %v: %d of %d keys, %v", reverse, next, n, err)
			}
		}
		return nil
	})
}

func TestScanOfLargeValuesCrossesPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, func(u *unit.Unit) error {
		for i := range 5 {
			if err := u.Put([]byte{'a' + byte(i)}, make([]byte, 700<<10)); err != nil {
				return err
			}
		}
		return nil
	})
	w.run(t, func(u *unit.Unit) error {
		n := 0
		err := u.Scan(store.Range{}, func(it store.Item) bool {
			n += len(it.Value)
			return true
		})
		if n != 5*700<<10 {
			t.Errorf("%d bytes of values", n)
		}
		return err
	})
}

func TestVisitMayUseTheUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range strings.Fields("a b c d") {
		w.set(t, key, "old")
	}
	w.run(t, func(u *unit.Unit) error {
		var seen []string
		err := u.Scan(store.Range{}, func(it store.Item) bool {
			seen = append(seen, string(it.Key)+"="+string(it.Value))
			next := string(it.Key[0] + 1)
			if err := errors.Join(u.Delete(it.Key), u.Put([]byte(next+"x"), nil), u.Put([]byte("d"), []byte("new"))); err != nil {
				t.Error(err)
			}
			return true
		})
		wantItems(t, "a scan sees the unit as it began", seen, "a=old b=old c=old d=old")
		return err
	})
	wantItems(t, "committed", w.all(t), "bx= cx= d=new dx= ex=")
}

func TestScanEndsWithItsUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, func(u *unit.Unit) error {
		for i := range 100 {
			if err := u.Put([]byte{byte(i)}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	err := w.try(1, func(_ context.Context, u *unit.Unit) error {
		return u.Scan(store.Range{}, func(store.Item) bool {
			u.Discarded()
			return true
		})
	})
	if !errors.Is(err, unit.ErrUnitClosed) {
		t.Errorf("error %v, want ErrUnitClosed", err)
	}
}

// countingSnapshot counts the items that scans visit.
type countingSnapshot struct {
	store.Snapshot
	visited *int
}

func (c countingSnapshot) Scan(r store.Range, visit func(store.Item) bool) error {
	return c.Snapshot.Scan(r, func(it store.Item) bool {
		*c.visited++
		return visit(it)
	})
}

func TestScanThatEndsEarlyReadsLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, func(u *unit.Unit) error {
		for i := range 200 {
			if err := u.Put([]byte{byte(i)}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	visited := 0
	w.env.Snapshot = func() (store.Snapshot, error) {
		snap, err := w.store.Snapshot()
		return countingSnapshot{snap, &visited}, err
	}
	w.run(t, func(u *unit.Unit) error {
		_, err := scan(u, store.Range{}, 1)
		return err
	})
	if visited > 16 {
		t.Errorf("a scan for one item read %d", visited)
	}
}
