package records_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestWindowProgressAndMarks(t *testing.T) {
	t.Parallel()
	in := answers(t)
	progress := &records.WindowProgress{Shape: "tumbling 5s", Closed: math.MinInt64}
	mark := &records.WindowMark{Latest: -5, Seen: 7}
	in(func(u *unit.Unit) error {
		if p, err := records.GetWindowProgress(u, "f"); p != nil || err != nil {
			t.Errorf("progress before the first: %+v, %v", p, err)
		}
		if m, err := records.PeekWindowMark(u, "f", 3); m != nil || err != nil {
			t.Errorf("mark before the first: %+v, %v", m, err)
		}
		return errors.Join(records.PutWindowProgress(u, "f", progress), records.PutWindowMark(u, "f", 3, mark),
			records.AddLateEvents(u, "f", 2), records.AddLateEvents(u, "f", 3))
	})
	in(func(u *unit.Unit) error {
		p, err := records.PeekWindowProgress(u, "f")
		m, err2 := records.PeekWindowMark(u, "f", 3)
		n, err3 := records.LateEvents(u, "f")
		if !reflect.DeepEqual(p, progress) || !reflect.DeepEqual(m, mark) || n != 5 {
			t.Errorf("%+v, %+v, %d", p, m, n)
		}
		if other, _ := records.PeekWindowMark(u, "f", 4); other != nil {
			t.Errorf("mark of another partition: %+v", other)
		}
		return errors.Join(err, err2, err3)
	})
}

func TestPanes(t *testing.T) {
	t.Parallel()
	in := answers(t)
	id := func(key string, start int64, partition int) records.PaneKey {
		return records.PaneKey{Function: "f", Key: key, Start: start, Partition: partition}
	}
	in(func(u *unit.Unit) error {
		for i, k := range []records.PaneKey{id("a", -10, 0), id("a", 0, 1), id("a", 0, 0), id("a", 10, 0), id("a\x00", 0, 0), id("", 0, 0)} {
			if err := records.PutPane(u, k, &records.Pane{End: k.Start + 10, Changes: uint64(i), State: []byte{byte(i)}}); err != nil {
				return err
			}
		}
		return nil
	})
	scan := func(u *unit.Unit, key string, from, until int64) (found []string) {
		err := records.ScanPanes(u, "f", key, from, until, func(k records.PaneKey, p *records.Pane) bool {
			found = append(found, fmt.Sprint(k.Start, "/", k.Partition, "-", p.End, " ", p.Changes, p.State))
			return len(found) < 4
		})
		if err != nil {
			t.Error(err)
		}
		return found
	}
	in(func(u *unit.Unit) error {
		if got, want := scan(u, "a", math.MinInt64, math.MaxInt64), []string{"-10/0-0 0 [0]", "0/0-10 2 [2]", "0/1-10 1 [1]", "10/0-20 3 [3]"}; !slices.Equal(got, want) {
			t.Errorf("all of a: %q, want %q", got, want)
		}
		if got, want := scan(u, "a", 0, 10), []string{"0/0-10 2 [2]", "0/1-10 1 [1]"}; !slices.Equal(got, want) {
			t.Errorf("from 0 to 10: %q, want %q", got, want)
		}
		if got := scan(u, "", math.MinInt64, math.MaxInt64); len(got) != 1 {
			t.Errorf("of the empty key: %q", got)
		}
		p, err := records.GetPane(u, id("a", 10, 0))
		if err != nil || p.End != 20 || p.Changes != 3 {
			t.Errorf("%+v, %v", p, err)
		}
		return records.DeletePane(u, id("a", 10, 0))
	})
	in(func(u *unit.Unit) error {
		if p, err := records.GetPane(u, id("a", 10, 0)); p != nil || err != nil {
			t.Errorf("after it was deleted: %+v, %v", p, err)
		}
		return nil
	})
}

func TestWindowsDueInOrderOfTime(t *testing.T) {
	t.Parallel()
	in := answers(t)
	all := []records.WindowDue{
		{At: -1, Key: "z", Start: -6}, {At: 5, Key: "a", Start: 0}, {At: 5, Key: "a", Start: 0, Free: true}, {At: 5, Key: "b", Start: -3}, {At: 6, Key: ""},
	}
	in(func(u *unit.Unit) error {
		for _, d := range slices.Backward(all) {
			if err := errors.Join(records.PutWindowDue(u, "f", d), records.PutWindowSoon(u, "g", d)); err != nil {
				return err
			}
		}
		return nil
	})
	in(func(u *unit.Unit) error {
		var due, soon, none []records.WindowDue
		err := errors.Join(
			records.ScanWindowsDue(u, "f", math.MinInt64, func(d records.WindowDue) bool { due = append(due, d); return true }),
			records.ScanWindowsSoon(u, "g", 5, func(d records.WindowDue) bool { soon = append(soon, d); return len(soon) < 3 }),
			records.ScanWindowsDue(u, "g", math.MinInt64, func(d records.WindowDue) bool { none = append(none, d); return true }),
		)
		if !slices.Equal(due, all) || !slices.Equal(soon, all[1:4]) || none != nil {
			t.Errorf("%+v, %+v, %+v", due, soon, none)
		}
		return errors.Join(err, records.TakeWindowDue(u, "f", all[0]), records.DeleteWindowDue(u, "f", all[1]), records.TakeWindowSoon(u, "g", all[4]))
	})
	in(func(u *unit.Unit) error {
		n := 0
		visit := func(records.WindowDue) bool { n++; return true }
		err := errors.Join(records.ScanWindowsDue(u, "f", math.MinInt64, visit), records.ScanWindowsSoon(u, "g", math.MinInt64, visit))
		if n != 3+4 {
			t.Errorf("%d are left, want 7", n)
		}
		return err
	})
}

func TestShownWindows(t *testing.T) {
	t.Parallel()
	in := answers(t)
	want := &records.ShownWindow{Start: -3, End: 5, Revision: 2, Changes: 9, Final: true}
	in(func(u *unit.Unit) error {
		return errors.Join(records.PutShown(u, "f", "a", want), records.PutShown(u, "f", "a", &records.ShownWindow{Start: 7}))
	})
	in(func(u *unit.Unit) error {
		var found []*records.ShownWindow
		err := records.ScanShown(u, "f", "a", -3, 7, func(s *records.ShownWindow) bool { found = append(found, s); return true })
		if len(found) != 1 || !reflect.DeepEqual(found[0], want) {
			t.Errorf("%+v, want %+v", found, want)
		}
		return errors.Join(err, records.DeleteShown(u, "f", "a", -3), records.DeleteShown(u, "f", "a", 7))
	})
}

// Values of format 1 stay readable.
func TestWindowFormats(t *testing.T) {
	t.Parallel()
	zero := []byte{0x80, 0, 0, 0, 0, 0, 0, 0} // of an int64
	for kind, value := range map[string][]byte{
		"progress": slices.Concat([]byte{1}, []byte("tumbling 5s\x00\x01"), zero),
		"mark":     slices.Concat([]byte{1}, zero, zero),
		"pane":     slices.Concat([]byte{1}, zero, []byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte("state")),
		"shown":    slices.Concat([]byte{1}, zero, make([]byte, 8), make([]byte, 8), []byte{1}),
	} {
		records.WindowValues(value, func(of string, again []byte, err error) {
			if of == kind && (err != nil || !bytes.Equal(again, value)) {
				t.Errorf("%s: %x, %v, want %x", kind, again, err, value)
			}
		})
		value[0] = 9
		records.WindowValues(value, func(of string, _ []byte, err error) {
			if of == kind && (!errors.Is(err, records.ErrNewerRecord) || !errors.Is(err, records.ErrUnreadableWindow)) {
				t.Errorf("newer %s: %v", kind, err)
			}
		})
	}
}

func FuzzWindowValues(f *testing.F) {
	f.Add([]byte{1, 's', 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 1})
	f.Add(append([]byte{1}, make([]byte, 25)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		records.WindowValues(value, func(kind string, again []byte, err error) {
			switch {
			case err != nil && !errors.Is(err, records.ErrUnreadableWindow):
				t.Errorf("%s: %v is not ErrUnreadableWindow", kind, err)
			case err == nil && !bytes.Equal(again, value):
				t.Errorf("%s: %x became %x", kind, value, again)
			}
		})
	})
}
