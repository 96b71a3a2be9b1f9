package records_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/tuple"
	"github.com/perdure/perdure/internal/unit"
)

// rows is a store in which units of rows are run.
type rows struct {
	env *unit.Env
	c   *store.Committer
}

func newRows(t interface{ Cleanup(func()) }) *rows {
	s := memory.New(nil)
	r := &rows{&unit.Env{Snapshot: s.Snapshot, Now: time.Now}, store.NewCommitter(s, store.CommitterOptions{})}
	t.Cleanup(func() {
		r.c.Close()
		_ = s.Close()
	})
	return r
}

func (r *rows) try(fn func(u *unit.Unit) error) error {
	return unit.Run(context.Background(), r.env, r.c, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return fn(u)
	})
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func (r *rows) run(t fataler, fn func(u *unit.Unit) error) {
	t.Helper()
	if err := r.try(fn); err != nil {
		t.Fatal(err)
	}
}

func key(partition, row string) records.RowKey {
	return records.RowKey{Table: "t", Partition: partition, Row: row}
}

// row returns a row with the given data, and an entry in index "i" for each of
// its letters.
func row(data string) *records.Row {
	r := &records.Row{Data: []byte(data)}
	_ = letters(records.RowKey{}, r)
	return r
}

func letters(_ records.RowKey, r *records.Row) error {
	r.Entries = nil
	for _, c := range slices.Compact(slices.Sorted(slices.Values(r.Data))) {
		r.Entries = append(r.Entries, records.IndexEntry{Index: "i", Value: tuple.AppendUint64(nil, uint64(c))})
	}
	return nil
}

// put replaces the row at k, as a table does.
func put(u *unit.Unit, k records.RowKey, r *records.Row) error {
	old, err := records.GetRow(u, k)
	if err != nil {
		return err
	}
	if r == nil {
		return records.DeleteRow(u, k, old)
	}
	return records.PutRow(u, k, old, r)
}

// letterOf returns the indexed letter of a cursor.
func letterOf(cursor []byte) rune {
	d := tuple.Decode(cursor)
	_ = d.String() // the index
	return rune(d.Uint64())
}

// indexed returns what a scan finds as "letter:partition/row".
func indexed(u *unit.Unit, s records.IndexScan) ([]string, error) {
	s.Table, s.Index = "t", "i"
	found := []string{}
	err := records.ScanIndex(u, s, func(k records.RowKey, _ *records.Row, cursor []byte) bool {
		found = append(found, fmt.Sprintf("%c:%s/%s", letterOf(cursor), k.Partition, k.Row))
		return true
	})
	return found, err
}

func TestIndexFollowsItsRows(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	check := func(when, want string) {
		t.Helper()
		r.run(t, func(u *unit.Unit) error {
			found, err := indexed(u, records.IndexScan{})
			if got := strings.Join(found, " "); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
			return err
		})
	}
	r.run(t, func(u *unit.Unit) error {
		return errors.Join(put(u, key("p", "1"), row("ab")), put(u, key("", "2"), row("b")))
	})
	check("inserted", "a:p/1 b:/2 b:p/1")
	r.run(t, func(u *unit.Unit) error { return put(u, key("p", "1"), row("bc")) })
	check("updated", "b:/2 b:p/1 c:p/1")
	r.run(t, func(u *unit.Unit) error {
		return errors.Join(put(u, key("p", "1"), row("x")), put(u, key("p", "1"), row("y")), put(u, key("", "2"), nil))
	})
	check("twice in a unit, other deleted", "y:p/1")
	r.run(t, func(u *unit.Unit) error { return put(u, key("p", "1"), nil) })
	check("deleted", "")
	r.run(t, func(u *unit.Unit) error {
		return u.Scan(store.Range{}, func(it store.Item) bool {
			if n, err := store.DecodeCounter(it.Value); err != nil || n == 0 {
				t.Errorf("left behind: %q", it.Key)
			}
			return true
		})
	})
}

// Random rows and scans against a sorted list.
func TestIndexScansMatchAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := newRows(t)
		type entry struct {
			letter         byte
			partition, row string
		}
		data := map[[2]string]string{}
		name := rapid.SampledFrom([]string{"", "\x00", "a", "a\x00", "b"})
		change := func(u *unit.Unit) error {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				at := [2]string{name.Draw(t, "partition"), name.Draw(t, "row")}
				text := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 2, -1).Draw(t, "data")
				if rapid.Bool().Draw(t, "delete") {
					delete(data, at)
					if err := put(u, key(at[0], at[1]), nil); err != nil {
						return err
					}
					continue
				}
				data[at] = text
				if err := put(u, key(at[0], at[1]), row(text)); err != nil {
					return err
				}
			}
			return nil
		}
		r.run(t, change)
		r.run(t, func(u *unit.Unit) error {
			if err := change(u); err != nil { // the overlay
				return err
			}
			from, to := rapid.ByteRange('a', 'd').Draw(t, "from"), rapid.ByteRange('a', 'd').Draw(t, "to")
			s := records.IndexScan{
				From: tuple.AppendUint64(nil, uint64(from)), To: tuple.AppendUint64(nil, uint64(to)),
				Reverse: rapid.Bool().Draw(t, "reverse"), Stable: rapid.Bool().Draw(t, "stable"),
			}
			var list []entry
			for at, text := range data {
				for _, c := range []byte("abc") {
					if strings.ContainsRune(text, rune(c)) && c >= from && c < to {
						list = append(list, entry{c, at[0], at[1]})
					}
				}
			}
			slices.SortFunc(list, func(a, b entry) int {
				return cmp.Or(cmp.Compare(a.letter, b.letter), strings.Compare(a.partition, b.partition), strings.Compare(a.row, b.row))
			})
			if s.Reverse {
				slices.Reverse(list)
			}
			want := []string{}
			for _, e := range list {
				want = append(want, fmt.Sprintf("%c:%s/%s", e.letter, e.partition, e.row))
			}
			got, err := indexed(u, s)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%c to %c, reverse %v: %q, %v, want %q", from, to, s.Reverse, got, err, want)
			}
			// The same again, one at a time by cursor.
			got = got[:0]
			s.Table, s.Index = "t", "i"
			for more := true; more; {
				more = false
				err := records.ScanIndex(u, s, func(k records.RowKey, _ *records.Row, cursor []byte) bool {
					got = append(got, fmt.Sprintf("%c:%s/%s", letterOf(cursor), k.Partition, k.Row))
					s.After, more = bytes.Clone(cursor), true
					return false
				})
				if err != nil {
					return err
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("by cursor: %q, want %q", got, want)
			}
			return nil
		})
	})
}

func TestStableIndexScan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(u *unit.Unit) error
		conflict bool
	}{
		"entry added":               {func(u *unit.Unit) error { return put(u, key("q", "9"), row("a")) }, true},
		"entry removed":             {func(u *unit.Unit) error { return put(u, key("p", "1"), nil) }, true},
		"visited row changed":       {func(u *unit.Unit) error { return put(u, key("p", "1"), row("aa")) }, true},
		"row outside only changed":  {func(u *unit.Unit) error { return put(u, key("p", "2"), row("bb")) }, false},
		"row without entries added": {func(u *unit.Unit) error { return put(u, key("p", "3"), row("")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRows(t)
			r.run(t, func(u *unit.Unit) error {
				return errors.Join(put(u, key("p", "1"), row("a")), put(u, key("p", "2"), row("b")))
			})
			for _, stable := range []bool{true, false} {
				err := r.try(func(u *unit.Unit) error {
					_, err := indexed(u, records.IndexScan{To: tuple.AppendUint64(nil, 'b'), Stable: stable})
					if err != nil {
						return err
					}
					r.run(t, c.change)
					return u.Put([]byte{1}, nil)
				})
				if want := stable && c.conflict; errors.Is(err, unit.ErrConflict) != want || !want && err != nil {
					t.Errorf("stable %v: error %v, want a conflict: %v", stable, err, want)
				}
			}
		})
	}
}

// What a program that did not know of the index has left does no harm.
func TestStaleEntriesAreSkipped(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error {
		return errors.Join(put(u, key("p", "1"), row("a")), put(u, key("p", "2"), row("a")), put(u, key("p", "3"), row("a")))
	})
	r.run(t, func(u *unit.Unit) error {
		return errors.Join(
			records.PutRow(u, key("p", "1"), nil, &records.Row{Data: []byte("blind")}),
			records.DeleteRow(u, key("p", "2"), nil),
		)
	})
	r.run(t, func(u *unit.Unit) error {
		found, err := indexed(u, records.IndexScan{})
		if !slices.Equal(found, []string{"a:p/3"}) {
			t.Errorf("found %q", found)
		}
		return err
	})
}

func TestRebuildRows(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error {
		for i := range 7 { // written before there was an index
			blank := &records.Row{Tag: uint64(i), Data: []byte{'a' + byte(i)}}
			if err := records.PutRow(u, key("p", fmt.Sprint(i)), nil, blank); err != nil {
				return err
			}
		}
		return put(u, key("q", "kept"), row("z"))
	})
	var cursor []byte
	batches := 0
	for more := true; more; more = cursor != nil {
		batches++
		r.run(t, func(u *unit.Unit) (err error) {
			cursor, err = records.RebuildRows(u, "t", cursor, 3, letters)
			return err
		})
	}
	if batches != 3 {
		t.Errorf("8 rows took %d batches of 3", batches)
	}
	r.run(t, func(u *unit.Unit) error {
		found, err := indexed(u, records.IndexScan{})
		if want := strings.Fields("a:p/0 b:p/1 c:p/2 d:p/3 e:p/4 f:p/5 g:p/6 z:q/kept"); !slices.Equal(found, want) {
			t.Errorf("found %q, want %q", found, want)
		}
		if err != nil {
			return err
		}
		got, err := records.GetRow(u, key("p", "5"))
		if err == nil && (got.Tag != 5 || string(got.Data) != "f") {
			t.Errorf("the rebuilt row is %+v", got)
		}
		return err
	})
	// Nothing is left to do, so nothing is written.
	r.run(t, func(u *unit.Unit) error {
		_, err := records.RebuildRows(u, "t", nil, 100, letters)
		if !u.ReadOnly() {
			t.Error("a rebuild of a right index writes")
		}
		return err
	})
	// Another's write in between makes the batch conflict.
	none := func(_ records.RowKey, r *records.Row) error {
		r.Entries = nil
		return nil
	}
	err := r.try(func(u *unit.Unit) error {
		if _, err := records.RebuildRows(u, "t", nil, 1, none); err != nil {
			return err
		}
		r.run(t, func(u *unit.Unit) error { return put(u, key("p", "0"), row("q")) })
		return nil
	})
	if !errors.Is(err, unit.ErrConflict) {
		t.Errorf("error %v, want a conflict", err)
	}
}

func TestRebuildStopsEarlyAtLargeRows(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	for i := range 20 {
		r.run(t, func(u *unit.Unit) error {
			return records.PutRow(u, key("p", fmt.Sprintf("%02d", i)), nil, &records.Row{Data: make([]byte, 1<<20)})
		})
	}
	r.run(t, func(u *unit.Unit) error {
		next, err := records.RebuildRows(u, "t", nil, 1000, letters)
		if next == nil {
			t.Error("20 MiB were rewritten in one unit")
		}
		return err
	})
}

func TestRebuildAnswersTheErrorOfDescribe(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.run(t, func(u *unit.Unit) error { return put(u, key("p", "1"), row("a")) })
	own := errors.New("own")
	err := r.try(func(u *unit.Unit) error {
		_, err := records.RebuildRows(u, "t", nil, 10, func(records.RowKey, *records.Row) error { return own })
		return err
	})
	if !errors.Is(err, own) {
		t.Errorf("error %v, want %v", err, own)
	}
}
