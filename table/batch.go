package table

import (
	"context"
	"errors"
	"fmt"
)

// Entry is a row to be written.
type Entry[T any] struct {
	Key   string
	Value *T
}

// GetAll returns the rows at keys, in their order, nil for those that do not exist.
// The commit depends on each, as with Get. There are at most MaxBatch.
func (t *Table[T]) GetAll(ctx context.Context, keys ...string) ([]*T, error) {
	if err := t.checkBatch(len(keys)); err != nil {
		return nil, err
	}
	values := make([]*T, len(keys))
	for i, key := range keys {
		u, k, err := t.open(ctx, key)
		if err != nil {
			return nil, err
		}
		row, _, err := t.get(u, k)
		if err != nil {
			return nil, err
		}
		values[i] = row.Value
	}
	return values, nil
}

// PutAll puts entries in their order, at most MaxBatch. It ends at the first error.
func (t *Table[T]) PutAll(ctx context.Context, entries ...Entry[T]) error {
	if err := t.checkBatch(len(entries)); err != nil {
		return err
	}
	for _, e := range entries {
		if err := t.Put(ctx, e.Key, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// DeleteAll removes the rows at keys, at most MaxBatch, and returns how many there
// were; those that do not exist are no error. It ends at the first error.
func (t *Table[T]) DeleteAll(ctx context.Context, keys ...string) (n int, err error) {
	if err := t.checkBatch(len(keys)); err != nil {
		return 0, err
	}
	for _, key := range keys {
		switch err := t.Delete(ctx, key); {
		case err == nil:
			n++
		case !errors.Is(err, ErrNotFound):
			return n, err
		}
	}
	return n, nil
}

func (t *Table[T]) checkBatch(n int) error {
	if n > MaxBatch {
		return fmt.Errorf("table %q: batch of %d rows %w: at most %d are allowed", t.name, n, ErrTooLarge, MaxBatch)
	}
	return nil
}
