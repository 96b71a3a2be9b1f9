package binding

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/perdure/perdure/internal/resource"
)

// outputBind is a field that is written to a resource.
type outputBind struct {
	resource resource.Resource
	key      keyTemplate
	index    []int
	items    bool // each element is written
	pointer  bool // to what is written
	write    resource.Output
}

func (out *Output) addBind(in *Input, f field, env Env) error {
	if f.tag == skipped {
		return nil
	}
	fail := func(format string, args ...any) error { return in.trigger.fail(f.name, format, args...) }
	if f.has("optional") {
		return fail("optional is for inputs; a nil pointer is not written")
	}
	if _, limited := f.value("limit"); limited {
		return fail("limit is for inputs; drop it")
	}
	b := outputBind{index: f.index}
	var (
		key string
		err error
	)
	if b.resource, key, err = findResource(f.tag, env); err != nil {
		return fail("%w", err)
	}
	text, err := parseTemplate(key)
	if err != nil {
		return fail("%w", err)
	}
	s := scope{in: in, out: out.typ}
	if err := b.bind(f.typ, text, &s); err != nil {
		return fail("bind:%q: %w", f.tag, err)
	}
	if key == "" && s.key {
		text = template{{expr: expr{"key"}}}
	}
	if err := b.checkKey(text, s); err != nil {
		return fail("%w", err)
	}
	if b.key, err = compileKey(text, s); err != nil {
		return fail("%w", err)
	}
	out.binds = append(out.binds, b)
	return nil
}

// bind finds how a field of type t is written: as the resource takes it, or element by
// element.
func (b *outputBind) bind(t reflect.Type, key template, s *scope) error {
	isMap := t.Kind() == reflect.Map && t.Key().Kind() == reflect.String
	several := isMap || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
	if !several || !key.names("item", "key") {
		err := b.bindOne(t)
		if err == nil || !several {
			return err
		}
	}
	s.item, s.key, b.items = t.Elem(), isMap, true
	return b.bindOne(t.Elem())
}

// bindOne finds how a value of type t, or what it points to, is written.
func (b *outputBind) bindOne(t reflect.Type) (err error) {
	if t.Kind() == reflect.Pointer {
		if b.write, err = b.resource.BindOutput(t.Elem()); err == nil {
			b.pointer = true
			return nil
		}
	}
	b.write, err = b.resource.BindOutput(t) // the resource may know the pointer type itself
	return err
}

// checkKey refuses a key that is missing, or the same for each element.
func (b *outputBind) checkKey(key template, s scope) error {
	switch {
	case !needsKey(b.resource):
		return nil
	case len(key) == 0 && b.items:
		return errNoKey(b.resource, "{item.…}")
	case len(key) == 0:
		return errNoKey(b.resource, "{…}")
	case s.key && !key.names("item", "key", "new-id"):
		return errors.New("each element has the same key; use {key} or {item.…} in it")
	case b.items && !key.names("item", "key", "new-id"):
		return errors.New("each element has the same key; use {item.…} or {new-id} in it")
	}
	return nil
}

// names reports whether an expression of the template begins with one of names.
func (t template) names(names ...string) bool {
	return slices.ContainsFunc(t, func(s segment) bool { return s.expr != nil && slices.Contains(names, s.expr[0]) })
}

// Binds reports whether any field is bound to a resource.
func (out *Output) Binds() bool { return len(out.binds) > 0 }

// Store writes the fields of *Out that are bound to resources, in the unit of ctx.
// Nil pointers and a nil Out are not written.
func (out *Output) Store(ctx context.Context, r *Request, inPtr, outPtr reflect.Value) error {
	if outPtr.IsNil() {
		return nil
	}
	for i := range out.binds {
		b := &out.binds[i]
		v := values{request: r, in: inPtr.Elem(), out: outPtr.Elem()}
		if err := b.store(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// store writes the field, or each of its elements. Those of a map are written in the
// order of their keys, so that each run does the same.
func (b *outputBind) store(ctx context.Context, v values) error {
	field := v.out.FieldByIndex(b.index)
	switch {
	case !b.items:
		return b.put(ctx, v, field)
	case field.Kind() == reflect.Map:
		keys := field.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for i, key := range keys {
			v.item, v.key, v.number = field.MapIndex(key), key.String(), i+1
			if err := b.put(ctx, v, v.item); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range field.Len() {
		v.item, v.number = field.Index(i), i+1
		if err := b.put(ctx, v, v.item); err != nil {
			return err
		}
	}
	return nil
}

func (b *outputBind) put(ctx context.Context, v values, value reflect.Value) error {
	if isNil(value) {
		return nil
	}
	key, err := b.key.expand(v)
	if err != nil {
		return err
	}
	if b.pointer {
		value = value.Elem()
	}
	if err := b.write(ctx, key, value); err != nil {
		return fmt.Errorf("bind %s: %w", b.resource.ResourceName(), err)
	}
	return nil
}
