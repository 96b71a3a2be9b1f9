package table

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Ordered is what can be indexed. Strings sort by their bytes, times by the moment
// they stand for, false before true, NaN after every number.
type Ordered interface {
	~string | ~bool | ~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64 | time.Time
}

// SecondaryIndex finds rows of T by a V. It belongs to the table that it is given
// to, is written in the same commit as the rows, and so never differs from them.
type SecondaryIndex[T any, V Ordered] struct{ index[T] }

// index is a SecondaryIndex without the type of its values.
type index[T any] struct {
	name string
	of   func(*T) ([]byte, error) // the encoded value
}

// Index declares an index. Of takes the indexed value out of a row; it must give
// the same value for the same row always, and must not change the row. The name
// follows the rules of table names and is unique in its table.
//
// An index that is added to a table which has rows covers those written from then
// on, until Reindex has gone over the older ones. The same holds for an index whose
// function was changed. An index that is no longer declared is no longer written.
func Index[T any, V Ordered](name string, of func(*T) V) *SecondaryIndex[T, V] {
	x := &SecondaryIndex[T, V]{index[T]{name: name}}
	if of != nil {
		x.of = func(row *T) ([]byte, error) { return x.encode(of(row)) }
	}
	return x
}

//lint:ignore U1000 it is called through Option; the checker does not follow generic types there
func (x *SecondaryIndex[T, V]) apply(t *Table[T]) { t.indexes = append(t.indexes, &x.index) }

func (x *SecondaryIndex[T, V]) encode(value V) ([]byte, error) {
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.String && storedSize(v.String()) > MaxIndexed {
		return nil, fmt.Errorf("index %q: value %w: %d bytes, at most %d are allowed", x.name, ErrTooLarge, storedSize(v.String()), MaxIndexed)
	}
	return records.EncodeIndexed(v), nil
}

// Selection is a range of an index.
type Selection[T any] struct {
	index           *index[T]
	equal, from, to []byte
	err             error
}

// All selects every row.
func (x *SecondaryIndex[T, V]) All() Selection[T] { return Selection[T]{index: &x.index} }

// Equal selects the rows whose value is v.
func (x *SecondaryIndex[T, V]) Equal(v V) Selection[T] {
	encoded, err := x.encode(v)
	return Selection[T]{index: &x.index, equal: encoded, err: err}
}

// AtLeast selects the rows whose value is v or more.
func (x *SecondaryIndex[T, V]) AtLeast(v V) Selection[T] {
	encoded, err := x.encode(v)
	return Selection[T]{index: &x.index, from: encoded, err: err}
}

// Below selects the rows whose value is less than v.
func (x *SecondaryIndex[T, V]) Below(v V) Selection[T] {
	encoded, err := x.encode(v)
	return Selection[T]{index: &x.index, to: encoded, err: err}
}

// Between selects the rows whose value is from or more and less than to.
func (x *SecondaryIndex[T, V]) Between(from, to V) Selection[T] {
	s, end := x.AtLeast(from), x.Below(to)
	if s.to = end.to; s.err == nil {
		s.err = end.err
	}
	return s
}

// describe sets the index entries and the expiry of a row that holds value.
func (t *Table[T]) describe(row *records.Row, value *T) error {
	row.Entries = nil
	for _, x := range t.indexes {
		encoded, err := x.of(value)
		if err != nil {
			return err
		}
		row.Entries = append(row.Entries, records.IndexEntry{Index: x.name, Value: encoded})
	}
	row.Expires = t.expiry(row.Written, value)
	return nil
}

// reindexRows bounds the rows that one Reindex goes over.
const reindexRows = 256

// Reindex brings the index entries and the expiry of some rows to what the table's
// declaration says today, and returns where to go on in another unit: empty at the
// end. It starts with the cursor "". Only rows that this changes are written; they
// keep their ETags.
//
//	for cursor, done := "", false; !done; done = cursor == "" {
//		var next string
//		err := app.Unit(ctx, func(ctx context.Context) (err error) {
//			next, err = Files.Reindex(ctx, cursor)
//			return err
//		})
//		if err != nil {
//			return err
//		}
//		cursor = next
//	}
func (t *Table[T]) Reindex(ctx context.Context, cursor string) (next string, err error) {
	u, err := unit.From(ctx)
	if err != nil {
		return "", fmt.Errorf("table %q: %w", t.name, err)
	}
	after, err := parseCursor(cursor)
	if err != nil {
		return "", fmt.Errorf("table %q: %w", t.name, err)
	}
	err = u.Do(func() error {
		after, err = records.RebuildRows(u, t.name, after, reindexRows, func(k records.RowKey, row *records.Row) error {
			value := new(T)
			err := json.Unmarshal(row.Data, value)
			if err == nil {
				err = t.describe(row, value)
			}
			if err != nil {
				return fmt.Errorf("row %q: %w", Key{k.Partition, k.Row}.String(), err)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("table %q: %w", t.name, err)
	}
	if after == nil {
		return "", nil
	}
	return formatCursor(after), nil
}

// declares reports whether x is an index of this table.
func (t *Table[T]) declares(x *index[T]) bool { return slices.Contains(t.indexes, x) }
