package records

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Unit is what the records of resources use of a unit of work. *unit.Unit is one.
type Unit interface {
	// Get reads a key and validates at commit that it has not changed.
	Get(key []byte) ([]byte, error)
	// Peek reads a key without validation.
	Peek(key []byte) ([]byte, error)
	// Validate makes the commit depend on a key.
	Validate(key []byte) error
	// Scan visits keys in order, without validation.
	Scan(r store.Range, visit func(store.Item) bool) error
	Put(key, value []byte) error
	Delete(key []byte) error
	Add(key []byte, delta int64) error
	// Append puts value at the next position of a log, as store.OpAppend does.
	Append(log, value []byte) error
	// Now is the app's time.
	Now() time.Time
	// HasFeed reports whether somebody listens to the changes of a table.
	HasFeed(table string) bool
	// Traced returns headers with those of the unit's trace added.
	Traced(headers map[string]string) map[string]string
	// RowExpires tells the app, after the commit, when a row expires.
	RowExpires(at time.Time)
}

// RowKey names a row of a table. Partitions group rows that are read together;
// the empty one is a partition like any other.
type RowKey struct{ Table, Partition, Row string }

// Row is what is stored of a row.
type Row struct {
	// Tag is another one after every write.
	Tag uint64
	// Written is when it was last written.
	Written time.Time
	// Expires, unless zero, is when it ceases to exist.
	Expires time.Time
	// Entries are the index entries that were written with it. Kept, so that a
	// later write removes exactly these, whatever indexes there are by then.
	Entries []IndexEntry
	// Data is the encoded value.
	Data []byte
}

// rowUpgrades has no step yet: format 1 is
//
//	tag uint64, written time, then true and the time of expiry or false, then
//	for each index entry true, index string, value bytes, then false, then data
var rowUpgrades upgrades

func tableKey(space byte, table string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), space), table)
}

func partitionKey(space byte, table, partition string) []byte {
	return tuple.AppendString(tableKey(space, table), partition)
}

func rowKey(k RowKey) []byte {
	return tuple.AppendString(partitionKey(spaceRow, k.Table, k.Partition), k.Row)
}

func (r *Row) encode() []byte {
	b := append(make([]byte, 0, 64+len(r.Data)), rowUpgrades.current())
	b = tuple.AppendUint64(b, r.Tag)
	b = tuple.AppendTime(b, r.Written)
	b = tuple.AppendBool(b, !r.Expires.IsZero())
	if !r.Expires.IsZero() {
		b = tuple.AppendTime(b, r.Expires)
	}
	for _, e := range r.Entries {
		b = tuple.AppendBool(b, true)
		b = tuple.AppendString(b, e.Index)
		b = tuple.AppendBytes(b, e.Value)
	}
	b = tuple.AppendBool(b, false)
	return append(b, r.Data...)
}

// decodeRow decodes the value of a row; nil for none.
func decodeRow(value []byte) (*Row, error) {
	if value == nil {
		return nil, nil
	}
	body, err := rowUpgrades.body(value)
	if err != nil {
		return nil, err
	}
	d := tuple.Decode(body)
	row := &Row{Tag: d.Uint64(), Written: d.Time()}
	if d.Bool() {
		row.Expires = d.Time()
	}
	for d.Bool() {
		row.Entries = append(row.Entries, IndexEntry{Index: d.String(), Value: d.Bytes()})
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	row.Data = d.Rest()
	return row, nil
}

// GetRow returns the row that is stored at k, also one that has expired, or nil.
// That it is so is validated at commit. Its data must not be changed.
func GetRow(u Unit, k RowKey) (*Row, error) {
	value, err := u.Get(rowKey(k))
	if err != nil {
		return nil, err
	}
	return decodeRow(value)
}

// PeekRow is GetRow without validation.
func PeekRow(u Unit, k RowKey) (*Row, error) {
	value, err := u.Peek(rowKey(k))
	if err != nil {
		return nil, err
	}
	return decodeRow(value)
}

// PutRow writes row at k. Old is the row that is stored there, as the unit sees
// it, nil for none: its index entries are taken away unless row has them as well. A
// caller that does not know may pass nil for a row without entries.
func PutRow(u Unit, k RowKey, old, row *Row) error {
	if err := u.Put(rowKey(k), row.encode()); err != nil {
		return err
	}
	return follow(u, k, old, row)
}

// DeleteRow removes the row at k with its index entries. Old is as for PutRow.
func DeleteRow(u Unit, k RowKey, old *Row) error {
	if err := u.Delete(rowKey(k)); err != nil {
		return err
	}
	return follow(u, k, old, nil)
}

// follow writes what goes along with old becoming row, either of which may be nil.
func follow(u Unit, k RowKey, old, row *Row) error {
	if err := moveEntries(u, k, old, row); err != nil {
		return err
	}
	if err := moveExpiry(u, k, old, row); err != nil {
		return err
	}
	if err := noteChange(u, k, old, row); err != nil {
		return err
	}
	return u.Add(partitionKey(spacePartition, k.Table, k.Partition), 1)
}

// RowScan says which rows of a table to visit.
type RowScan struct {
	Table string
	// Partition, unless nil, is the only one visited.
	Partition *string
	// Prefix is what the rows' names begin with, if Partition is given.
	Prefix string
	// After, unless nil, is the cursor of the row before the first.
	After []byte
	// Reverse visits the last row first.
	Reverse bool
	// Stable makes the commit depend on no row of the partition having been
	// added, changed or removed. It needs Partition.
	Stable bool
}

// ErrCursor: a cursor that is damaged, or of another kind of scan.
var ErrCursor = errors.New("invalid cursor")

// ScanRows visits the rows that have not expired, in the order of partition and
// name, until visit returns false. Cursor, given as After, stands for the place of
// the row.
func ScanRows(u Unit, s RowScan, visit func(k RowKey, row *Row, cursor []byte) bool) error {
	after, err := placeOf(s.After, "")
	if err != nil {
		return err
	}
	base := tableKey(spaceRow, s.Table)
	prefix := base
	if s.Partition != nil {
		prefix = tuple.AppendStringPrefix(partitionKey(spaceRow, s.Table, *s.Partition), s.Prefix)
		if s.Stable {
			if err := u.Validate(partitionKey(spacePartition, s.Table, *s.Partition)); err != nil {
				return err
			}
		}
	}
	r := store.Range{Start: prefix, End: tuple.After(prefix), Reverse: s.Reverse}
	now := u.Now()
	var failed error
	err = u.Scan(seek(r, base, after), func(it store.Item) bool {
		place := it.Key[len(base):]
		d := tuple.Decode(place)
		k := RowKey{Table: s.Table, Partition: d.String(), Row: d.String()}
		if failed = d.End(); failed != nil {
			failed = fmt.Errorf("key of a row: %w", failed)
			return false
		}
		var row *Row
		if row, failed = decodeRow(it.Value); failed != nil {
			failed = fmt.Errorf("row %q of partition %q: %w", k.Row, k.Partition, failed)
			return false
		}
		return row.Live(now) == nil || visit(k, row, cursorOf(place, ""))
	})
	if err != nil {
		return err
	}
	return failed
}

// cursorOf makes a cursor of a place, which is the rest of a key, in the named
// index; in the rows themselves if index is empty.
func cursorOf(place []byte, index string) []byte {
	return append(tuple.AppendString(nil, index), place...)
}

// placeOf returns the place of a cursor; nil for nil.
func placeOf(cursor []byte, index string) ([]byte, error) {
	if cursor == nil {
		return nil, nil
	}
	place, ok := bytes.CutPrefix(cursor, tuple.AppendString(nil, index))
	if !ok || len(place) == 0 {
		return nil, ErrCursor
	}
	return place, nil
}

// seek returns the part of r that comes after the key base+place; r if place is
// nil.
func seek(r store.Range, base, place []byte) store.Range {
	if place == nil {
		return r
	}
	key := append(bytes.Clone(base), place...)
	switch {
	case r.Reverse && bytes.Compare(key, r.End) < 0:
		r.End = key
	case !r.Reverse && bytes.Compare(key, r.Start) >= 0:
		r.Start = append(key, 0)
	}
	return r
}
