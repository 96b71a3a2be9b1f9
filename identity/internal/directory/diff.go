package directory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Diff is what a document changes.
type Diff struct {
	Changes []Change `json:"changes"`
	// Secrets are those of the applications that were made. They are kept nowhere.
	Secrets []GivenSecret `json:"-"`
}

// GivenSecret is the secret of an application that was made.
type GivenSecret struct {
	ClientID string `json:"client_id"`
	Name     string `json:"name"`
	Secret   string `json:"client_secret"`
}

// Change is what happens to one thing.
type Change struct {
	Op     string        `json:"op"`   // "+", "~" or "-"
	Kind   string        `json:"kind"` // the key of its list in the document
	Name   string        `json:"name"`
	Fields []FieldChange `json:"fields,omitempty"` // of "~"
}

// FieldChange is what happens to one field.
type FieldChange struct {
	Name string `json:"name"`
	Old  any    `json:"old"`
	New  any    `json:"new"`
}

// Empty reports whether nothing changes.
func (d *Diff) Empty() bool { return len(d.Changes) == 0 }

// String writes a line for each thing, and one for each field that changes.
func (d *Diff) String() string {
	var b strings.Builder
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "%s %s %q\n", c.Op, c.Kind, c.Name)
		for _, f := range c.Fields {
			fmt.Fprintf(&b, "    %s: %s -> %s\n", f.Name, short(f.Old), short(f.New))
		}
	}
	return b.String()
}

// short writes a value in at most 200 bytes.
func short(v any) string { return plain(string(asJSON(v)), 200) }

// asJSON writes a value so that equal ones are written equally.
func asJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(fmt.Sprintf("%q", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// changed notes a change; of a thing that was noted already it adds the fields.
func (d *Diff) changed(op, kind, name string, fields ...FieldChange) {
	if n := len(d.Changes); op == "~" {
		if len(fields) == 0 {
			return
		}
		for i := n - 1; i >= 0; i-- {
			if c := &d.Changes[i]; c.Kind == kind && c.Name == name {
				if c.Op == "~" {
					c.Fields = append(c.Fields, fields...)
				}
				return
			}
		}
	}
	d.Changes = append(d.Changes, Change{Op: op, Kind: kind, Name: name, Fields: fields})
}

// overlay sets those fields of row that doc says, and returns which of them had another value. Fields
// belong together by their names in JSON.
func overlay(row, doc any) []FieldChange {
	return overlayFields("", reflect.ValueOf(row).Elem(), reflect.ValueOf(doc).Elem())
}

func overlayFields(prefix string, row, doc reflect.Value) []FieldChange {
	var changes []FieldChange
	for i := range doc.NumField() {
		name, said := jsonName(doc.Type().Field(i)), doc.Field(i)
		if name == "-" {
			continue
		}
		switch said.Kind() {
		case reflect.Pointer:
			if said.IsNil() {
				continue
			}
			said = said.Elem()
		case reflect.Slice, reflect.Map:
			if said.IsNil() {
				continue
			}
		case reflect.String:
			if said.Len() == 0 {
				continue
			}
		}
		target := fieldNamed(row, name)
		if said.Kind() == reflect.Struct {
			changes = append(changes, overlayFields(prefix+name+".", target, said)...)
			continue
		}
		if !sameJSON(target, said) {
			changes = append(changes, FieldChange{Name: prefix + name, Old: target.Interface(), New: said.Interface()})
			target.Set(said)
		}
	}
	return changes
}

// sameJSON reports whether two values are written equally; nothing and an empty list are the same.
func sameJSON(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Slice, reflect.Map:
		if a.Len() == 0 && b.Len() == 0 {
			return true
		}
	}
	return bytes.Equal(asJSON(ordered(a.Interface())), asJSON(ordered(b.Interface())))
}

// ordered makes values of texts of JSON, so that the order of members does not count.
func ordered(v any) any {
	texts, is := v.([]json.RawMessage)
	if !is {
		return v
	}
	values := make([]any, len(texts))
	for i, text := range texts {
		if json.Unmarshal(text, &values[i]) != nil {
			values[i] = string(text)
		}
	}
	return values
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// fieldNamed returns the field of a row by its name in JSON. Every field of a document has one.
func fieldNamed(row reflect.Value, name string) reflect.Value {
	for i := range row.NumField() {
		if jsonName(row.Type().Field(i)) == name {
			return row.Field(i)
		}
	}
	panic("directory: no field " + name + " in " + row.Type().String())
}
