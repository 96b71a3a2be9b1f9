package table_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/table"
)

func TestCollections(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			files.Put(ctx, "p/a1", &File{Name: "1"}), files.Put(ctx, "p/a2", &File{Name: "2"}), files.Put(ctx, "p/b1", &File{Name: "3"}),
			files.Put(ctx, "x%2Fy/a1", &File{Name: "4"}), files.Put(ctx, "alone", &File{Name: "5"}),
		)
	})
	for _, test := range []struct {
		path  string
		limit int
		want  string
	}{
		{"p/", 10, "1 2 3"}, {"p/", 2, "1 2"}, {"p/a", 10, "1 2"}, {"p/none", 10, ""},
		{"x%2Fy/", 10, "4"}, {"x", 10, ""}, {"", 10, "5"}, {"al", 10, "5"},
	} {
		for _, field := range []reflect.Type{reflect.TypeFor[[]File](), reflect.TypeFor[[]*File](), reflect.TypeFor[[]table.Row[File]]()} {
			list, err := files.BindCollection(field)
			if err != nil {
				t.Fatal(err)
			}
			a.run(t, func(ctx context.Context) error {
				v, err := list(ctx, test.path, test.limit)
				if err != nil {
					return err
				}
				names := make([]string, v.Len())
				for i := range names {
					switch file := v.Index(i).Interface().(type) {
					case File:
						names[i] = file.Name
					case *File:
						names[i] = file.Name
					case table.Row[File]:
						names[i] = file.Value.Name
					}
				}
				if got := strings.Join(names, " "); v.Type() != field || got != test.want {
					t.Errorf("%q as %v: %q of type %v, want %q", test.path, field, got, v.Type(), test.want)
				}
				return nil
			})
		}
	}
}

func TestBadCollections(t *testing.T) {
	t.Parallel()
	if _, err := files.BindCollection(reflect.TypeFor[[]string]()); err == nil || !strings.Contains(err.Error(), "[]table.Row[table_test.File], not []string") {
		t.Errorf("got %v", err)
	}
	list, err := files.BindCollection(reflect.TypeFor[[]File]())
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(t)
	for _, path := range []string{"a/b/c", "/a", "%zz", "%zz/a"} {
		a.run(t, func(ctx context.Context) error {
			if _, err := list(ctx, path, 1); !errors.Is(err, table.ErrKey) {
				t.Errorf("%q: %v, want ErrKey", path, err)
			}
			return nil
		})
	}
}
