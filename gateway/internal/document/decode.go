package document

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// Decoder fills structs from values, and collects what is wrong.
type Decoder struct {
	File string
	// What is being decoded, for messages: route "demo".
	What string
	// Camel: the names in the file are written likeThis, those of the structs like_this.
	Camel    bool
	Problems []entity.Problem
}

// Add enters a problem.
func (d *Decoder) Add(s entity.Severity, line int, format string, args ...any) {
	d.Problems = entity.Bound(d.Problems, entity.Problem{
		Severity: s, File: d.File, Line: line, Entity: d.What, Message: fmt.Sprintf(format, args...),
	})
}

// Errorf enters an error.
func (d *Decoder) Errorf(line int, format string, args ...any) {
	d.Add(entity.Error, line, format, args...)
}

// Warnf enters a warning.
func (d *Decoder) Warnf(line int, format string, args ...any) {
	d.Add(entity.Warning, line, format, args...)
}

// Broken enters why a file cannot be read.
func (d *Decoder) Broken(err error) {
	e := new(Error)
	if !errors.As(err, &e) {
		e.Message = err.Error()
	}
	d.Errorf(e.Line, "%s", e.Message)
}

// More are fields that a struct does not have, and what is done with them.
type More map[string]func(f Field)

// Struct fills the struct that into points to with the fields of a map, by their names in json tags.
// What is null, or not there, stays as it is. A field that is neither in the struct nor in more is an error that
// suggests the right one. The lines of the fields go into lines, below the name at.
// It returns the names of the fields that were there.
func (d *Decoder) Struct(v *Value, into any, more More, lines map[string]int, at string) map[string]bool {
	return d.fill(v, reflect.ValueOf(into).Elem(), more, lines, at)
}

func (d *Decoder) fill(v *Value, into reflect.Value, more More, lines map[string]int, at string) map[string]bool {
	given := map[string]bool{}
	if v.Kind != Map {
		d.Errorf(v.Line, "%s must be a map, and is %s", first(at, "it"), v.describe())
		return given
	}
	fields := map[string]reflect.Value{}
	d.collect(into, fields)
	for _, f := range v.Fields {
		name := join(at, f.Name)
		if lines != nil {
			lines[name] = f.Line
		}
		if do, ok := more[f.Name]; ok {
			if f.Value.IsSet() {
				given[f.Name] = true
				do(f)
			}
			continue
		}
		target, ok := fields[f.Name]
		if !ok {
			known := slices.Concat(slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(more)))
			slices.Sort(known)
			d.Errorf(f.Line, "there is no field %q%s", short(name), suggest.Hint(f.Name, known))
			continue
		}
		if f.Value.IsSet() {
			given[f.Name] = true
			d.set(f.Value, target, lines, name)
		}
	}
	return given
}

// collect finds the fields of a struct, and those of what it embeds, by the names that a file has for them.
func (d *Decoder) collect(v reflect.Value, fields map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			d.collect(v.Field(i), fields)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if d.Camel {
			name = camel(name)
		}
		fields[name] = v.Field(i)
	}
}

// camel writes a name like_this likeThis.
func camel(name string) string {
	parts := strings.Split(name, "_")
	for i, p := range parts[1:] {
		if p != "" {
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

// keyed is a reference to another entity.
type keyed interface{ SetKey(string) }

// set puts a value into a field.
func (d *Decoder) set(v *Value, into reflect.Value, lines map[string]int, name string) {
	if ref, ok := into.Addr().Interface().(keyed); ok {
		d.reference(v, ref, name)
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.set(v, into.Elem(), lines, name)
	case reflect.String:
		if text, ok := d.Text(v, name); ok {
			into.SetString(text)
		}
	case reflect.Bool:
		if v.Kind != Bool {
			d.wrong(v, name, "true or false")
			return
		}
		into.SetBool(v.Bool)
	case reflect.Int, reflect.Int64:
		n, ok := whole(v)
		if !ok || into.OverflowInt(n) {
			d.wrong(v, name, "a whole number")
			return
		}
		into.SetInt(n)
	case reflect.Float64:
		if v.Kind != Int && v.Kind != Float {
			d.wrong(v, name, "a number")
			return
		}
		into.SetFloat(v.Float)
	case reflect.Slice:
		d.setList(v, into, lines, name)
	case reflect.Map:
		d.setMap(v, into, lines, name)
	case reflect.Struct:
		d.fill(v, into, nil, lines, name)
	case reflect.Interface:
		if plain := v.Plain(); plain != nil {
			into.Set(reflect.ValueOf(plain))
		}
	default:
		d.Errorf(v.Line, "%s cannot be set", name)
	}
}

func (d *Decoder) setList(v *Value, into reflect.Value, lines map[string]int, name string) {
	if v.Kind != List {
		mend := "a list"
		if v.Kind == String || v.Kind == Int {
			mend += ": put it in brackets, [ ]"
		}
		d.wrong(v, name, mend)
		return
	}
	list := reflect.MakeSlice(into.Type(), len(v.Items), len(v.Items))
	for i, item := range v.Items {
		at := fmt.Sprintf("%s[%d]", name, i)
		if lines != nil {
			lines[at] = item.Line
		}
		if !item.IsSet() {
			d.wrong(item, at, "a value")
			continue
		}
		d.set(item, list.Index(i), lines, at)
	}
	into.Set(list)
}

func (d *Decoder) setMap(v *Value, into reflect.Value, lines map[string]int, name string) {
	if v.Kind != Map {
		d.wrong(v, name, "a map")
		return
	}
	m := reflect.MakeMapWithSize(into.Type(), len(v.Fields))
	for _, f := range v.Fields {
		at := join(name, f.Name)
		if lines != nil {
			lines[at] = f.Line
			f.Value.Lines(at, lines)
		}
		item := reflect.New(into.Type().Elem()).Elem()
		if f.Value.IsSet() {
			d.set(f.Value, item, lines, at)
		}
		m.SetMapIndex(reflect.ValueOf(f.Name), item)
	}
	d.checkTexts(v, name)
	into.Set(m)
}

// reference reads a name or an id, or a map with one of them.
func (d *Decoder) reference(v *Value, ref keyed, name string) {
	if v.Kind != Map {
		if key, ok := d.Text(v, name); ok {
			ref.SetKey(key)
		}
		return
	}
	for _, f := range v.Fields {
		switch {
		case f.Name != "id" && f.Name != "name" && f.Name != "username":
			d.Errorf(f.Line, "there is no field %q%s", short(join(name, f.Name)), suggest.Hint(f.Name, []string{"id", "name", "username"}))
		case f.Value.IsSet():
			if key, ok := d.Text(f.Value, join(name, f.Name)); ok {
				ref.SetKey(key)
			}
		}
	}
}

// Text returns a text. Where something else stands, it enters an error.
func (d *Decoder) Text(v *Value, name string) (string, bool) {
	switch v.Kind {
	case String:
		d.checkText(v, name)
		return v.Text, true
	case Bool, Int, Float:
		d.wrong(v, name, "text: put it in quotes")
	default:
		d.wrong(v, name, "text")
	}
	return "", false
}

// checkTexts looks for placeholders in all texts of a value.
func (d *Decoder) checkTexts(v *Value, name string) {
	for _, f := range v.Fields {
		d.checkTexts(f.Value, join(name, f.Name))
	}
	for i, item := range v.Items {
		d.checkTexts(item, fmt.Sprintf("%s[%d]", name, i))
	}
	if v.Kind == String {
		d.checkText(v, name)
	}
}

// checkText refuses what others fill in before: taken literally, it would be a secret that everybody knows.
func (d *Decoder) checkText(v *Value, name string) {
	switch {
	case strings.HasPrefix(v.Text, "{vault://"):
		d.Errorf(v.Line, "%s is a reference to one of Kong's vaults, which is not filled in here; write the value", name)
	case strings.Contains(v.Text, "${{"):
		d.Errorf(v.Line, "%s has a placeholder of decK, which is not filled in here; write the value, or render the file by decK before", name)
	}
}

func (d *Decoder) wrong(v *Value, name, want string) {
	d.Errorf(v.Line, "%s must be %s, and is %s", name, want, v.describe())
}

func whole(v *Value) (int64, bool) {
	switch {
	case v.Kind == Int:
		return v.Int, true
	case v.Kind == Float && v.Float == math.Trunc(v.Float) && math.Abs(v.Float) < 1<<53:
		return int64(v.Float), true
	}
	return 0, false
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
