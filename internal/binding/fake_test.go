package binding_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/resource"
)

// row is what the fake table keeps.
type row struct {
	Owner string `json:"owner"`
	Size  int    `json:"size"`
}

// fake is a resource that keeps values of one type in a map.
type fake struct {
	name, kind string
	typ        reflect.Type

	mu   sync.Mutex
	rows map[string]reflect.Value
}

func newFake(name, kind string, typ reflect.Type) *fake {
	return &fake{name: name, kind: kind, typ: typ, rows: map[string]reflect.Value{}}
}

func (f *fake) ResourceName() string { return f.name }
func (f *fake) ResourceKind() string { return f.kind }

func (f *fake) check(t reflect.Type) error {
	if t != f.typ {
		return fmt.Errorf("%s %q has fields of type %s, not %s", f.kind, f.name, f.typ, t)
	}
	return nil
}

func (f *fake) BindInput(t reflect.Type) (resource.Input, error) {
	return func(_ context.Context, key string) (reflect.Value, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		v, ok := f.rows[key]
		if !ok {
			return reflect.Value{}, fmt.Errorf("%q: %w", key, resource.ErrNotFound)
		}
		return v, nil
	}, f.check(t)
}

func (f *fake) BindOutput(t reflect.Type) (resource.Output, error) {
	return func(_ context.Context, key string, v reflect.Value) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rows[key] = v
		return nil
	}, f.check(t)
}

// BindCollection implements resource.Collection.
func (f *fake) BindCollection(t reflect.Type) (resource.List, error) {
	return func(_ context.Context, prefix string, limit int) (reflect.Value, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		list := reflect.MakeSlice(t, 0, 0)
		for _, key := range slices.Sorted(maps.Keys(f.rows)) {
			if strings.HasPrefix(key, prefix) && list.Len() < limit {
				list = reflect.Append(list, f.rows[key])
			}
		}
		return list, nil
	}, f.check(t.Elem())
}

// caller is injected.
type caller struct{ Name string }

type fixture struct {
	metadata *fake
	names    *fake
	env      binding.Env
}

func newFixture() *fixture {
	fx := &fixture{
		metadata: newFake("metadata", "table", reflect.TypeFor[row]()),
		names:    newFake("names", "queue", reflect.TypeFor[string]()),
	}
	fx.env = binding.Env{
		Resources: map[string]resource.Resource{"metadata": fx.metadata, "names": fx.names},
		Injectors: map[reflect.Type]binding.Injector{reflect.TypeFor[caller](): injectCaller},
	}
	return fx
}
