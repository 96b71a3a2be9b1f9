package binding

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/resource"
)

// How many a collection is filled with.
const (
	// defaultCollection is the limit where the tag says none.
	defaultCollection = 100
	// maxCollection bounds the limit.
	maxCollection = 1000
)

// boundField is a field of In that is filled from a resource.
type boundField struct {
	field
	needs map[*boundField]bool // what its key is made of
	state int                  // of orderBinds
}

// short is the name by which expressions call the field: "meta" for Meta.
func (b *boundField) short() string {
	name := b.name[strings.LastIndex(b.name, ".")+1:]
	return strings.ToLower(name[:1]) + name[1:]
}

// boundNamed returns the bound field that an expression calls by name; nil without one.
func (in *Input) boundNamed(name string) *boundField {
	for _, b := range in.bound {
		if strings.EqualFold(b.short(), name) {
			return b
		}
	}
	return nil
}

// boundAt returns the bound field that names, walked from In, lead into; nil when they
// lead elsewhere.
func (in *Input) boundAt(names []string) *boundField {
	var index []int
	t := in.typ
	for _, name := range names {
		if t = deref(t); t.Kind() != reflect.Struct {
			return nil
		}
		f, ok := memberOf(t, name)
		if !ok {
			return nil
		}
		index, t = append(index, f.Index...), f.Type
		for _, b := range in.bound {
			if slices.Equal(b.index, index) {
				return b
			}
		}
	}
	return nil
}

// inputBind is a field with how it is filled from a resource.
type inputBind struct {
	*boundField
	resource resource.Resource
	key      keyTemplate
	pointer  bool
	read     resource.Input
}

func (in *Input) addBind(f *boundField, env Env) error {
	fail := func(format string, args ...any) error { return in.trigger.fail(f.name, format, args...) }
	b := &inputBind{boundField: f, pointer: f.typ.Kind() == reflect.Pointer}
	var (
		key string
		err error
	)
	if b.resource, key, err = findResource(f.tag, env); err != nil {
		return fail("%w", err)
	}
	prefix, all := strings.CutSuffix(key, "*")
	several := f.typ.Kind() == reflect.Slice && f.typ != bytesType
	_, limited := f.value("limit")
	switch {
	case several && all && f.has("optional"):
		return fail("is never absent, only empty; drop optional")
	case several && all:
		key = prefix
		b.read, err = f.collection(b.resource)
	case limited:
		return fail(`limit is for a slice whose key ends in "*"; drop it`)
	case f.has("optional") && !b.pointer && f.typ.Kind() != reflect.Interface:
		return fail("is optional, so it must be a pointer: *%s", f.typ)
	case key == "" && needsKey(b.resource):
		return fail("%w", errNoKey(b.resource, "{…}"))
	default:
		b.read, err = b.single()
	}
	if err != nil && several && !all {
		err = fmt.Errorf(`%w; a slice takes several, by a key that ends in "*"`, err)
	}
	if err != nil {
		return fail("bind:%q: %w", f.tag, err)
	}
	text, err := parseTemplate(key)
	if err == nil {
		f.needs = map[*boundField]bool{}
		b.key, err = compileKey(text, scope{in: in, needs: f.needs})
	}
	if err != nil {
		return fail("%w", err)
	}
	in.binds = append(in.binds, b)
	return nil
}

// single returns how a field is filled with one.
func (b *inputBind) single() (read resource.Input, err error) {
	if !b.pointer {
		return b.resource.BindInput(b.typ)
	}
	if read, err = b.resource.BindInput(b.typ.Elem()); err == nil {
		return read, nil
	}
	b.pointer = false // the resource may know the pointer type itself
	return b.resource.BindInput(b.typ)
}

// collection returns how a field is filled with several.
func (f *boundField) collection(r resource.Resource) (resource.Input, error) {
	limit := defaultCollection
	if text, given := f.value("limit"); given {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxCollection {
			return nil, fmt.Errorf("limit=%s: want 1 to %d", text, maxCollection)
		}
	}
	c, ok := r.(resource.Collection)
	if !ok {
		return nil, fmt.Errorf("of a %s several cannot be bound", r.ResourceKind())
	}
	list, err := c.BindCollection(f.typ)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, prefix string) (reflect.Value, error) { return list(ctx, prefix, limit) }, nil
}

// The states of a bound field while the order of loading is looked for.
const (
	unordered = iota
	entered
	ordered
)

// orderBinds sorts the binds so that each comes after those that its key is made of.
func (in *Input) orderBinds() error {
	binds := make(map[*boundField]*inputBind, len(in.binds))
	for _, b := range in.binds {
		binds[b.boundField] = b
	}
	var (
		sorted []*inputBind
		visit  func(f *boundField) error
	)
	visit = func(f *boundField) error {
		switch f.state {
		case ordered:
			return nil
		case entered:
			return in.trigger.fail(f.name, "its key is made of the field itself, by way of other bound fields; take a value from elsewhere")
		}
		f.state = entered
		for _, needed := range in.bound { // in the order of the fields
			if f.needs[needed] {
				if err := visit(needed); err != nil {
					return err
				}
			}
		}
		f.state = ordered
		sorted = append(sorted, binds[f])
		return nil
	}
	for _, f := range in.bound {
		if err := visit(f); err != nil {
			return err
		}
	}
	in.binds = sorted
	return nil
}

// Binds reports whether any field is bound to a resource.
func (in *Input) Binds() bool { return len(in.binds) > 0 }

// Load fills the fields of In, which Decode has returned, that are bound to
// resources, in the unit of ctx. A required one that does not exist fails with
// resource.ErrNotFound.
func (in *Input) Load(ctx context.Context, r *Request, ptr reflect.Value) error {
	v := ptr.Elem()
	if err := in.loadSecrets(ctx, v); err != nil {
		return err
	}
	for _, b := range in.binds {
		value, err := b.load(ctx, values{request: r, in: v})
		if errors.Is(err, resource.ErrNotFound) && b.has("optional") {
			continue
		}
		if err != nil {
			return err
		}
		if b.pointer {
			p := reflect.New(value.Type())
			p.Elem().Set(value)
			value = p
		}
		v.FieldByIndex(b.index).Set(value)
	}
	return nil
}

// load reads what the field is bound to.
func (b *inputBind) load(ctx context.Context, v values) (reflect.Value, error) {
	key, err := b.key.expand(v)
	if err != nil {
		return reflect.Value{}, err
	}
	value, err := b.read(ctx, key)
	if err != nil {
		return reflect.Value{}, fmt.Errorf("bind %s: %w", b.resource.ResourceName(), err)
	}
	return value, nil
}
