package table

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/perdure/perdure/internal/resource"
)

var _ resource.Collection = (*Table[struct{}])(nil)

// BindCollection fills fields of type []T, []*T and []Row[T] with the rows of one
// partition whose names have a prefix: "partition/prefix", or "prefix" for the rows
// without a partition. What is found is not validated at commit.
func (t *Table[T]) BindCollection(field reflect.Type) (resource.List, error) {
	var of func(Row[T]) reflect.Value
	switch field {
	case reflect.TypeFor[[]T]():
		of = func(row Row[T]) reflect.Value { return reflect.ValueOf(row.Value).Elem() }
	case reflect.TypeFor[[]*T]():
		of = func(row Row[T]) reflect.Value { return reflect.ValueOf(row.Value) }
	case reflect.TypeFor[[]Row[T]]():
		of = func(row Row[T]) reflect.Value { return reflect.ValueOf(row) }
	default:
		return nil, fmt.Errorf("table %q fills a field of type []%v, []*%[2]v or []table.Row[%[2]v], not %v", t.name, reflect.TypeFor[T](), field)
	}
	return func(ctx context.Context, path string, limit int) (reflect.Value, error) {
		partition, prefix, err := parsePrefix(path)
		if err != nil {
			return reflect.Value{}, err
		}
		rows := reflect.MakeSlice(field, 0, 0)
		for row, err := range t.Scan(ctx, partition, Prefix(prefix), Limit(limit)) {
			if err != nil {
				return reflect.Value{}, err
			}
			rows = reflect.Append(rows, of(row))
		}
		return rows, nil
	}, nil
}

// parsePrefix reads the path of a key whose row is cut off.
func parsePrefix(path string) (partition, prefix string, err error) {
	partition, prefix, both := strings.Cut(path, "/")
	if !both {
		partition, prefix = "", path
	}
	switch {
	case strings.Contains(prefix, "/"):
		return "", "", keyFault(path, `want "partition/prefix"; a / inside a name is written %2F`)
	case both && partition == "":
		return "", "", keyFault(path, "the partition is empty")
	}
	if partition, err = url.PathUnescape(partition); err != nil {
		return "", "", keyFault(path, "a % is written %25")
	}
	if prefix, err = url.PathUnescape(prefix); err != nil {
		return "", "", keyFault(path, "a % is written %25")
	}
	return partition, prefix, nil
}
