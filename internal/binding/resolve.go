package binding

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/resource"
)

// maxKey bounds a key before its values are percent-encoded, in bytes. It is the
// bound of tables, so that what a caller sends is refused as the caller's fault.
const maxKey = 512

// scope is what the expressions of a binding can name: the trigger and In, for
// output bindings also Out.
type scope struct {
	in  *Input
	out reflect.Type // nil for input bindings
}

// values is what expressions are evaluated on.
type values struct {
	request *Request
	in, out reflect.Value
}

// lookup returns the text an expression stands for; "" when it is absent.
type lookup func(values) (string, error)

// keyTemplate is a key with its expressions resolved to lookups.
type keyTemplate struct {
	text    template
	lookups map[string]lookup
	// address are the expressions of an input that stand for a part of the address:
	// where they have no value that a key can hold, there is nothing at it.
	address map[string]bool
}

// compileKey splits the tag "resource/key" and resolves both halves.
func compileKey(tag string, env Env, s scope) (resource.Resource, keyTemplate, error) {
	name, key, _ := strings.Cut(tag, "/")
	res := env.Resources[name]
	if res == nil {
		return nil, keyTemplate{}, fmt.Errorf("no resource named %q%s", name, suggest(name, resourceNames(env)))
	}
	if key == "" && slices.Contains([]string{"table", "container"}, res.ResourceKind()) {
		return nil, keyTemplate{}, fmt.Errorf("bind:%q has no key; write bind:\"%s/{…}\"", tag, name)
	}
	text, err := parseTemplate(key)
	if err != nil {
		return nil, keyTemplate{}, err
	}
	k := keyTemplate{text: text, lookups: map[string]lookup{}, address: map[string]bool{}}
	for _, seg := range text {
		if seg.expr == nil {
			continue
		}
		if k.lookups[seg.expr.String()], err = s.resolve(seg.expr); err != nil {
			return nil, keyTemplate{}, fmt.Errorf("expression %s: %w", seg.expr, err)
		}
		k.address[seg.expr.String()] = s.out == nil && s.inAddress(seg.expr)
	}
	return res, k, nil
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
		switch {
		case e[0] == "out":
			return "", fmt.Errorf("expression %s %s", e, fault)
		case k.address[e.String()]:
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
		return walkLookup(s.in.typ, rest, func(v values) reflect.Value { return v.in })
	case "out":
		if s.out == nil {
			return nil, errors.New("an input cannot depend on Out")
		}
		return walkLookup(s.out, rest, func(v values) reflect.Value { return v.out })
	default:
		return nil, fmt.Errorf("no source named %q%s", source, suggest(source, s.sources()))
	}
}

// inAddress reports whether an expression stands for a name in the trigger's path.
func (s scope) inAddress(e expr) bool {
	return len(e) > 1 && e[0] == "path" || len(e) == 1 && slices.Contains(s.in.trigger.Path, e[0])
}

func (s scope) sources() []string {
	known := []string{"path", "query", "header", "cookie", "form", "body", "in"}
	if s.out != nil {
		known = append(known, "out")
	}
	return known
}

// resolveBare finds a single name: in the path, then among the parameters, then
// among the trigger's metadata.
func (s scope) resolveBare(name string) (lookup, error) {
	trig := s.in.trigger
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
	known := slices.Concat(trig.Path, trig.Metadata)
	for _, p := range s.in.Params {
		if !slices.Contains(known, p.Name) {
			known = append(known, p.Name)
		}
	}
	return nil, fmt.Errorf("no parameter has this name%s", suggest(name, known))
}

func metadataLookup(name string) lookup {
	return func(v values) (string, error) { return v.request.metadata[name], nil }
}

func (s scope) resolvePath(name string) (lookup, error) {
	if !slices.Contains(s.in.trigger.Path, name) {
		return nil, fmt.Errorf("the pattern has no {%s}%s", name, suggest(name, s.in.trigger.Path))
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
				return nil, fmt.Errorf("%s has no field %q%s", t, name, suggest(name, memberNames(t)))
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
