package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/store"
)

var modelCases = []testCase{
	{name: "model/random-groups", run: modelRandom},
	{name: "model/random-groups-with-reopening", needs: Caps{Durable: true}, run: modelReopen},
}

func modelRandom(e *env) { e.checkModel(false) }

func modelReopen(e *env) { e.checkModel(true) }

// checkModel runs random groups and compares the store with a plain map after
// each. Every run has a prefix of its own, so one store does for all.
func (e *env) checkModel(reopen bool) {
	var runs atomic.Uint64
	rapid.Check(e.T, func(t *rapid.T) {
		m := &model{
			T: t, e: e,
			prefix: binary.BigEndian.AppendUint32([]byte{'m'}, uint32(runs.Add(1))),
			items:  map[string]modelItem{},
		}
		actions := map[string]func(*rapid.T){
			"commit":   m.commit,
			"commit 2": m.commit, // as likely again
			"scan":     m.scan,
			"snapshot": m.snapshot,
			"old":      m.readOld,
			"":         m.check,
		}
		if reopen {
			actions["reopen"] = m.reopen
		}
		t.Repeat(actions)
		m.forget()
	})
}

// model is what a store should hold, as a map.
type model struct {
	*rapid.T
	e      *env
	prefix []byte
	items  map[string]modelItem
	seen   []store.Version // versions that keys once had
	old    store.Snapshot
	oldMap map[string]modelItem
}

// modelItem is a value and, once read, its version; 0 while that is not known.
type modelItem struct {
	value   string
	version store.Version
}

// names are the keys of a run. Few of them make conflicts likely.
var names = []string{"a", "a\x00", "b", "c", "d", "e"}

func (m *model) key(name string) []byte { return append(slices.Clip(m.prefix), name...) }

// pick draws a key, or now and then a bound between keys.
func (m *model) pick(t *rapid.T, label string) string { return rapid.SampledFrom(names).Draw(t, label) }

// commit draws a group, predicts each verdict and the state after it.
func (m *model) commit(t *rapid.T) {
	next := maps.Clone(m.items)
	var group []*store.Txn
	var want []bool
	for range rapid.IntRange(1, 4).Draw(t, "transactions") {
		txn, accepted := m.draw(t, next)
		group, want = append(group, txn), append(want, accepted)
	}
	verdicts, err := m.e.Commit(context.Background(), group)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	for i, err := range verdicts {
		if (err == nil) != want[i] || err != nil && !errors.Is(err, store.ErrConflict) {
			t.Fatalf("verdict %d of %+v: %v, want accepted %v", i, group[i], err, want[i])
		}
	}
	m.items = next
}

// draw makes one transaction and applies it to items if it must be accepted.
func (m *model) draw(t *rapid.T, items map[string]modelItem) (*store.Txn, bool) {
	txn, accepted := &store.Txn{}, true
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		name := m.pick(t, "condition on")
		choices := append([]store.Version{0, m.items[name].version}, m.seen...)
		v := rapid.SampledFrom(choices).Draw(t, "version")
		txn.Require(m.key(name), v)
		item, present := items[name]
		// A key written in this group has a version nobody has seen.
		accepted = accepted && (present && item.version != 0 && item.version == v || !present && v == 0)
	}
	after := maps.Clone(items)
	for range rapid.IntRange(0, 3).Draw(t, "operations") {
		m.drawOp(t, txn, after)
	}
	if accepted {
		clear(items)
		maps.Copy(items, after)
	}
	return txn, accepted
}

func (m *model) drawOp(t *rapid.T, txn *store.Txn, after map[string]modelItem) {
	name := m.pick(t, "key")
	switch rapid.SampledFrom([]store.OpKind{store.OpPut, store.OpPut, store.OpDelete, store.OpDeleteRange, store.OpAdd, store.OpAppend}).Draw(t, "operation") {
	case store.OpPut:
		value := rapid.StringN(0, 10, 10).Draw(t, "value")
		txn.Put(m.key(name), []byte(value))
		after[name] = modelItem{value: value}
	case store.OpDelete:
		txn.Delete(m.key(name))
		delete(after, name)
	case store.OpDeleteRange:
		end := m.pick(t, "end")
		txn.DeleteRange(m.key(name), m.key(end))
		maps.DeleteFunc(after, func(key string, _ modelItem) bool { return key >= name && key < end })
	case store.OpAdd:
		delta := rapid.Int64().Draw(t, "delta")
		txn.Add(m.key(name), delta)
		addTo(after, name, uint64(delta))
	case store.OpAppend:
		value := rapid.StringN(0, 10, 10).Draw(t, "value")
		txn.Append(m.key(name), []byte(value))
		position := addTo(after, name, 1)
		after[string(store.PositionKey([]byte(name), position))] = modelItem{value: value}
	}
}

// addTo adds to a counter and returns the sum.
func addTo(items map[string]modelItem, name string, delta uint64) uint64 {
	if value := items[name].value; len(value) == 8 {
		delta += binary.BigEndian.Uint64([]byte(value))
	}
	items[name] = modelItem{value: string(binary.BigEndian.AppendUint64(nil, delta))}
	return delta
}

// check compares the whole state and learns the versions of what was written.
func (m *model) check(t *rapid.T) {
	snap, err := m.e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	newest := slices.Max(append(m.seen, 0))
	got := map[string]modelItem{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(names, slices.Collect(maps.Keys(m.items)))))) {
		value, version, err := snap.Get(m.key(name))
		if err != nil {
			t.Fatal(err)
		}
		if version == 0 {
			continue
		}
		if known := m.items[name].version; known == 0 && version <= newest {
			t.Fatalf("key %q: version %d is not greater than %d", name, version, newest)
		} else if known == 0 {
			m.items[name] = modelItem{m.items[name].value, version}
		}
		got[name] = modelItem{string(value), version}
	}
	if !maps.Equal(got, m.items) {
		t.Fatalf("the store holds %v, want %v", got, m.items)
	}
	for _, item := range got {
		if !slices.Contains(m.seen, item.version) {
			m.seen = append(m.seen, item.version)
		}
	}
	if len(m.seen) > 12 {
		slices.Sort(m.seen)
		m.seen = m.seen[len(m.seen)-12:]
	}
}

// scan compares a random range in either direction.
func (m *model) scan(t *rapid.T) {
	snap, err := m.e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	m.compareScan(t, snap, m.items)
}

func (m *model) compareScan(t *rapid.T, r store.Reader, items map[string]modelItem) {
	start, end := m.pick(t, "start"), rapid.SampledFrom(append(names, "z")).Draw(t, "end")
	reverse, limit := rapid.Bool().Draw(t, "reverse"), rapid.IntRange(1, 6).Draw(t, "limit")
	var want, got []string
	for _, name := range slices.Sorted(maps.Keys(items)) {
		if name >= start && name < end {
			want = append(want, fmt.Sprintf("%q=%q", name, items[name].value))
		}
	}
	if reverse {
		slices.Reverse(want)
	}
	want = want[:min(limit, len(want))]
	err := r.Scan(store.Range{Start: m.key(start), End: m.key(end), Reverse: reverse}, func(item store.Item) bool {
		got = append(got, fmt.Sprintf("%q=%q", item.Key[len(m.prefix):], item.Value))
		return len(got) < limit
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("scan from %q to %q, reverse %v, limit %d: %v, %v; want %v", start, end, reverse, limit, got, err, want)
	}
}

// snapshot keeps a snapshot with the state it must go on showing.
func (m *model) snapshot(t *rapid.T) {
	m.forget()
	snap, err := m.e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	m.old, m.oldMap = snap, maps.Clone(m.items)
}

// readOld reads the kept snapshot.
func (m *model) readOld(t *rapid.T) {
	if m.old == nil {
		t.Skip("no snapshot yet")
	}
	m.compareScan(t, m.old, m.oldMap)
}

// forget closes the kept snapshot.
func (m *model) forget() {
	if m.old != nil {
		if err := m.old.Close(); err != nil {
			m.Fatalf("closing a snapshot: %v", err)
		}
		m.old = nil
	}
}

// reopen opens the store again, now and then: it is slow.
func (m *model) reopen(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "skip reopening") > 0 {
		t.Skip("not this time")
	}
	m.forget()
	m.e.reopen()
}
