package storetest

import (
	"errors"
	"slices"

	"github.com/perdure/perdure/internal/store"
)

var readCases = []testCase{
	{name: "read/absent-and-empty", run: readAbsentAndEmpty},
	{name: "read/own-copy", run: readOwnCopy},
	{name: "read/scan-order", run: readScanOrder},
	{name: "read/scan-bounds", run: readScanBounds},
	{name: "read/scan-stops", run: readScanStops},
	{name: "read/scan-item", run: readScanItem},
	{name: "read/reserved-space-is-hidden", run: readReserved},
	{name: "snapshot/immutable", run: snapshotImmutable},
	{name: "snapshot/closed", run: snapshotClosed},
	{name: "snapshot/nested-reads", run: snapshotNested},
}

func readAbsentAndEmpty(e *env) {
	e.must(func(t *store.Txn) { t.Put([]byte("nil"), nil); t.Put([]byte("empty"), []byte{}) })
	e.view(func(r store.Reader) {
		if value, version := e.read(r, "absent"); value != nil || version != 0 {
			e.Errorf("absent key: %q, version %d", value, version)
		}
		for _, key := range []string{"nil", "empty"} {
			if value, version := e.read(r, key); value == nil || len(value) != 0 || version == 0 {
				e.Errorf("key %q: %#v, version %d; want a value of no bytes", key, value, version)
			}
		}
		for _, key := range [][]byte{nil, {}, make([]byte, store.MaxKeySize+1)} {
			if value, version, err := r.Get(key); value != nil || version != 0 || err != nil {
				e.Errorf("key of %d bytes, which cannot exist: %q, %d, %v", len(key), value, version, err)
			}
		}
	})
}

func readOwnCopy(e *env) {
	e.put("k", "value")
	e.view(func(r store.Reader) {
		first, _ := e.read(r, "k")
		first[0] = 'X'
		if again, _ := e.read(r, "k"); string(again) != "value" {
			e.Errorf("after the caller changed its copy: %q", again)
		}
	})
}

func readScanOrder(e *env) {
	want := []string{"\x00", "\x00\x00", "a", "a\x00", "aa", "a\xff", "b", "\x7f", "\x80", "\xfe\xff"}
	for _, i := range []int{5, 2, 9, 0, 7, 1, 8, 3, 6, 4} {
		e.put(want[i], "")
	}
	slices.Sort(want)
	collect := func(r store.Reader, within store.Range) (got []string) {
		if err := r.Scan(within, func(item store.Item) bool {
			got = append(got, string(item.Key))
			return true
		}); err != nil {
			e.Fatal(err)
		}
		return got
	}
	e.view(func(r store.Reader) {
		if got := collect(r, store.Range{}); !slices.Equal(got, want) {
			e.Errorf("forward: %q, want %q", got, want)
		}
		slices.Reverse(want)
		if got := collect(r, store.Range{Reverse: true}); !slices.Equal(got, want) {
			e.Errorf("reverse: %q, want %q", got, want)
		}
	})
}

func readScanBounds(e *env) {
	for _, k := range []string{"a", "b", "c", "d"} {
		e.put(k, "")
	}
	for _, c := range []struct {
		start, end string
		want       []string
	}{
		{"b", "d", []string{"b=", "c="}},
		{"b", "c\x00", []string{"b=", "c="}},
		{"a\x00", "c", []string{"b="}},
		{"c", "", []string{"c=", "d="}},
		{"", "b", []string{"a="}},
		{"", "", []string{"a=", "b=", "c=", "d="}},
		{"b", "b", nil},
		{"c", "b", nil},
		{"e", "", nil},
		{"", "a", nil},
		{"d", "\xff\xff", []string{"d="}},
		{"\xff", "", nil},
	} {
		e.view(func(r store.Reader) {
			within := keys(c.start, c.end)
			e.shows(r, within, c.want...)
			within.Reverse = true
			slices.Reverse(c.want)
			e.shows(r, within, c.want...)
		})
	}
}

func readScanStops(e *env) {
	for _, k := range []string{"a", "b", "c"} {
		e.put(k, "")
	}
	for _, reverse := range []bool{false, true} {
		visits := 0
		e.view(func(r store.Reader) {
			err := r.Scan(store.Range{Reverse: reverse}, func(item store.Item) bool {
				visits++
				return string(item.Key) != "b"
			})
			e.is("stopped scan", err, nil)
		})
		if visits != 2 {
			e.Errorf("reverse %v: %d visits, want 2", reverse, visits)
		}
	}
}

func readScanItem(e *env) {
	e.put("k", "value")
	e.add("n", 3)
	v := e.version("k")
	e.view(func(r store.Reader) {
		err := r.Scan(store.Range{}, func(item store.Item) bool {
			switch string(item.Key) {
			case "k":
				if string(item.Value) != "value" || item.Version != v {
					e.Errorf("item %+v, want version %d", item, v)
				}
			case "n":
				if n, err := store.DecodeCounter(item.Value); n != 3 || err != nil {
					e.Errorf("counter %d, %v", n, err)
				}
			default:
				e.Errorf("key %q", item.Key)
			}
			return true
		})
		e.is("Scan", err, nil)
	})
}

func readReserved(e *env) {
	// Give the store a reason to keep records of its own.
	e.put("k", "v")
	if _, err := e.AcquireLease(e.Context(), "lease", "me", 1); err != nil {
		e.Fatal(err)
	}
	e.has("k=v")
	e.view(func(r store.Reader) {
		e.shows(r, store.Range{Start: []byte{store.ReservedSpace}})
		if value, _ := e.read(r, "\xffs"); value != nil {
			e.Errorf("reserved key holds %q", value)
		}
	})
}

func snapshotImmutable(e *env) {
	e.put("a", "1")
	e.put("b", "1")
	e.put("r", "1")
	e.add("n", 1)
	before := e.snap()
	_, v := e.read(before, "a")
	e.put("a", "2")
	e.put("new", "2")
	e.del("b")
	e.must(func(t *store.Txn) { t.DeleteRange([]byte("r"), []byte("s")) })
	e.add("n", 1)
	e.shows(before, keys("a", "c"), "a=1", "b=1")
	e.shows(before, keys("o", ""), "r=1")
	if got := e.readCounter(before, "n"); got != 1 {
		e.Errorf("counter in the old snapshot is %d, want 1", got)
	}
	if _, again := e.read(before, "a"); again != v {
		e.Errorf("version in the old snapshot went from %d to %d", v, again)
	}
	after := e.snap()
	e.shows(after, keys("a", "n"), "a=2")
	e.shows(after, keys("n\x00", ""), "new=2")
	if got := e.readCounter(after, "n"); got != 2 {
		e.Errorf("counter in the new snapshot is %d, want 2", got)
	}
}

func snapshotClosed(e *env) {
	e.put("k", "v")
	n, err := e.Snapshot()
	e.is("Snapshot", err, nil)
	other := e.snap()
	e.is("Close", n.Close(), nil)
	if _, _, err := n.Get([]byte("k")); !errors.Is(err, store.ErrClosed) {
		e.Errorf("Get on a closed snapshot: %v", err)
	}
	err = n.Scan(store.Range{}, func(store.Item) bool { return true })
	e.is("Scan on a closed snapshot", err, store.ErrClosed)
	if value, _ := e.read(other, "k"); string(value) != "v" {
		e.Errorf("another snapshot of the same state shows %q", value)
	}
}

func snapshotNested(e *env) {
	e.put("a", "1")
	e.put("b", "2")
	n := e.snap()
	err := n.Scan(store.Range{}, func(item store.Item) bool {
		key := string(item.Key)
		value, _ := e.read(n, key)
		if string(value) != string(item.Value) {
			e.Errorf("Get within Scan: %q, want %q", value, item.Value)
		}
		e.put("written-during-the-scan-"+key, "") // neither blocks nor shows
		return true
	})
	e.is("Scan", err, nil)
	e.shows(n, store.Range{}, "a=1", "b=2")
}
