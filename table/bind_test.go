package table_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/table"
)

func TestTableIsAResource(t *testing.T) {
	t.Parallel()
	var r resource.Resource = files
	if r.ResourceName() != "files" || r.ResourceKind() != "table" {
		t.Errorf("it is %s %q", r.ResourceKind(), r.ResourceName())
	}
}

func TestBindings(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	write := func(ctx context.Context, key string, v any) error {
		output, err := files.BindOutput(reflect.TypeOf(v))
		if err != nil {
			return err
		}
		return output(ctx, key, reflect.ValueOf(v))
	}
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			write(ctx, "p/1", File{Name: "value"}),
			write(ctx, "a%2Fb", &File{Name: "pointer"}),
			write(ctx, "nothing", (*File)(nil)),
		)
	})
	a.run(t, func(ctx context.Context) error {
		wantPaths(t, "written", files.ScanAll(ctx), "a%2Fb p/1")
		for _, field := range []reflect.Type{reflect.TypeFor[File](), reflect.TypeFor[*File](), reflect.TypeFor[table.Row[File]]()} {
			input, err := files.BindInput(field)
			if err != nil {
				return err
			}
			v, err := input(ctx, "p/1")
			if err != nil {
				return err
			}
			if v.Type() != field {
				t.Errorf("%v is filled with %v", field, v.Type())
			}
			if _, err := input(ctx, "nothing"); !errors.Is(err, resource.ErrNotFound) {
				t.Errorf("%v of an absent row: %v", field, err)
			}
			switch got := v.Interface().(type) {
			case File:
				err = want(got.Name, "value")
			case *File:
				err = want(got.Name, "value")
			case table.Row[File]:
				err = errors.Join(want(got.Value.Name, "value"), want(got.Key.String(), "p/1"))
			}
			if err != nil {
				t.Errorf("%v: %v", field, err)
			}
		}
		return nil
	})
}

func want(got, want string) error {
	if got != want {
		return errors.New(got + ", want " + want)
	}
	return nil
}

func TestBindingsOfWrongTypes(t *testing.T) {
	t.Parallel()
	if _, err := files.BindInput(reflect.TypeFor[string]()); err == nil || !strings.Contains(err.Error(), "table_test.File, *table_test.File or table.Row[table_test.File], not string") {
		t.Errorf("input: %v", err)
	}
	for _, field := range []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[table.Row[File]]()} {
		if _, err := files.BindOutput(field); err == nil || !strings.Contains(err.Error(), "table_test.File or *table_test.File, not") {
			t.Errorf("output: %v", err)
		}
	}
}

// A table of an interface type may hold nil, which is null.
func TestBindingsOfInterfaces(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	anything := table.Of[any]("anything")
	a.run(t, func(ctx context.Context) error {
		output, err := anything.BindOutput(reflect.TypeFor[any]())
		if err != nil {
			return err
		}
		if err := output(ctx, "1", reflect.Zero(reflect.TypeFor[any]())); err != nil {
			return err
		}
		input, err := anything.BindInput(reflect.TypeFor[any]())
		if err != nil {
			return err
		}
		v, err := input(ctx, "1")
		if err == nil && (v.Type() != reflect.TypeFor[any]() || !v.IsNil()) {
			t.Errorf("null is read as %v", v)
		}
		return err
	})
}
