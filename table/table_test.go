package table_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, good := range []interface{ Validate() error }{files, indexed, table.Of[int]("A-b_9"), table.Of[any]("x")} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	state := func(f *File) State { return f.State }
	for want, bad := range map[string]interface{ Validate() error }{
		`table "":`:            table.Of[File](""),
		`table "a/b":`:         table.Of[File]("a/b"),
		`table "9":`:           table.Of[File]("9"),
		`1 to 64 bytes`:        table.Of[File](strings.Repeat("x", table.MaxName+1)),
		`index "a b":`:         table.Of("t", table.Index("a b", state)),
		`two indexes`:          table.Of("t", table.Index("i", state), table.Index("i", state)),
		`no function`:          table.Of("t", table.Index[File, State]("i", nil)),
		`cannot be JSON`:       table.Of[struct{ C chan int }]("t"),
		`table "ü": a name is`: table.Of[File]("ü"),
	} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestWritesAndReads(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, f := range []*table.Table[File]{files, indexed} {
		a.run(t, func(ctx context.Context) error {
			if _, err := f.Get(ctx, "p/1"); !errors.Is(err, table.ErrNotFound) || !errors.Is(err, resource.ErrNotFound) {
				t.Errorf("get of an absent row: %v", err)
			}
			if err := f.Update(ctx, "p/1", nil); !errors.Is(err, table.ErrNotFound) {
				t.Errorf("update of an absent row: %v", err)
			}
			if err := f.Delete(ctx, "p/1"); !errors.Is(err, table.ErrNotFound) {
				t.Errorf("delete of an absent row: %v", err)
			}
			return f.Insert(ctx, "p/1", &File{Name: "one"})
		})
		a.run(t, func(ctx context.Context) error {
			if err := f.Insert(ctx, "p/1", &File{}); !errors.Is(err, table.ErrExists) {
				t.Errorf("insert of an existing row: %v", err)
			}
			if got, err := f.Get(ctx, "p/1"); err != nil || got.Name != "one" {
				t.Errorf("inserted: %+v, %v", got, err)
			}
			if _, err := f.Get(ctx, "1"); !errors.Is(err, table.ErrNotFound) {
				t.Errorf("the row is in another partition as well: %v", err)
			}
			if err := f.Put(ctx, "p/1", &File{Name: "two"}); err != nil {
				return err
			}
			if got, err := f.Get(ctx, "p/1"); err != nil || got.Name != "two" {
				t.Errorf("own write: %+v, %v", got, err)
			}
			return f.Put(ctx, "2", &File{Name: "new"})
		})
		a.run(t, func(ctx context.Context) error {
			return f.Update(ctx, "p/1", func(v *File) error { v.Name += "!"; return nil })
		})
		a.run(t, func(ctx context.Context) error {
			if got, err := f.Get(ctx, "p/1"); err != nil || got.Name != "two!" {
				t.Errorf("updated: %+v, %v", got, err)
			}
			if err := f.Delete(ctx, "p/1"); err != nil {
				return err
			}
			if _, err := f.Get(ctx, "p/1"); !errors.Is(err, table.ErrNotFound) {
				t.Errorf("deleted: %v", err)
			}
			return nil
		})
	}
}

func TestUpdateErrorWritesNothing(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	own := errors.New("own")
	a.run(t, func(ctx context.Context) error {
		if err := files.Insert(ctx, "1", &File{Name: "old"}); err != nil {
			return err
		}
		err := files.Update(ctx, "1", func(f *File) error { f.Name = "new"; return own })
		if !errors.Is(err, own) {
			t.Errorf("error %v, want the function's own", err)
		}
		got, err := files.Get(ctx, "1")
		if err == nil && got.Name != "old" {
			t.Errorf("the row is %+v", got)
		}
		return err
	})
}

func TestETags(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	var first string
	a.run(t, func(ctx context.Context) error {
		if err := files.Insert(ctx, "p/1", &File{Name: "one"}); err != nil {
			return err
		}
		row, err := files.GetRow(ctx, "p/1")
		if first = row.ETag; err != nil || first == "" {
			t.Errorf("etag %q, %v", first, err)
		}
		return nil
	})
	a.run(t, func(ctx context.Context) error {
		row, err := files.GetRow(ctx, "p/1")
		if err != nil {
			return err
		}
		if row.ETag != first || row.Value.Name != "one" || row.Key != (table.Key{Partition: "p", Row: "1"}) || !row.Written.Equal(epoch) || row.Cursor != "" {
			t.Errorf("the row is %+v", row)
		}
		if err := files.PutIf(ctx, "p/1", first, &File{Name: "one"}); err != nil {
			t.Errorf("put with the right etag: %v", err)
		}
		if err := files.PutIf(ctx, "p/1", first, &File{}); !errors.Is(err, table.ErrChanged) {
			t.Errorf("put with the etag of before: %v", err)
		}
		if err := files.DeleteIf(ctx, "p/1", first); !errors.Is(err, table.ErrChanged) {
			t.Errorf("delete with the etag of before: %v", err)
		}
		if err := files.PutIf(ctx, "absent", first, &File{}); !errors.Is(err, table.ErrChanged) {
			t.Errorf("put of an absent row: %v", err)
		}
		if err := files.PutIf(ctx, "absent", "", &File{}); !errors.Is(err, table.ErrChanged) {
			t.Errorf("put of an absent row without an etag: %v", err)
		}
		if row, err = files.GetRow(ctx, "p/1"); err != nil {
			return err
		}
		return files.DeleteIf(ctx, "p/1", row.ETag)
	})
	// A row made anew is another one, also with the same content.
	a.run(t, func(ctx context.Context) error {
		if err := files.Insert(ctx, "p/1", &File{Name: "one"}); err != nil {
			return err
		}
		if err := files.PutIf(ctx, "p/1", first, &File{}); !errors.Is(err, table.ErrChanged) {
			t.Errorf("put with the etag of a former row: %v", err)
		}
		return nil
	})
}

// What one unit reads and another changes before the first commits.
func TestConflicts(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context) error {
		_, err := files.Get(ctx, "here")
		return err
	}
	getAbsent := func(ctx context.Context) error {
		if _, err := files.Get(ctx, "absent"); !errors.Is(err, table.ErrNotFound) {
			return fmt.Errorf("want ErrNotFound, got %w", err)
		}
		return nil
	}
	putOut := func(f func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error { return errors.Join(f(ctx), files.Put(ctx, "out", &File{})) }
	}
	put := func(key string) func(context.Context) error {
		return func(ctx context.Context) error { return files.Put(ctx, key, &File{}) }
	}
	blind := func(ctx context.Context) error { return files.PutBlind(ctx, "here", &File{}) }
	insert := func(ctx context.Context) error { return files.Insert(ctx, "absent", &File{}) }
	for name, c := range map[string]struct {
		first, second func(context.Context) error
		conflict      bool
	}{
		"write skew":            {putOut(get), put("here"), true},
		"write skew, absent":    {putOut(getAbsent), put("absent"), true},
		"other row":             {putOut(get), put("absent"), false},
		"both insert":           {insert, insert, true},
		"both put":              {put("here"), put("here"), true},
		"both update":           {update, update, true},
		"both write blindly":    {blind, blind, false},
		"blind after a put":     {put("here"), blind, true},
		"both delete":           {remove, remove, true},
		"both delete blindly":   {removeBlind, removeBlind, false},
		"updated, then deleted": {update, removeBlind, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			a.run(t, put("here"))
			err := a.try(func(ctx context.Context) error {
				if err := c.first(ctx); err != nil {
					return err
				}
				a.run(t, c.second)
				return nil
			})
			if errors.Is(err, unit.ErrConflict) != c.conflict || !c.conflict && err != nil {
				t.Errorf("error %v, want a conflict: %v", err, c.conflict)
			}
		})
	}
}

func update(ctx context.Context) error {
	return files.Update(ctx, "here", func(f *File) error { f.Size++; return nil })
}
func remove(ctx context.Context) error      { return files.Delete(ctx, "here") }
func removeBlind(ctx context.Context) error { return files.DeleteBlind(ctx, "here") }

func TestBlindWrites(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		if err := files.DeleteBlind(ctx, "absent"); err != nil {
			t.Errorf("delete of an absent row: %v", err)
		}
		if err := indexed.PutBlind(ctx, "1", &File{}); !errors.Is(err, table.ErrIndexed) {
			t.Errorf("put to an indexed table: %v", err)
		}
		if err := indexed.DeleteBlind(ctx, "1"); !errors.Is(err, table.ErrIndexed) {
			t.Errorf("delete from an indexed table: %v", err)
		}
		if err := files.PutBlind(ctx, "1", &File{Name: "blind"}); err != nil {
			return err
		}
		got, err := files.Get(ctx, "1")
		if err == nil && got.Name != "blind" {
			t.Errorf("the row is %+v", got)
		}
		return err
	})
	a.run(t, func(ctx context.Context) error { return files.DeleteBlind(ctx, "1") })
	a.run(t, func(ctx context.Context) error {
		if _, err := files.Get(ctx, "1"); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		return nil
	})
}

func TestNoUnitAndClosedUnit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	var closed context.Context
	a.run(t, func(ctx context.Context) error { closed = ctx; return nil })
	for want, ctx := range map[error]context.Context{table.ErrNoUnit: context.Background(), table.ErrUnitClosed: closed} {
		for name, use := range map[string]func() error{
			"Get":         func() error { _, err := files.Get(ctx, "1"); return err },
			"GetRow":      func() error { _, err := files.GetRow(ctx, "1"); return err },
			"Insert":      func() error { return files.Insert(ctx, "1", &File{}) },
			"Put":         func() error { return files.Put(ctx, "1", &File{}) },
			"PutIf":       func() error { return files.PutIf(ctx, "1", "", &File{}) },
			"PutBlind":    func() error { return files.PutBlind(ctx, "1", &File{}) },
			"Update":      func() error { return files.Update(ctx, "1", func(*File) error { return nil }) },
			"Delete":      func() error { return files.Delete(ctx, "1") },
			"DeleteIf":    func() error { return files.DeleteIf(ctx, "1", "") },
			"DeleteBlind": func() error { return files.DeleteBlind(ctx, "1") },
			"Reindex":     func() error { _, err := indexed.Reindex(ctx, ""); return err },
			"Scan":        func() error { _, _, err := table.Page(files.Scan(ctx, ""), 1); return err },
			"ScanAll":     func() error { _, _, err := table.Page(files.ScanAll(ctx), 1); return err },
			"ScanIndex":   func() error { _, _, err := table.Page(indexed.ScanIndex(ctx, byState.All()), 1); return err },
		} {
			if err := use(); !errors.Is(err, want) || !strings.Contains(err.Error(), "table") {
				t.Errorf("%s: error %v, want %v", name, err, want)
			}
		}
	}
}

func TestBadValuesAndBounds(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		if err := files.Put(ctx, "1", nil); err == nil {
			t.Error("a nil value was written")
		}
		if err := files.Put(ctx, "a/b/c", &File{}); !errors.Is(err, table.ErrKey) || !strings.Contains(err.Error(), `table "files"`) {
			t.Errorf("bad key: %v", err)
		}
		long := &File{Name: strings.Repeat("x", table.MaxRow)}
		if err := files.Put(ctx, "1", long); !errors.Is(err, table.ErrTooLarge) || !strings.Contains(err.Error(), `table "files": row "1"`) {
			t.Errorf("large row: %v", err)
		}
		state := &File{State: State(strings.Repeat("x", table.MaxIndexed+1))}
		if err := indexed.Put(ctx, "1", state); !errors.Is(err, table.ErrTooLarge) || !strings.Contains(err.Error(), `index "byState"`) {
			t.Errorf("large indexed value: %v", err)
		}
		anything := table.Of[any]("anything")
		var unencodable any = make(chan int)
		if err := anything.Put(ctx, "1", &unencodable); err == nil {
			t.Error("a channel was written")
		}
		return nil
	})
	// The longest of everything fits into a key of the store.
	name := strings.Repeat("t", table.MaxName)
	long := table.Of(name, table.Index(strings.Repeat("i", table.MaxName), func(f *File) string { return f.Name }))
	if err := long.Validate(); err != nil {
		t.Fatal(err)
	}
	half := strings.Repeat("\x00", table.MaxKey/4)
	a.run(t, func(ctx context.Context) error {
		return long.Put(ctx, table.Key{Partition: half, Row: half}.String(), &File{Name: strings.Repeat("\x00", table.MaxIndexed/2)})
	})
}

func TestJSONRules(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	store := func(json string) {
		a.run(t, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			return records.PutRow(u, records.RowKey{Table: "files", Row: "1"}, nil, &records.Row{Data: []byte(json)})
		})
	}
	store(`{"Name":"one","NotThere":[1,2]}`)
	a.run(t, func(ctx context.Context) error {
		got, err := files.Get(ctx, "1")
		if err == nil && *got != (File{Name: "one"}) {
			t.Errorf("unknown and missing fields: %+v", got)
		}
		return err
	})
	for _, bad := range []string{`{"Name":7}`, `{"Name":`, ``} {
		store(bad)
		a.run(t, func(ctx context.Context) error {
			if _, err := files.Get(ctx, "1"); err == nil || !strings.Contains(err.Error(), `table "files": row "1"`) {
				t.Errorf("%s: get: %v", bad, err)
			}
			if err := files.Put(ctx, "2", &File{}); err != nil {
				return err
			}
			for row, err := range files.Scan(ctx, "") { // ends after the error
				if err == nil || !strings.Contains(err.Error(), `table "files": row "1"`) {
					t.Errorf("%s: scan: %+v, %v", bad, row, err)
				}
			}
			return files.Put(ctx, "1", &File{Name: "mended"})
		})
	}
}

func TestGoroutinesShareAUnit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		if err := indexed.Insert(ctx, "shared", &File{}); err != nil {
			return err
		}
		var wait sync.WaitGroup
		for i := range 4 {
			wait.Go(func() {
				for j := range 3 {
					err := errors.Join(
						indexed.Put(ctx, fmt.Sprintf("%d-%d", i, j), &File{State: "own"}),
						indexed.Put(ctx, "fought over", &File{State: State(fmt.Sprint(i, j))}),
						indexed.Update(ctx, "shared", func(f *File) error { f.Size++; return nil }),
					)
					for _, scanErr := range indexed.ScanIndex(ctx, byState.All()) {
						err = errors.Join(err, scanErr)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		return nil
	})
	a.run(t, func(ctx context.Context) error {
		shared, err := indexed.Get(ctx, "shared")
		if err == nil && shared.Size != 12 {
			t.Errorf("%d of 12 updates took effect", shared.Size)
		}
		rows := 0
		for _, scanErr := range indexed.ScanIndex(ctx, byState.All()) {
			err = errors.Join(err, scanErr)
			rows++
		}
		if rows != 14 {
			t.Errorf("the index finds %d rows, want 14", rows)
		}
		return err
	})
}

// Of goroutines that insert the same row in one unit, one succeeds.
func TestGoroutinesInsertTheSameRows(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		const goroutines, each = 4, 500
		var (
			wait     sync.WaitGroup
			inserted atomic.Int64
		)
		for range goroutines {
			wait.Go(func() {
				for i := range each {
					switch err := files.Insert(ctx, fmt.Sprint(i), &File{}); {
					case err == nil:
						inserted.Add(1)
					case !errors.Is(err, table.ErrExists):
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		if n := inserted.Load(); n != each {
			t.Errorf("%d inserts of %d rows succeeded", n, each)
		}
		return nil
	})
}

// An Update whose function writes the row itself would try forever.
func TestUpdateOfItself(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		if err := files.Insert(ctx, "1", &File{}); err != nil {
			return err
		}
		err := files.Update(ctx, "1", func(*File) error { return files.Put(ctx, "1", &File{}) })
		if !errors.Is(err, table.ErrChanged) {
			t.Errorf("error %v, want ErrChanged", err)
		}
		return nil
	})
}
