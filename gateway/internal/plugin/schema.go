package plugin

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// Type is what a setting is, by Kong's name.
type Type string

// The types. The elements of an Array and of a Set are of one type; the order of a Set has no meaning.
const (
	String  Type = "string"
	Number  Type = "number"
	Integer Type = "integer"
	Boolean Type = "boolean"
	Array   Type = "array"
	Set     Type = "set"
	Record  Type = "record"
)

// Field is a setting.
type Field struct {
	Name string
	Type Type
	// Old is the name that the setting had before Kong 3.0, which is accepted with a warning; "" for none.
	Old string
	// Default is the value if there is none, as JSON has it; nil is no value.
	Default any
	// OneOf are the texts that are allowed; empty is any.
	OneOf []string
	// Required says that null is no value.
	Required bool
	// Above is what a number must be greater than; Between the least and the greatest. Nil is no bound.
	Above   *float64
	Between *[2]float64
	// Elements is how the elements of an Array or a Set are.
	Elements *Field
	// Fields are those of a Record.
	Fields []Field
	// Check returns what is wrong with a value of the right type, "" if nothing is.
	Check func(value any) string
	// Refused is set for a setting that Kong has and this gateway does not: what is said to somebody who sets it
	// to more than nothing. It is in no schema.
	Refused string
	// Ignored is set for a setting that changes nothing here: it is kept as it is.
	Ignored bool
}

// Schema is the settings of a kind of plugin.
type Schema struct {
	Fields []Field
	// Check finds what is wrong between settings, once each is right and the defaults are filled in. It may be nil.
	Check func(v Values) []entity.FieldProblem
}

// field finds a field by its name.
func field(fields []Field, name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// MarshalJSON encodes the schema of a plugin as Kong's Admin API shows it.
func (k *Kind) MarshalJSON() ([]byte, error) {
	consumer := map[string]any{"type": "foreign", "reference": "consumers"}
	if k.NoConsumer {
		consumer["eq"] = nil
	}
	return json.Marshal(map[string]any{
		"fields": []any{
			map[string]any{"consumer": consumer},
			map[string]any{"protocols": map[string]any{
				"type": Set, "required": true, "default": []string{"grpc", "grpcs", "http", "https"},
				"elements": map[string]any{"type": String, "one_of": []string{"grpc", "grpcs", "http", "https"}},
			}},
			map[string]any{"config": map[string]any{"type": Record, "required": true, "fields": encode(k.Schema.Fields)}},
		},
	})
}

func encode(fields []Field) []any {
	list := []any{}
	for i := range fields {
		if f := &fields[i]; f.Refused == "" && !f.Ignored {
			list = append(list, map[string]any{f.Name: f.encode()})
		}
	}
	return list
}

func (f *Field) encode() map[string]any {
	m := map[string]any{"type": f.Type}
	if f.Default != nil {
		m["default"] = f.Default
	}
	if f.Required || f.Type == Record { // a record that is left out is one of defaults
		m["required"] = true
	}
	if len(f.OneOf) > 0 {
		m["one_of"] = f.OneOf
	}
	if f.Above != nil {
		m["gt"] = *f.Above
	}
	if f.Between != nil {
		m["between"] = *f.Between
	}
	if f.Elements != nil {
		m["elements"] = f.Elements.encode()
	}
	if f.Type == Record {
		m["fields"] = encode(f.Fields)
	}
	return m
}

// CheckHeaderName is a Check for the name of a header.
func CheckHeaderName(value any) string {
	name, _ := value.(string)
	if name == "" {
		return "is empty"
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return strconv.Quote(shorten(name)) + " is no name of a header"
		}
	}
	return ""
}

// CheckQuoted is a Check for a text that goes into quotes in a header.
func CheckQuoted(value any) string {
	for _, c := range value.(string) {
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			return "cannot have quotes, backslashes and control characters"
		}
	}
	return ""
}

// Unsupported is a Check for a setting of Kong's that must stay at what says nothing, since this gateway has
// nothing of the kind.
func Unsupported(instead string) func(value any) string {
	return func(value any) string {
		if empty(value) {
			return ""
		}
		return "is not supported: " + instead
	}
}
