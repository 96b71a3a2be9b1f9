package binding

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/suggest"
)

// Trigger is what is known of a function's trigger when the app starts.
type Trigger struct {
	// Function is the function's name, for messages.
	Function string
	// HTTP says that the trigger is an HTTP request: it has a query, headers,
	// cookies and forms.
	HTTP bool
	// NoBody, unless empty, says why there can be no body, such as "a GET
	// request has none".
	NoBody string
	// Path are the names in the trigger's pattern.
	Path []string
	// Metadata are further names that expressions may use.
	Metadata []string
}

// Env is what bindings find in the app.
type Env struct {
	// Resources are the app's resources by name.
	Resources map[string]resource.Resource
	// Injectors fill fields by their type alone.
	Injectors map[reflect.Type]Injector
	// Secret returns what reads the secret that the tag of a field names, such as "vault:NAME"; ok is false for a
	// tag that names none. Nil where there are no secrets.
	Secret func(tag string) (read func(ctx context.Context) (string, error), ok bool, err error)
}

// Injector fills fields of one type with something that is not in the text of a
// request, such as who sent it. R is nil when the trigger is not HTTP. Injectors
// run before anything else of the request is read, and on each run.
type Injector func(ctx context.Context, r *http.Request) (reflect.Value, error)

// fail returns an error about a field of the function, in the form that all
// start-up errors of bindings have.
func (t Trigger) fail(field, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if field == "" {
		return fmt.Errorf("function %s: %w", t.Function, err)
	}
	return fmt.Errorf("function %s: field %s: %w", t.Function, field, err)
}

// The tags of a struct field.
var (
	inputTags  = []string{"path", "query", "header", "cookie", "body", "form", "bind"}
	outputTags = []string{"status", "header", "body", "bind"}
)

// field is a struct field with its binding tag.
type field struct {
	name    string // Go name, dotted through embedded structs
	typ     reflect.Type
	index   []int
	kind    string // one of the tags; "" without one
	tag     string // the tag's value before its options
	options []string
	tags    reflect.StructTag
}

// has reports whether the tag carries an option.
func (f *field) has(option string) bool { return slices.Contains(f.options, option) }

// value returns what is behind the "=" of an option.
func (f *field) value(option string) (value string, ok bool) {
	for _, o := range f.options {
		if value, ok = strings.CutPrefix(o, option+"="); ok {
			return value, true
		}
	}
	return "", false
}

// fieldsOf lists the exported fields of a struct, those of embedded structs
// without a tag in place of the struct.
func fieldsOf(trig Trigger, t reflect.Type, tags []string) ([]field, error) {
	var (
		fields []field
		errs   []error
		visit  func(t reflect.Type, index []int, prefix string)
	)
	visit = func(t reflect.Type, index []int, prefix string) {
		for i := range t.NumField() {
			sf := t.Field(i)
			f := field{name: prefix + sf.Name, typ: sf.Type, tags: sf.Tag, index: append(slices.Clone(index), i)}
			err := f.readTag(tags)
			switch {
			case err != nil && !sf.IsExported():
				errs = append(errs, trig.fail(f.name, "is not exported, so it cannot be bound; start its name with a capital"))
			case err != nil:
				errs = append(errs, trig.fail(f.name, "%w", err))
			case f.kind == "" && sf.Anonymous && sf.Type.Kind() == reflect.Struct:
				visit(sf.Type, f.index, f.name+".")
			case sf.IsExported():
				fields = append(fields, f)
			case f.kind != "":
				errs = append(errs, trig.fail(f.name, "is not exported, so it cannot be bound; start its name with a capital"))
			}
		}
	}
	visit(t, nil, "")
	return fields, errors.Join(errs...)
}

// readTag finds the field's binding tag among tags and splits it.
func (f *field) readTag(tags []string) error {
	for _, kind := range tags {
		value, ok := f.tags.Lookup(kind)
		if !ok {
			continue
		}
		if f.kind != "" {
			return fmt.Errorf("has the tags %s and %s; a field is bound once", f.kind, kind)
		}
		f.kind, f.tag = kind, value
	}
	for _, key := range tagKeys(f.tags) {
		if best, ok := misspelt(key, tags); ok && f.kind == "" {
			return fmt.Errorf("has the tag %s; did you mean %s?", key, best)
		}
	}
	parts := strings.Split(f.tag, ",")
	f.tag, f.options = parts[0], parts[1:]
	known := map[string][]string{
		"query": {"required"}, "header": {"required"}, "cookie": {"required"}, "form": {"required"},
		"body": {"optional", "strict"}, "bind": {"optional", "limit="},
	}[f.kind]
	for _, o := range f.options {
		if name, _, valued := strings.Cut(o, "="); !slices.Contains(known, o) && (!valued || !slices.Contains(known, name+"=")) {
			return fmt.Errorf("tag %s has the option %q; %s", f.kind, o, oneOf("known here", known))
		}
	}
	return nil
}

// tagKeys returns the keys of a struct tag that is written as usual.
func tagKeys(tag reflect.StructTag) (keys []string) {
	for rest := string(tag); ; {
		key, value, found := strings.Cut(strings.TrimLeft(rest, " "), ":")
		quoted, err := strconv.QuotedPrefix(value)
		if !found || err != nil {
			return keys
		}
		keys, rest = append(keys, key), value[len(quoted):]
	}
}

// misspelt returns the one of the known tags that key is but for one letter.
func misspelt(key string, known []string) (best string, ok bool) {
	for _, k := range known {
		if key != k && suggest.Distance(strings.ToLower(key), k) <= 1 {
			return k, true
		}
	}
	return "", false
}

// bound reports whether any of the fields carries a tag.
func bound(fields []field) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return f.kind != "" })
}

// skipped is the bind tag of a field that stays as it is.
const skipped = "-"

// oneOf lists what is allowed, for messages.
func oneOf(what string, names []string) string {
	if len(names) == 0 {
		return "none is " + what
	}
	return what + ": " + strings.Join(names, ", ")
}
