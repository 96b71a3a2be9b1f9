package table_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// paths returns the keys of what a scan yields.
func paths(rows iter.Seq2[table.Row[File], error]) ([]string, error) {
	found := []string{}
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		found = append(found, row.Key.String())
	}
	return found, nil
}

func wantPaths(t *testing.T, what string, rows iter.Seq2[table.Row[File], error], want string) {
	t.Helper()
	got, err := paths(rows)
	if err != nil || !slices.Equal(got, strings.Fields(want)) {
		t.Errorf("%s: %q, %v, want %q", what, got, err, want)
	}
}

func insertAll(t *testing.T, a *app, keys string) {
	t.Helper()
	a.run(t, func(ctx context.Context) error {
		for _, key := range strings.Fields(keys) {
			if err := files.Insert(ctx, key, &File{Name: key}); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestScan(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	insertAll(t, a, "1 2 p/a p/ab p/b q/a")
	a.run(t, func(ctx context.Context) error {
		scan := func(what, want, partition string, options ...table.ScanOption) {
			t.Helper()
			wantPaths(t, what, files.Scan(ctx, partition, options...), want)
		}
		scan("partition", "p/a p/ab p/b", "p")
		scan("no partition", "1 2", "")
		scan("unknown partition", "", "x")
		scan("reverse", "p/b p/ab p/a", "p", table.Reverse())
		scan("prefix", "p/a p/ab", "p", table.Prefix("a"))
		scan("limit", "p/b p/ab", "p", table.Reverse(), table.Limit(2))
		scan("limit of nothing", "", "p", table.Limit(0))
		scan("stable", "p/a p/ab p/b", "p", table.Stable())
		wantPaths(t, "all", files.ScanAll(ctx), "1 2 p/a p/ab p/b q/a")
		wantPaths(t, "all, reverse", files.ScanAll(ctx, table.Reverse()), "q/a p/b p/ab p/a 2 1")

		for row, err := range files.Scan(ctx, "p", table.Limit(1)) {
			if err != nil || row.Value.Name != "p/a" || row.ETag == "" || row.Cursor == "" || !row.Written.Equal(epoch) {
				t.Errorf("the row is %+v, %v", row, err)
			}
		}
		return nil
	})
}

func TestScanOverlaysTheUnitAsTheLoopBegins(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	insertAll(t, a, "b c d")
	a.run(t, func(ctx context.Context) error {
		if err := errors.Join(files.Insert(ctx, "a", &File{}), files.Delete(ctx, "c"), files.Insert(ctx, "e", &File{})); err != nil {
			return err
		}
		rows := files.Scan(ctx, "")
		if err := files.Insert(ctx, "f", &File{}); err != nil {
			return err
		}
		wantPaths(t, "forwards", rows, "a b d e f")
		wantPaths(t, "backwards", files.Scan(ctx, "", table.Reverse()), "f e d b a")
		seen := ""
		for row, err := range rows {
			if err != nil {
				return err
			}
			seen += row.Key.Row
			if err := errors.Join(files.Delete(ctx, row.Key.String()), files.Put(ctx, row.Key.Row+"x", &File{})); err != nil {
				return err
			}
		}
		if seen != "abdef" {
			t.Errorf("a loop that writes sees %q", seen)
		}
		wantPaths(t, "afterwards", rows, "ax bx dx ex fx")
		return nil
	})
}

func TestScanIsValidatedWhenStable(t *testing.T) {
	t.Parallel()
	for _, stable := range []bool{false, true} {
		a := newApp(t)
		insertAll(t, a, "p/a")
		var options []table.ScanOption
		if stable {
			options = append(options, table.Stable())
		}
		err := a.try(func(ctx context.Context) error {
			n, err := paths(files.Scan(ctx, "p", options...))
			if err != nil {
				return err
			}
			insertAll(t, a, "p/phantom q/other")
			return files.Put(ctx, "count", &File{Size: int64(len(n))})
		})
		if errors.Is(err, unit.ErrConflict) != stable || !stable && err != nil {
			t.Errorf("stable %v: error %v", stable, err)
		}
	}
}

func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	insertAll(t, a, "a b c d e f g")
	var seen []string
	cursor := ""
	for page := 0; page == 0 || cursor != ""; page++ {
		a.run(t, func(ctx context.Context) error {
			rows, next, err := table.Page(files.Scan(ctx, "", table.After(cursor)), 3)
			if err != nil {
				return err
			}
			for _, row := range rows {
				seen = append(seen, row.Key.Row)
			}
			cursor = next
			switch page { // rows come and go, also the last one seen
			case 0:
				return errors.Join(files.Delete(ctx, "c"), files.Insert(ctx, "aa", &File{}), files.Insert(ctx, "cc", &File{}))
			case 1:
				return errors.Join(files.Delete(ctx, "f"), files.Delete(ctx, "e"))
			}
			return nil
		})
	}
	if got := strings.Join(seen, " "); got != "a b c cc d e g" {
		t.Errorf("pages show %q", got)
	}
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	insertAll(t, a, "a b c")
	a.run(t, func(ctx context.Context) error {
		for size, want := range map[int]struct {
			rows int
			more bool
		}{-1: {1, true}, 0: {1, true}, 2: {2, true}, 3: {3, false}, 1 << 40: {3, false}} {
			rows, next, err := table.Page(files.Scan(ctx, ""), size)
			if err != nil || len(rows) != want.rows || (next != "") != want.more {
				t.Errorf("size %d: %d rows, next %q, %v", size, len(rows), next, err)
			}
		}
		return nil
	})
}

func TestCursorsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		return errors.Join(indexed.Insert(ctx, "1", &File{}), indexed.Insert(ctx, "2", &File{}))
	})
	a.run(t, func(ctx context.Context) error {
		_, ofRows, err := table.Page(indexed.Scan(ctx, ""), 1)
		if err != nil {
			return err
		}
		_, ofIndex, err := table.Page(indexed.ScanIndex(ctx, byState.All()), 1)
		if err != nil {
			return err
		}
		for name, rows := range map[string]iter.Seq2[table.Row[File], error]{
			"rows' in index":        indexed.ScanIndex(ctx, byState.All(), table.After(ofRows)),
			"index's in rows":       indexed.Scan(ctx, "", table.After(ofIndex)),
			"one index's in other":  indexed.ScanIndex(ctx, bySize.All(), table.After(ofIndex)),
			"no base64":             indexed.Scan(ctx, "", table.After("!")),
			"empty place":           indexed.Scan(ctx, "", table.After(base64.RawURLEncoding.EncodeToString([]byte("\x00\x01")))),
			"too long":              indexed.Scan(ctx, "", table.After(strings.Repeat("A", 1<<20))),
			"all partitions":        indexed.ScanAll(ctx, table.After("!")),
			"bad cursor in reverse": indexed.Scan(ctx, "", table.Reverse(), table.After("AA")),
		} {
			if _, err := paths(rows); !errors.Is(err, table.ErrCursor) {
				t.Errorf("%s: error %v, want ErrCursor", name, err)
			}
		}
		if _, err := indexed.Reindex(ctx, ofIndex); !errors.Is(err, table.ErrCursor) {
			t.Errorf("reindex: %v", err)
		}
		return nil
	})
}

func FuzzCursor(f *testing.F) {
	a := newApp(f)
	a.run(f, func(ctx context.Context) error {
		return errors.Join(indexed.Insert(ctx, "p/1", &File{}), indexed.Insert(ctx, "q/2", &File{}))
	})
	a.run(f, func(ctx context.Context) error {
		for _, rows := range []iter.Seq2[table.Row[File], error]{indexed.ScanAll(ctx), indexed.ScanIndex(ctx, byState.All())} {
			_, cursor, err := table.Page(rows, 1)
			if err != nil {
				return err
			}
			f.Add(cursor)
		}
		return nil
	})
	f.Fuzz(func(t *testing.T, cursor string) {
		a.run(t, func(ctx context.Context) error {
			for _, rows := range []iter.Seq2[table.Row[File], error]{
				indexed.Scan(ctx, "p", table.After(cursor)),
				indexed.Scan(ctx, "p", table.After(cursor), table.Reverse()),
				indexed.ScanIndex(ctx, byState.Equal(""), table.After(cursor)),
				indexed.ScanIndex(ctx, byState.Equal(""), table.After(cursor), table.Reverse()),
			} {
				found, err := paths(rows)
				if err != nil && !errors.Is(err, table.ErrCursor) {
					t.Errorf("cursor %q: %v", cursor, err)
				}
				if len(found) > 2 {
					t.Errorf("cursor %q finds %q", cursor, found)
				}
			}
			return nil
		})
	})
}

func TestScanOptionsThatDoNotFit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		other := table.Index("byState", func(f *File) State { return f.State })
		for name, rows := range map[string]iter.Seq2[table.Row[File], error]{
			"all, stable":           files.ScanAll(ctx, table.Stable()),
			"all, prefix":           files.ScanAll(ctx, table.Prefix("a")),
			"index, prefix":         indexed.ScanIndex(ctx, byState.All(), table.Prefix("a")),
			"index of other":        indexed.ScanIndex(ctx, other.All()),
			"no index":              indexed.ScanIndex(ctx, table.Selection[File]{}),
			"table without indexes": files.ScanIndex(ctx, byState.All()),
			"long prefix":           files.Scan(ctx, "p", table.Prefix(strings.Repeat("x", 2000))),
			"long value":            indexed.ScanIndex(ctx, byState.Equal(State(strings.Repeat("x", 2000)))),
			"long values":           indexed.ScanIndex(ctx, byState.Between("a", State(strings.Repeat("x", 2000)))),
		} {
			if found, err := paths(rows); err == nil || !strings.Contains(err.Error(), `table "`) {
				t.Errorf("%s: %q, %v", name, found, err)
			}
		}
		return nil
	})
}

func TestLargeScanUsesTheUnitInItsLoop(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	const n = 300
	a.run(t, func(ctx context.Context) error {
		for i := range n {
			if err := files.Insert(ctx, fmt.Sprintf("p/%04d", i), &File{}); err != nil {
				return err
			}
		}
		return nil
	})
	a.run(t, func(ctx context.Context) error {
		i := 0
		for row, err := range files.Scan(ctx, "p") {
			if err != nil {
				return err
			}
			if row.Key.Row != fmt.Sprintf("%04d", i) {
				t.Fatalf("row %d is %s", i, row.Key)
			}
			i++
			if err := files.Update(ctx, row.Key.String(), func(f *File) error { f.Size = 1; return nil }); err != nil {
				return err
			}
		}
		if i != n {
			t.Errorf("%d of %d rows", i, n)
		}
		return nil
	})
}

func TestScanWhere(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		for i := range 20 {
			if err := indexed.Insert(ctx, fmt.Sprintf("p/%02d", i), &File{Size: int64(i), State: "open"}); err != nil {
				return err
			}
		}
		return nil
	})
	odd := table.Where(func(f *File) bool { return f.Size%2 == 1 })
	a.run(t, func(ctx context.Context) error {
		wantPaths(t, "rows", indexed.Scan(ctx, "p", odd, table.Limit(3)), "p/01 p/03 p/05")
		wantPaths(t, "reverse", indexed.ScanAll(ctx, odd, table.Reverse(), table.Limit(2)), "p/19 p/17")
		wantPaths(t, "index", indexed.ScanIndex(ctx, bySize.AtLeast(16), odd), "p/17 p/19")
		var seen []string
		for cursor, done := "", false; !done; done = cursor == "" {
			rows, next, err := table.Page(indexed.Scan(ctx, "p", odd, table.After(cursor)), 4)
			if err != nil {
				return err
			}
			for _, row := range rows {
				seen = append(seen, row.Key.Row)
			}
			cursor = next
		}
		if got := strings.Join(seen, " "); got != "01 03 05 07 09 11 13 15 17 19" {
			t.Errorf("pages show %q", got)
		}
		other := table.Where(func(*int) bool { return true })
		if _, err := paths(indexed.Scan(ctx, "p", other)); err == nil || !strings.Contains(err.Error(), "Where takes a *int, the rows are *table_test.File") {
			t.Errorf("a filter of another type: %v", err)
		}
		n, err := indexed.Count(ctx, "p")
		if n != 20 {
			t.Errorf("%d rows are counted", n)
		}
		return err
	})
}

func TestScanEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	insertAll(t, a, "a b c")
	err := a.try(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := files.Count(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("count: %v", err)
		}
		_, err := paths(files.Scan(ctx, "", table.Where(func(*File) bool { return false })))
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}
