package table

import (
	"context"
	"fmt"
	"reflect"

	"github.com/perdure/perdure/internal/resource"
)

// ResourceName returns the table's name.
func (t *Table[T]) ResourceName() string { return t.name }

// ResourceKind returns "table".
func (t *Table[T]) ResourceKind() string { return "table" }

// BindInput fills fields of type T, *T and Row[T] with the row that a key names.
// An absent row is ErrNotFound.
func (t *Table[T]) BindInput(field reflect.Type) (resource.Input, error) {
	var of func(Row[T]) reflect.Value
	switch field {
	case reflect.TypeFor[T]():
		of = func(row Row[T]) reflect.Value { return reflect.ValueOf(row.Value).Elem() }
	case reflect.TypeFor[*T]():
		of = func(row Row[T]) reflect.Value { return reflect.ValueOf(row.Value) }
	case reflect.TypeFor[Row[T]]():
		of = func(row Row[T]) reflect.Value { return reflect.ValueOf(row) }
	default:
		return nil, fmt.Errorf("table %q fills a field of type %v, *%[2]v or table.Row[%[2]v], not %v", t.name, reflect.TypeFor[T](), field)
	}
	return func(ctx context.Context, key string) (reflect.Value, error) {
		row, err := t.GetRow(ctx, key)
		if err != nil {
			return reflect.Value{}, err
		}
		return of(row), nil
	}, nil
}

// BindOutput writes fields of type T and *T with Put. A nil pointer writes
// nothing.
func (t *Table[T]) BindOutput(field reflect.Type) (resource.Output, error) {
	var of func(reflect.Value) *T
	switch field {
	case reflect.TypeFor[T]():
		of = func(v reflect.Value) *T {
			value := new(T)
			reflect.ValueOf(value).Elem().Set(v)
			return value
		}
	case reflect.TypeFor[*T]():
		of = func(v reflect.Value) *T { return v.Interface().(*T) }
	default:
		return nil, fmt.Errorf("table %q writes a field of type %v or *%[2]v, not %v", t.name, reflect.TypeFor[T](), field)
	}
	return func(ctx context.Context, key string, v reflect.Value) error {
		value := of(v)
		if value == nil {
			return nil
		}
		return t.Put(ctx, key, value)
	}, nil
}

var _ resource.Resource = (*Table[struct{}])(nil)
