package records

import (
	"bytes"
	"fmt"
	"reflect"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// IndexEntry is one entry that a row has in a secondary index of its table.
type IndexEntry struct {
	// Index is the index's name.
	Index string
	// Value is the indexed value, as EncodeIndexed encodes it.
	Value []byte
}

// EncodeIndexed encodes a string, boolean, number or time.Time, also of a named
// type, so that encodings of one type sort like the values. Any other value
// panics.
func EncodeIndexed(v reflect.Value) []byte {
	switch {
	case v.Kind() == reflect.String:
		return tuple.AppendString(nil, v.String())
	case v.Kind() == reflect.Bool:
		return tuple.AppendBool(nil, v.Bool())
	case v.CanFloat():
		return tuple.AppendFloat64(nil, v.Float())
	case v.CanUint():
		return tuple.AppendUint64(nil, v.Uint())
	case v.CanInt():
		return tuple.AppendInt64(nil, v.Int())
	}
	return tuple.AppendTime(nil, v.Interface().(time.Time))
}

func (e IndexEntry) equal(o IndexEntry) bool {
	return e.Index == o.Index && bytes.Equal(e.Value, o.Value)
}

func (r *Row) hasEntry(e IndexEntry) bool {
	if r == nil {
		return false
	}
	for _, own := range r.Entries {
		if own.equal(e) {
			return true
		}
	}
	return false
}

// entryUpgrades has no step yet: format 1 is partition string, row string.
var entryUpgrades upgrades

func indexKey(space byte, table, index string) []byte {
	return tuple.AppendString(tableKey(space, table), index)
}

func entryKey(k RowKey, e IndexEntry) []byte {
	key := append(indexKey(spaceIndex, k.Table, e.Index), e.Value...)
	return tuple.AppendString(tuple.AppendString(key, k.Partition), k.Row)
}

// moveEntries deletes the entries that old has and row has not, and puts those
// that row has and old has not. Either row may be nil.
func moveEntries(u Unit, k RowKey, old, row *Row) error {
	if old != nil {
		for _, e := range old.Entries {
			if row.hasEntry(e) {
				continue
			}
			if err := u.Delete(entryKey(k, e)); err != nil {
				return err
			}
			if err := u.Add(indexKey(spaceIndexChange, k.Table, e.Index), 1); err != nil {
				return err
			}
		}
	}
	if row == nil {
		return nil
	}
	for _, e := range row.Entries {
		if old.hasEntry(e) {
			continue
		}
		value := tuple.AppendString([]byte{entryUpgrades.current()}, k.Partition)
		if err := u.Put(entryKey(k, e), tuple.AppendString(value, k.Row)); err != nil {
			return err
		}
		if err := u.Add(indexKey(spaceIndexChange, k.Table, e.Index), 1); err != nil {
			return err
		}
	}
	return nil
}

// IndexScan says which entries of an index to visit.
type IndexScan struct {
	Table, Index string
	// Equal, unless nil, is the only encoded value.
	Equal []byte
	// From, unless nil, is the least encoded value.
	From []byte
	// To, unless nil, is the encoded value before which the scan ends.
	To []byte
	// After, unless nil, is the cursor of the entry before the first.
	After []byte
	// Reverse visits the last entry first.
	Reverse bool
	// Stable makes the commit depend on no entry of the whole index having
	// been added or removed, and on each visited row.
	Stable bool
}

// ScanIndex visits the rows that have entries in an index and have not expired, in
// the order of the indexed value, then partition and row, until visit returns false.
// Cursor, given as After, stands for the place of the entry.
func ScanIndex(u Unit, s IndexScan, visit func(k RowKey, row *Row, cursor []byte) bool) error {
	base := indexKey(spaceIndex, s.Table, s.Index)
	get := PeekRow
	if s.Stable {
		get = GetRow
		if err := u.Validate(indexKey(spaceIndexChange, s.Table, s.Index)); err != nil {
			return err
		}
	}
	after, err := placeOf(s.After, s.Index)
	if err != nil {
		return err
	}
	r := store.Range{Start: base, End: tuple.After(base), Reverse: s.Reverse}
	if s.Equal != nil {
		r.Start = append(bytes.Clone(base), s.Equal...)
		r.End = tuple.After(r.Start)
	}
	if s.From != nil {
		r.Start = append(bytes.Clone(base), s.From...)
	}
	if s.To != nil {
		r.End = append(bytes.Clone(base), s.To...)
	}
	now := u.Now()
	var failed error
	err = u.Scan(seek(r, base, after), func(it store.Item) bool {
		k, err := decodeEntry(s.Table, it.Value)
		if err != nil {
			failed = err
			return false
		}
		row, err := get(u, k)
		if err != nil {
			failed = fmt.Errorf("row %q of partition %q: %w", k.Row, k.Partition, err)
			return false
		}
		place := it.Key[len(base):]
		if !row.hasEntry(IndexEntry{Index: s.Index, Value: entryValue(place, k)}) {
			return true // left by a write that did not know of the index
		}
		return row.Live(now) == nil || visit(k, row, cursorOf(place, s.Index))
	})
	if err != nil {
		return err
	}
	return failed
}

func decodeEntry(table string, value []byte) (RowKey, error) {
	body, err := entryUpgrades.body(value)
	if err != nil {
		return RowKey{}, fmt.Errorf("index entry: %w", err)
	}
	d := tuple.Decode(body)
	k := RowKey{Table: table, Partition: d.String(), Row: d.String()}
	if err := d.End(); err != nil {
		return RowKey{}, fmt.Errorf("index entry: %w", err)
	}
	return k, nil
}

// entryValue cuts the row's name off the part of an entry's key that follows the
// index's.
func entryValue(place []byte, k RowKey) []byte {
	name := tuple.AppendString(tuple.AppendString(nil, k.Partition), k.Row)
	return bytes.TrimSuffix(place, name)
}

// rebuildBytes bounds what RebuildRows rewrites in one unit, roughly.
const rebuildBytes = 8 << 20

// RebuildRows brings the entries and the expiry of up to limit rows of a table to
// what describe, which is given a copy of each row, sets them to. It starts after
// the row of cursor after (nil: the first), and returns the cursor to go on from,
// nil at the end. It stops early when the rows are large. It is how an index that is
// declared later comes to cover rows written before; run it in one unit for each
// batch. The data of the rows does not change, and they keep their tags.
func RebuildRows(u Unit, table string, after []byte, limit int, describe func(k RowKey, row *Row) error) (next []byte, err error) {
	var failed error
	rows, size := 0, 0
	err = ScanRows(u, RowScan{Table: table, After: after}, func(k RowKey, row *Row, cursor []byte) bool {
		failed = rebuildRow(u, k, row, describe)
		rows++
		size += len(row.Data)
		if rows >= limit || size >= rebuildBytes {
			next = cursor
		}
		return failed == nil && next == nil
	})
	if err != nil {
		return nil, err
	}
	return next, failed
}

func rebuildRow(u Unit, k RowKey, row *Row, describe func(k RowKey, row *Row) error) error {
	rebuilt := *row
	if err := describe(k, &rebuilt); err != nil {
		return err
	}
	same := len(rebuilt.Entries) == len(row.Entries) && rebuilt.Expires.Equal(row.Expires)
	for _, e := range rebuilt.Entries {
		same = same && row.hasEntry(e)
	}
	if same {
		return nil
	}
	key := rowKey(k)
	if err := u.Validate(key); err != nil {
		return err
	}
	if err := moveEntries(u, k, row, &rebuilt); err != nil {
		return err
	}
	if err := moveExpiry(u, k, row, &rebuilt); err != nil {
		return err
	}
	return u.Put(key, rebuilt.encode())
}
