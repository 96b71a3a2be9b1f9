package table_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

func TestScanIndex(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		for i, f := range []File{
			{State: "open", Size: -5, Created: epoch.Add(3 * time.Hour)},
			{State: "open", Size: 70, Created: epoch},
			{State: "openly", Size: 0, Created: epoch.Add(-time.Hour)},
			{State: "done", Size: 70, Created: epoch.Add(2 * time.Hour)},
		} {
			if err := indexed.Insert(ctx, fmt.Sprintf("p%d/%d", i%2, i), &f); err != nil {
				return err
			}
		}
		return nil
	})
	a.run(t, func(ctx context.Context) error {
		scan := func(what, want string, s table.Selection[File], options ...table.ScanOption) {
			t.Helper()
			wantPaths(t, what, indexed.ScanIndex(ctx, s, options...), want)
		}
		scan("equal", "p0/0 p1/1", byState.Equal("open"))
		scan("equal to nothing", "", byState.Equal("ope"))
		scan("all states", "p1/3 p0/0 p1/1 p0/2", byState.All())
		scan("all, reverse", "p0/2 p1/1 p0/0 p1/3", byState.All(), table.Reverse())
		scan("at least", "p0/2 p1/1 p1/3", bySize.AtLeast(0))
		scan("below", "p0/0 p0/2", bySize.Below(70))
		scan("between", "p0/2", bySize.Between(-4, 70))
		scan("between nothing", "", bySize.Between(5, 5))
		scan("between, the wrong way around", "", bySize.Between(70, -5))
		scan("newest two", "p0/0 p1/3", byCreated.All(), table.Reverse(), table.Limit(2))
		scan("times", "p1/1 p1/3", byCreated.Between(epoch, epoch.Add(3*time.Hour)))
		scan("stable", "p0/0 p1/1", byState.Equal("open"), table.Stable())

		page, next, err := table.Page(indexed.ScanIndex(ctx, byState.Equal("open"), table.Reverse()), 1)
		if err != nil || len(page) != 1 || page[0].Key.Row != "1" {
			t.Errorf("first page %+v, %v", page, err)
		}
		scan("next page", "p0/0", byState.Equal("open"), table.Reverse(), table.After(next))
		return nil
	})
}

func TestIndexFollowsItsRowsInTheSameUnit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		return errors.Join(indexed.Insert(ctx, "1", &File{State: "open"}), indexed.Insert(ctx, "2", &File{State: "open"}))
	})
	closeRow := func(ctx context.Context, key string) error {
		return indexed.Update(ctx, key, func(f *File) error { f.State = "done"; return nil })
	}
	a.run(t, func(ctx context.Context) error {
		if err := closeRow(ctx, "1"); err != nil {
			return err
		}
		wantPaths(t, "open, in the unit", indexed.ScanIndex(ctx, byState.Equal("open")), "2")
		wantPaths(t, "done, in the unit", indexed.ScanIndex(ctx, byState.Equal("done")), "1")
		return indexed.Delete(ctx, "2")
	})
	a.run(t, func(ctx context.Context) error {
		wantPaths(t, "open", indexed.ScanIndex(ctx, byState.All()), "1")
		return indexed.Insert(ctx, "2", &File{State: "open"})
	})
	// A loop that moves rows within the index it scans ends.
	a.run(t, func(ctx context.Context) error {
		for row, err := range indexed.ScanIndex(ctx, bySize.All()) {
			if err != nil {
				return err
			}
			if err := indexed.Update(ctx, row.Key.String(), func(f *File) error { f.Size++; return nil }); err != nil {
				return err
			}
		}
		wantPaths(t, "moved once", indexed.ScanIndex(ctx, bySize.Equal(1)), "1 2")
		return nil
	})
}

// Rows of an unstable index scan are not validated; the scan finds what it found.
func TestIndexScanIsValidatedWhenStable(t *testing.T) {
	t.Parallel()
	for _, stable := range []bool{false, true} {
		a := newApp(t)
		var options []table.ScanOption
		if stable {
			options = append(options, table.Stable())
		}
		err := a.try(func(ctx context.Context) error {
			if _, err := paths(indexed.ScanIndex(ctx, byState.Equal("open"), options...)); err != nil {
				return err
			}
			a.run(t, func(ctx context.Context) error { return indexed.Insert(ctx, "q/phantom", &File{State: "open"}) })
			return files.Put(ctx, "none", &File{})
		})
		if errors.Is(err, unit.ErrConflict) != stable || !stable && err != nil {
			t.Errorf("stable %v: error %v", stable, err)
		}
	}
}

// Every kind of value sorts as Go compares it.
func TestIndexedTypes(t *testing.T) {
	t.Parallel()
	type word string
	checkOrder(t, "string", "", "\x00", "a", "a\x00", "b")
	checkOrder(t, "named string", word("a"), word("b"))
	checkOrder(t, "bool", false, true)
	checkOrder(t, "int", math.MinInt, -1, 0, math.MaxInt)
	checkOrder[int8](t, "int8", -128, -1, 0, 127)
	checkOrder(t, "duration", -time.Second, 0, time.Hour)
	checkOrder[uint64](t, "uint64", 0, 1, math.MaxUint64)
	checkOrder[uint8](t, "uint8", 0, 255)
	checkOrder[float32](t, "float32", -1.5, 0, 1.5)
	checkOrder(t, "float64", math.Inf(-1), -1, 0, 5e-324, math.Inf(1))
	checkOrder(t, "time", time.Time{}, epoch.In(time.FixedZone("", 3600)), epoch.Add(1))
}

// checkOrder indexes rows by the place of their value in values, which are in
// order, and scans them.
func checkOrder[V table.Ordered](t *testing.T, what string, values ...V) {
	t.Helper()
	a := newApp(t)
	by := table.Index("by", func(place *int) V { return values[*place] })
	rows := table.Of("rows", by)
	a.run(t, func(ctx context.Context) error {
		for i := range values {
			if err := rows.Insert(ctx, fmt.Sprintf("%c", 'z'-i), &i); err != nil {
				return err
			}
		}
		places := []int{}
		for row, err := range rows.ScanIndex(ctx, by.All()) {
			if err != nil {
				return err
			}
			places = append(places, *row.Value)
		}
		if len(places) != len(values) || !slices.IsSorted(places) {
			t.Errorf("%s: order %v of %v", what, places, values)
		}
		for i, v := range values {
			found := 0
			for row, err := range rows.ScanIndex(ctx, by.Equal(v)) {
				if err != nil || *row.Value != i {
					t.Errorf("%s: equal to %v finds %+v, %v", what, v, row, err)
				}
				found++
			}
			if found != 1 {
				t.Errorf("%s: equal to %v finds %d rows", what, v, found)
			}
		}
		return nil
	})
}

func TestIndexAddedLater(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	const n = 600
	var etag string
	a.run(t, func(ctx context.Context) error {
		for i := range n {
			if err := files.Insert(ctx, fmt.Sprintf("%04d", i), &File{State: "open"}); err != nil {
				return err
			}
		}
		row, err := files.GetRow(ctx, "0000")
		etag = row.ETag
		return err
	})
	// The next release.
	later := table.Index("byState", func(f *File) State { return f.State })
	newer := table.Of("files", later)
	count := func() int {
		found := 0
		a.run(t, func(ctx context.Context) error {
			got, err := paths(newer.ScanIndex(ctx, later.Equal("open")))
			found = len(got)
			return err
		})
		return found
	}
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			newer.Insert(ctx, "new", &File{State: "open"}),
			newer.Update(ctx, "0001", func(f *File) error { f.Size = 1; return nil }),
			newer.Delete(ctx, "0002"))
	})
	if found := count(); found != 2 {
		t.Errorf("before Reindex the index covers %d rows, want the 2 written since", found)
	}
	cursor, batches := "", 0
	for done := false; !done; done = cursor == "" {
		batches++
		a.run(t, func(ctx context.Context) (err error) {
			cursor, err = newer.Reindex(ctx, cursor)
			return err
		})
	}
	if found := count(); found != n || batches < 3 {
		t.Errorf("after %d batches the index covers %d rows, want %d", batches, found, n)
	}
	a.run(t, func(ctx context.Context) error {
		row, err := newer.GetRow(ctx, "0000")
		if row.ETag != etag {
			t.Errorf("Reindex changed the ETag from %q to %q", etag, row.ETag)
		}
		return err
	})
}

func TestReindexNamesARowItCannotRead(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	words := table.Of[string]("indexed")
	a.run(t, func(ctx context.Context) error {
		text := "not a File"
		return words.Insert(ctx, "p/1", &text)
	})
	err := a.try(func(ctx context.Context) error {
		_, err := indexed.Reindex(ctx, "")
		return err
	})
	if want := `table "indexed": row "p/1": `; err == nil || err.Error()[:len(want)] != want {
		t.Errorf("error %v, want one that begins with %q", err, want)
	}
}
