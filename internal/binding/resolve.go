package binding

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/suggest"
)

// maxKey bounds a key before its values are percent-encoded, in bytes. It is the
// bound of tables, so that what a caller sends is refused as the caller's fault.
const maxKey = 512

// scope is what the expressions of a binding can name: the trigger and In, for
// output bindings also Out, and the elements of a field that is written one by one.
type scope struct {
	in   *Input
	out  reflect.Type // nil for input bindings
	item reflect.Type // of an element, unless nil
	key  bool         // elements have keys
	// needs are the bound fields of In that the expressions name.
	needs map[*boundField]bool
}

// values is what expressions are evaluated on.
type values struct {
	request       *Request
	in, out, item reflect.Value
	key           string // of item
	number        int    // of item, from 1; 0 without one
}

// lookup returns the text an expression stands for; "" when it is absent.
type lookup func(values) (string, error)

// keyTemplate is a key with its expressions resolved to lookups.
type keyTemplate struct {
	text    template
	lookups map[string]lookup
	blame   map[string]blame
}

// blame says what it means that an expression has no value that a key can hold.
type blame int

const (
	caller   blame = iota // the request is wrong
	nothing               // there is nothing at such a key
	function              // the function is wrong
)

// findResource returns the resource that the tag "resource/key" names, and the key.
func findResource(tag string, env Env) (resource.Resource, string, error) {
	name, key, _ := strings.Cut(tag, "/")
	res := env.Resources[name]
	if res == nil {
		return nil, "", fmt.Errorf("no resource named %q%s", name, suggest.Hint(name, resourceNames(env)))
	}
	return res, key, nil
}

// needsKey reports whether what a resource holds has keys.
func needsKey(res resource.Resource) bool {
	return slices.Contains([]string{"table", "container"}, res.ResourceKind())
}

// errNoKey is the mistake of a binding without the key that it needs.
func errNoKey(res resource.Resource, example string) error {
	name := res.ResourceName()
	return fmt.Errorf("bind:%q has no key; write bind:\"%s/%s\"", name, name, example)
}

// compileKey resolves the expressions of a key.
func compileKey(text template, s scope) (keyTemplate, error) {
	k := keyTemplate{text: text, lookups: map[string]lookup{}, blame: map[string]blame{}}
	for _, seg := range text {
		if seg.expr == nil {
			continue
		}
		name := seg.expr.String()
		var err error
		if k.lookups[name], err = s.resolve(seg.expr); err != nil {
			return keyTemplate{}, fmt.Errorf("expression %s: %w", seg.expr, err)
		}
		switch bound := s.isBound(seg.expr); {
		case s.out == nil && (bound || s.inAddress(seg.expr)):
			k.blame[name] = nothing
		case bound, seg.expr[0] == "out", s.item != nil && slices.Contains([]string{"item", "key"}, seg.expr[0]):
			k.blame[name] = function
		}
	}
	return k, nil
}

func resourceNames(env Env) []string {
	names := make([]string, 0, len(env.Resources))
	for name := range env.Resources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// expand returns the key for one run. An expression without a value is the
// caller's fault, unless it is a value of Out.
func (k keyTemplate) expand(v values) (string, error) {
	size := 0
	for _, seg := range k.text {
		size += len(seg.literal)
	}
	return k.text.expand(func(e expr) (string, error) {
		text, err := k.lookups[e.String()](v)
		if err != nil {
			return "", fmt.Errorf("expression %s: %w", e, err)
		}
		var fault string
		switch size += len(text); {
		case text == "":
			fault = "is needed"
		case !utf8.ValidString(text) || strings.Contains(text, "\x00"):
			fault = "is not text"
		case size > maxKey:
			fault = "is too long"
		default:
			return text, nil
		}
		switch k.blame[e.String()] {
		case function:
			return "", fmt.Errorf("expression %s %s", e, fault)
		case nothing:
			return "", fmt.Errorf("%w: expression %s %s", resource.ErrNotFound, e, fault)
		}
		return "", problem.Invalid(e.fault(fault))
	})
}

// fault says where in a request the value of an expression was looked for.
func (e expr) fault(detail string) problem.Fault {
	if len(e) > 1 {
		return problem.Fault{In: e[0], Name: strings.Join(e[1:], "."), Detail: detail}
	}
	return problem.Fault{In: "request", Name: e[0], Detail: detail}
}

// resolve finds what an expression names.
func (s scope) resolve(e expr) (lookup, error) {
	if len(e) == 1 {
		return s.resolveBare(e[0])
	}
	if name := strings.Join(e, "."); slices.Contains(s.in.trigger.Metadata, name) {
		return metadataLookup(name), nil
	}
	rest := e[1:]
	if e[0] == "item" && s.item != nil {
		return walkLookup(s.item, rest, func(v values) reflect.Value { return v.item })
	}
	switch source := e[0]; source {
	case "path":
		return s.resolvePath(strings.Join(rest, "."))
	case "query", "header", "cookie", "form":
		name := strings.Join(rest, ".")
		p := s.param(source, name)
		if p == nil {
			return nil, fmt.Errorf("In has no field with the tag %s:%q", source, name)
		}
		return paramLookup(p)
	case "body":
		if s.in.Body == nil || s.in.Body.Kind != JSON {
			return nil, errors.New("In has no JSON body")
		}
		return walkLookup(s.in.Body.Type, rest, func(v values) reflect.Value { return fieldAt(v.in, s.in.Body.index) })
	case "in":
		s.need(s.in.boundAt(rest))
		return walkLookup(s.in.typ, rest, func(v values) reflect.Value { return v.in })
	case "out":
		if s.out == nil {
			return nil, errors.New("an input cannot depend on Out")
		}
		return walkLookup(s.out, rest, func(v values) reflect.Value { return v.out })
	default:
		b := s.in.boundNamed(source)
		if known, ok := suggest.Nearest(strings.Join(e, "."), s.in.trigger.Metadata); ok && b == nil {
			return nil, fmt.Errorf("the trigger knows no such name; did you mean %q?", known)
		}
		if b == nil && source == "item" {
			return nil, errors.New("only a slice or a map of Out is written item by item")
		}
		if b == nil {
			return nil, fmt.Errorf("no source named %q%s", source, suggest.Hint(source, s.sources()))
		}
		s.need(b)
		return walkLookup(b.typ, rest, func(v values) reflect.Value { return v.in.FieldByIndex(b.index) })
	}
}

// need notes that a bound field of In must be there first.
func (s scope) need(b *boundField) {
	if b != nil && s.needs != nil {
		s.needs[b] = true
	}
}

// isBound reports whether an expression stands for a part of a bound field of In.
func (s scope) isBound(e expr) bool {
	if len(e) == 1 || e[0] == "item" && s.item != nil {
		return false
	}
	return e[0] == "in" && s.in.boundAt(e[1:]) != nil || !slices.Contains(sourceNames, e[0]) && s.in.boundNamed(e[0]) != nil
}

// inAddress reports whether an expression stands for a name in the trigger's path.
func (s scope) inAddress(e expr) bool {
	return len(e) > 1 && e[0] == "path" || len(e) == 1 && slices.Contains(s.in.trigger.Path, e[0])
}

// sourceNames are the sources that are no fields.
var sourceNames = []string{"path", "query", "header", "cookie", "form", "body", "in", "out"}

func (s scope) sources() []string {
	known := slices.DeleteFunc(slices.Clone(sourceNames), func(name string) bool { return name == "out" && s.out == nil })
	if s.item != nil {
		known = append(known, "item")
	}
	for _, b := range s.in.bound {
		known = append(known, b.short())
	}
	return known
}

// resolveBare finds a single name: the element that is written, then in the path, among
// the parameters and the trigger's metadata, then what there is everywhere.
func (s scope) resolveBare(name string) (lookup, error) {
	trig := s.in.trigger
	switch {
	case name == "item" && s.item != nil:
		return walkLookup(s.item, nil, func(v values) reflect.Value { return v.item })
	case name == "key" && s.key:
		return func(v values) (string, error) { return v.key, nil }, nil
	}
	if slices.Contains(trig.Path, name) {
		return s.resolvePath(name)
	}
	var found *Param
	for i, p := range s.in.Params {
		if !sameName(p.In, p.Name, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("is both a %s and a %s parameter; write {%s.%s} or {%s.%s}", found.In, p.In, found.In, name, p.In, name)
		}
		found = &s.in.Params[i]
	}
	if found != nil {
		return paramLookup(found)
	}
	if slices.Contains(trig.Metadata, name) {
		return metadataLookup(name), nil
	}
	if everywhere[name] != nil {
		return everywhere[name], nil
	}
	known := slices.Concat(trig.Path, trig.Metadata)
	for _, p := range s.in.Params {
		if !slices.Contains(known, p.Name) {
			known = append(known, p.Name)
		}
	}
	return nil, fmt.Errorf("no parameter has this name%s", suggest.Hint(name, slices.Concat(known, []string{"now", "new-id"})))
}

// everywhere are the names that need no trigger and no parameter. The time has a fixed
// length, so that keys made of it sort like it.
var everywhere = map[string]lookup{
	"now": func(v values) (string, error) {
		return v.request.now.Format("2006-01-02T15:04:05.000000000Z07:00"), nil
	},
	"new-id": func(v values) (string, error) {
		if v.number > 0 {
			return v.request.id() + "-" + strconv.Itoa(v.number), nil
		}
		return v.request.id(), nil
	},
}

func metadataLookup(name string) lookup {
	return func(v values) (string, error) { return v.request.metadata[name], nil }
}

func (s scope) resolvePath(name string) (lookup, error) {
	if !slices.Contains(s.in.trigger.Path, name) {
		return nil, fmt.Errorf("the pattern has no {%s}%s", name, suggest.Hint(name, s.in.trigger.Path))
	}
	return func(v values) (string, error) { return v.request.path(name), nil }, nil
}

func (s scope) param(in, name string) *Param {
	for i, p := range s.in.Params {
		if p.In == in && sameName(in, p.Name, name) {
			return &s.in.Params[i]
		}
	}
	return nil
}

// paramLookup reads a parameter from its field of In, so that defaults count.
func paramLookup(p *Param) (lookup, error) {
	if p.List {
		return nil, errors.New("is a list; a key needs one value")
	}
	if !marshals(p.Type) {
		return nil, fmt.Errorf("type %s has no MarshalText method", p.Type)
	}
	return func(v values) (string, error) {
		f := fieldAt(v.in, p.index)
		if p.pointer {
			if f.IsNil() {
				return "", nil
			}
			f = f.Elem()
		}
		return p.codec.format(f)
	}, nil
}

// fieldAt is v itself for a nil index.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	if index == nil {
		return v
	}
	return v.FieldByIndex(index)
}

// walkLookup resolves names below type t, whose value root returns.
func walkLookup(t reflect.Type, names []string, root func(values) reflect.Value) (lookup, error) {
	var steps []func(reflect.Value) reflect.Value // an invalid value: absent
	for _, name := range names {
		t = deref(t)
		switch {
		case t.Kind() == reflect.Struct && t != timeType:
			f, ok := memberOf(t, name)
			if !ok {
				return nil, fmt.Errorf("%s has no field %q%s", t, name, suggest.Hint(name, memberNames(t)))
			}
			steps = append(steps, func(v reflect.Value) reflect.Value {
				member, err := v.FieldByIndexErr(f.Index)
				if err != nil { // below a nil embedded pointer
					return reflect.Value{}
				}
				return member
			})
			t = f.Type
		case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
			key := reflect.ValueOf(name).Convert(t.Key())
			steps = append(steps, func(v reflect.Value) reflect.Value { return v.MapIndex(key) })
			t = t.Elem()
		default:
			return nil, fmt.Errorf("type %s has no members, so there is no %q in it", t, name)
		}
	}
	t = deref(t)
	codec, ok := textCodecOf(t)
	if !ok || !marshals(t) {
		return nil, fmt.Errorf("type %s cannot be part of a key; use %s", t, textTypes)
	}
	return func(v values) (string, error) {
		at := derefValue(root(v))
		for _, step := range steps {
			if !at.IsValid() {
				return "", nil
			}
			at = derefValue(step(at))
		}
		if !at.IsValid() {
			return "", nil
		}
		return codec.format(at)
	}, nil
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// derefValue follows pointers; behind a nil one there is the invalid value.
func derefValue(v reflect.Value) reflect.Value {
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

// memberOf finds a struct's field by its JSON name, else by its Go name.
func memberOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && jsonName(f) == name {
			return f, true
		}
	}
	f, ok := t.FieldByName(name)
	return f, ok && f.IsExported()
}

func memberNames(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && !f.Anonymous {
			names = append(names, jsonName(f))
		}
	}
	return names
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" || name == "-" {
		return f.Name
	}
	return name
}
