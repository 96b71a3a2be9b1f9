package records_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// names returns what a scan of table "t" finds as "partition/row".
func names(u *unit.Unit, s records.RowScan) ([]string, error) {
	s.Table = "t"
	found := []string{}
	err := records.ScanRows(u, s, func(k records.RowKey, _ *records.Row, _ []byte) bool {
		found = append(found, k.Partition+"/"+k.Row)
		return true
	})
	return found, err
}

func TestScanRows(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error {
		for _, name := range strings.Fields("/a /b p/a p/ab p/b pq/a") {
			partition, row, _ := strings.Cut(name, "/")
			if err := put(u, key(partition, row), &records.Row{}); err != nil {
				return err
			}
		}
		return put(u, records.RowKey{Table: "t2", Row: "other"}, &records.Row{})
	})
	p, empty := "p", ""
	for _, c := range []struct {
		scan records.RowScan
		want string
	}{
		{records.RowScan{}, "/a /b p/a p/ab p/b pq/a"},
		{records.RowScan{Reverse: true}, "pq/a p/b p/ab p/a /b /a"},
		{records.RowScan{Partition: &p}, "p/a p/ab p/b"},
		{records.RowScan{Partition: &empty}, "/a /b"},
		{records.RowScan{Partition: &p, Prefix: "a"}, "p/a p/ab"},
		{records.RowScan{Partition: &p, Prefix: "a", Reverse: true}, "p/ab p/a"},
		{records.RowScan{Partition: &p, Prefix: "x"}, ""},
	} {
		r.run(t, func(u *unit.Unit) error {
			found, err := names(u, c.scan)
			if !slices.Equal(found, strings.Fields(c.want)) {
				t.Errorf("%+v: %q, want %q", c.scan, found, c.want)
			}
			return err
		})
	}
}

// A cursor is a place; one that lies outside of the scan is its nearer end.
func TestScanRowsAfterACursor(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error {
		for _, name := range strings.Fields("a/1 a/2 b/1 b/2 b/3 c/0 c/1") {
			partition, row, _ := strings.Cut(name, "/")
			if err := put(u, key(partition, row), &records.Row{}); err != nil {
				return err
			}
		}
		return nil
	})
	cursors := map[string][]byte{}
	r.run(t, func(u *unit.Unit) error {
		return records.ScanRows(u, records.RowScan{Table: "t"}, func(k records.RowKey, _ *records.Row, cursor []byte) bool {
			cursors[k.Partition+"/"+k.Row] = slices.Clone(cursor)
			return true
		})
	})
	// A row that is gone is still a place.
	r.run(t, func(u *unit.Unit) error { return put(u, key("b", "2"), nil) })
	b := "b"
	for _, c := range []struct {
		after   string
		reverse bool
		want    string
	}{
		{"a/1", false, "b/1 b/3"},
		{"b/1", false, "b/3"},
		{"b/2", false, "b/3"},
		{"b/3", false, ""},
		{"c/1", false, ""},
		{"a/1", true, ""},
		{"b/1", true, ""},
		{"b/2", true, "b/1"},
		{"b/3", true, "b/1"},
		{"c/1", true, "b/3 b/1"},
	} {
		r.run(t, func(u *unit.Unit) error {
			found, err := names(u, records.RowScan{Partition: &b, After: cursors[c.after], Reverse: c.reverse})
			if !slices.Equal(found, strings.Fields(c.want)) {
				t.Errorf("after %s, reverse %v: %q, want %q", c.after, c.reverse, found, c.want)
			}
			return err
		})
	}
}

func TestStableRowScan(t *testing.T) {
	t.Parallel()
	p := "p"
	for name, c := range map[string]struct {
		change   func(u *unit.Unit) error
		conflict bool
	}{
		"row added":            {func(u *unit.Unit) error { return put(u, key("p", "new"), &records.Row{}) }, true},
		"row changed":          {func(u *unit.Unit) error { return put(u, key("p", "1"), &records.Row{Tag: 9}) }, true},
		"row removed":          {func(u *unit.Unit) error { return put(u, key("p", "1"), nil) }, true},
		"row written blindly":  {func(u *unit.Unit) error { return records.PutRow(u, key("p", "1"), nil, &records.Row{}) }, true},
		"in another partition": {func(u *unit.Unit) error { return put(u, key("q", "new"), &records.Row{}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRows(t)
			r.run(t, func(u *unit.Unit) error { return put(u, key("p", "1"), &records.Row{}) })
			for _, stable := range []bool{true, false} {
				err := r.try(func(u *unit.Unit) error {
					if _, err := names(u, records.RowScan{Partition: &p, Stable: stable}); err != nil {
						return err
					}
					r.run(t, c.change)
					return put(u, key("p", fmt.Sprint("own", stable)), &records.Row{})
				})
				if want := stable && c.conflict; errors.Is(err, unit.ErrConflict) != want || !want && err != nil {
					t.Errorf("stable %v: error %v, want a conflict: %v", stable, err, want)
				}
			}
		})
	}
}

// Two units that add to the same partition do not conflict over its counter.
func TestWritersOfAPartitionDoNotConflict(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error {
		if err := put(u, key("p", "1"), row("a")); err != nil {
			return err
		}
		r.run(t, func(u *unit.Unit) error { return put(u, key("p", "2"), row("a")) })
		return nil
	})
}

func TestNewerAndDamagedRowsAreNamed(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error {
		return u.Put([]byte("\x20t\x00\x01p\x00\x01r\x00\x01"), []byte{250, 1, 2})
	})
	r.run(t, func(u *unit.Unit) error {
		if _, err := names(u, records.RowScan{}); !errors.Is(err, records.ErrNewerRecord) || !strings.Contains(err.Error(), `row "r" of partition "p"`) {
			t.Errorf("scan: %v", err)
		}
		if _, err := records.GetRow(u, key("p", "r")); !errors.Is(err, records.ErrNewerRecord) {
			t.Errorf("get: %v", err)
		}
		return u.Put([]byte("\x20t\x00\x01not a key"), nil)
	})
	r.run(t, func(u *unit.Unit) error {
		if _, err := names(u, records.RowScan{}); err == nil || !strings.Contains(err.Error(), "key of a row") {
			t.Errorf("scan of a damaged key: %v", err)
		}
		return nil
	})
}
