package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/table"
)

// get returns a row. An id from outside that cannot be one is not found.
func get[T any](ctx context.Context, t *table.Table[T], noun, id string) (*T, error) {
	if id == "" || len(id) > MaxID {
		return nil, fmt.Errorf("%s %.40q: %w", noun, id, ErrNotFound)
	}
	row, err := t.Get(ctx, Key(id))
	if errors.Is(err, ErrNotFound) || errors.Is(err, table.ErrKey) {
		return nil, fmt.Errorf("%s %q: %w", noun, id, ErrNotFound)
	}
	return row, err
}

// put writes a row.
func put[T any](ctx context.Context, t *table.Table[T], noun, id string, row *T) error {
	err := t.Put(ctx, Key(id), row)
	if errors.Is(err, table.ErrTooLarge) {
		return invalid(noun, "all its values together are too large")
	}
	return err
}

// update changes a row by fn, which gets it with a second copy of what it was.
func update[T any](ctx context.Context, t *table.Table[T], noun, id string, fn func(row, old *T) error) (*T, error) {
	old, err := get(ctx, t, noun, id)
	if err != nil {
		return nil, err
	}
	row, err := get(ctx, t, noun, id)
	if err != nil {
		return nil, err
	}
	if err := fn(row, old); err != nil {
		return nil, err
	}
	return row, put(ctx, t, noun, id, row)
}

// claim gives a name to id: ErrExists when another one has it.
func claim(ctx context.Context, kind, name, id string) error {
	err := Names.Insert(ctx, Key2(kind, name), &Name{ID: id})
	if errors.Is(err, ErrExists) {
		return ErrExists
	}
	return err
}

// release gives a name back.
func release(ctx context.Context, kind, name string) error {
	err := Names.Delete(ctx, Key2(kind, name))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// holder returns the id of who has a name; ErrNotFound when it is free.
func holder(ctx context.Context, kind, name string) (string, error) {
	n, err := Names.Get(ctx, Key2(kind, name))
	if errors.Is(err, ErrNotFound) || errors.Is(err, table.ErrKey) || errors.Is(err, table.ErrTooLarge) {
		return "", fmt.Errorf("%s %.80q: %w", kind, name, ErrNotFound)
	}
	if err != nil {
		return "", err
	}
	return n.ID, nil
}

// inConnection is a name that is unique in a connection.
func inConnection(connection, name string) string { return connection + "\x00" + name }

// note writes an entry of the audit log.
func (e *Env) note(ctx context.Context, by Actor, kind, target, format string, args ...any) error {
	return e.Audit(ctx, by.Entry(kind, target, fmt.Sprintf(format, args...)))
}
