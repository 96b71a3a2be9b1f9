package table

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Table is a named table whose rows hold a T. It is a name and types only: the
// rows are those of the app whose unit of work the context carries. Its methods
// are safe for concurrent use.
type Table[T any] struct {
	name     string
	indexes  []*index[T]
	expiries []expiry[T]
}

// Option configures a table. A SecondaryIndex is one, and what ExpireAfter and
// ExpiresAt return.
type Option[T any] interface{ apply(*Table[T]) }

// Of declares a table. The name is unique in an app over all resources: a letter,
// then letters, digits, "_" and "-". A bad declaration is reported when the table
// is added to an app.
func Of[T any](name string, options ...Option[T]) *Table[T] {
	t := &Table[T]{name: name}
	for _, o := range options {
		o.apply(t)
	}
	return t
}

// Validate reports what is wrong with the declaration: a bad name, two indexes of
// one name, or a T that JSON cannot hold.
func (t *Table[T]) Validate() error {
	if err := checkName(t.name); err != nil {
		return fmt.Errorf("table %q: %w", t.name, err)
	}
	seen := map[string]bool{}
	for _, x := range t.indexes {
		if err := checkName(x.name); err != nil {
			return fmt.Errorf("table %q: index %q: %w", t.name, x.name, err)
		}
		if x.of == nil {
			return fmt.Errorf("table %q: index %q has no function", t.name, x.name)
		}
		if seen[x.name] {
			return fmt.Errorf("table %q: two indexes are named %q", t.name, x.name)
		}
		seen[x.name] = true
	}
	for _, e := range t.expiries {
		if err := e.validate(); err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
	}
	var unsupported *json.UnsupportedTypeError
	if _, err := json.Marshal(new(T)); errors.As(err, &unsupported) {
		return fmt.Errorf("table %q: a row cannot be JSON: %w", t.name, err)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("a name has 1 to %d bytes", MaxName)
	}
	for i, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return errors.New(`a name is a letter, then letters, digits, "_" and "-"`)
		}
	}
	return nil
}

// Row is a row with what the store knows of it.
type Row[T any] struct {
	Key   Key
	Value *T
	// ETag is another one after every write of the row. It has no quotes.
	ETag string
	// Written is when the row was last written.
	Written time.Time
	// Expires is when the row ceases to exist; zero if it does not.
	Expires time.Time
	// Cursor is the row's place in the scan that found it, for After. Empty if
	// the row was not found by a scan. It contains the key and, from an index,
	// the indexed value.
	Cursor string
}

// Get returns the row at key: ErrNotFound if there is none. The commit depends on
// either, that is, on the row not having changed or still being absent.
func (t *Table[T]) Get(ctx context.Context, key string) (*T, error) {
	row, err := t.GetRow(ctx, key)
	return row.Value, err
}

// GetRow is Get with the row's ETag.
func (t *Table[T]) GetRow(ctx context.Context, key string) (Row[T], error) {
	u, k, err := t.open(ctx, key)
	if err != nil {
		return Row[T]{}, err
	}
	row, found, err := t.get(u, k)
	if err == nil && !found {
		err = t.fault(k, ErrNotFound)
	}
	return row, err
}

// Insert writes a row that must not exist: ErrExists otherwise.
func (t *Table[T]) Insert(ctx context.Context, key string, value *T) error {
	return t.write(ctx, key, value, func(old *records.Row) error {
		if old != nil {
			return ErrExists
		}
		return nil
	})
}

// Put writes a row, whether it exists or not. The commit depends on the row not
// having been changed by another; PutBlind does without.
func (t *Table[T]) Put(ctx context.Context, key string, value *T) error {
	return t.write(ctx, key, value, func(*records.Row) error { return nil })
}

// PutIf writes a row if it is still the one that etag was taken of: ErrChanged
// if it was written or deleted since.
func (t *Table[T]) PutIf(ctx context.Context, key, etag string, value *T) error {
	return t.write(ctx, key, value, func(old *records.Row) error { return match(old, etag) })
}

// PutBlind writes a row without reading it: of several units that do, the last
// one wins and none runs again. It fails with ErrIndexed on a table with indexes. If
// somebody listens to the changes of the table it is a Put, because they are told
// what the row was before.
func (t *Table[T]) PutBlind(ctx context.Context, key string, value *T) error {
	u, k, err := t.open(ctx, key)
	if err != nil {
		return err
	}
	if len(t.indexes) > 0 {
		return t.fault(k, ErrIndexed)
	}
	if u.HasFeed(t.name) {
		return t.Put(ctx, key, value)
	}
	row, err := t.encode(u, value)
	if err == nil {
		err = u.Do(func() error { return records.PutRow(u, k.record(t.name), nil, row) })
	}
	return t.fault(k, err)
}

// maxUpdates bounds how often Update tries in one unit.
const maxUpdates = 256

// Update reads the row at key, lets change alter it and writes it: ErrNotFound
// if there is none. Change may be called again when another goroutine of the same
// unit writes the row meanwhile. Its error is returned as it is, and nothing
// written.
func (t *Table[T]) Update(ctx context.Context, key string, change func(*T) error) error {
	for range maxUpdates {
		row, err := t.GetRow(ctx, key)
		if err != nil {
			return err
		}
		if err := change(row.Value); err != nil {
			return err
		}
		if err := t.PutIf(ctx, key, row.ETag, row.Value); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("table %q: row %q: other calls of the same unit changed it %d times during Update: %w", t.name, key, maxUpdates, ErrChanged)
}

// Delete removes the row at key: ErrNotFound if there is none.
func (t *Table[T]) Delete(ctx context.Context, key string) error {
	return t.remove(ctx, key, func(old *records.Row) error {
		if old == nil {
			return ErrNotFound
		}
		return nil
	})
}

// DeleteIf removes the row at key if it is still the one that etag was taken of:
// ErrChanged if it was written or deleted since.
func (t *Table[T]) DeleteIf(ctx context.Context, key, etag string) error {
	return t.remove(ctx, key, func(old *records.Row) error { return match(old, etag) })
}

// DeleteBlind removes the row at key, if there is one, without reading it. It
// fails with ErrIndexed on a table with indexes. If somebody listens to the changes of
// the table it reads the row, like PutBlind.
func (t *Table[T]) DeleteBlind(ctx context.Context, key string) error {
	u, k, err := t.open(ctx, key)
	if err != nil {
		return err
	}
	if len(t.indexes) > 0 {
		return t.fault(k, ErrIndexed)
	}
	if u.HasFeed(t.name) {
		_, err := t.DeleteAll(ctx, key)
		return err
	}
	return t.fault(k, u.Do(func() error { return records.DeleteRow(u, k.record(t.name), nil) }))
}

// open returns the unit of ctx and the key that path names.
func (t *Table[T]) open(ctx context.Context, path string) (*unit.Unit, Key, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return nil, Key{}, fmt.Errorf("table %q: %w", t.name, err)
	}
	k, err := ParseKey(path)
	if err != nil {
		return nil, Key{}, fmt.Errorf("table %q: %w", t.name, err)
	}
	return u, k, nil
}

// write puts value under key if check agrees to the row that is there.
func (t *Table[T]) write(ctx context.Context, key string, value *T, check func(old *records.Row) error) error {
	u, k, err := t.open(ctx, key)
	if err != nil {
		return err
	}
	row, err := t.encode(u, value)
	if err != nil {
		return t.fault(k, err)
	}
	return t.change(u, k, check, func(old *records.Row) error {
		return records.PutRow(u, k.record(t.name), old, row)
	})
}

// remove deletes the row under key if check agrees to it.
func (t *Table[T]) remove(ctx context.Context, key string, check func(old *records.Row) error) error {
	u, k, err := t.open(ctx, key)
	if err != nil {
		return err
	}
	return t.change(u, k, check, func(old *records.Row) error {
		return records.DeleteRow(u, k.record(t.name), old)
	})
}

// change reads the row at k and, if check agrees to it, calls apply.
func (t *Table[T]) change(u *unit.Unit, k Key, check, apply func(old *records.Row) error) error {
	return t.fault(k, u.Do(func() error {
		old, err := records.GetRow(u, k.record(t.name))
		if err != nil {
			return err
		}
		if err := check(old.Live(u.Now())); err != nil {
			return err
		}
		return apply(old)
	}))
}

func match(old *records.Row, tag string) error {
	if old == nil || etag(old) != tag {
		return ErrChanged
	}
	return nil
}

func etag(row *records.Row) string { return fmt.Sprintf("%016x", row.Tag) }

// encode makes the row that holds value, with its index entries.
func (t *Table[T]) encode(u *unit.Unit, value *T) (*records.Row, error) {
	if value == nil {
		return nil, errors.New("the value is nil")
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxRow {
		return nil, fmt.Errorf("%w: %d bytes of JSON, at most %d are allowed", ErrTooLarge, len(data), MaxRow)
	}
	row := &records.Row{Tag: rand.Uint64(), Written: u.Now(), Data: data}
	return row, t.describe(row, value)
}

// get returns the row at k, if there is one that has not expired.
func (t *Table[T]) get(u *unit.Unit, k Key) (row Row[T], found bool, err error) {
	stored, err := records.GetRow(u, k.record(t.name))
	if err != nil {
		return row, false, t.fault(k, err)
	}
	if stored = stored.Live(u.Now()); stored == nil {
		return row, false, nil
	}
	row, err = t.decode(k, stored)
	return row, err == nil, err
}

func (t *Table[T]) decode(k Key, stored *records.Row) (Row[T], error) {
	value := new(T)
	if err := json.Unmarshal(stored.Data, value); err != nil {
		return Row[T]{}, t.fault(k, err)
	}
	return Row[T]{Key: k, Value: value, ETag: etag(stored), Written: stored.Written, Expires: stored.Expires}, nil
}

// fault says which row err is about.
func (t *Table[T]) fault(k Key, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("table %q: row %q: %w", t.name, k.String(), err)
}
