package document

import (
	"fmt"
)

// Kind is what a value is.
type Kind int

// The kinds.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

func (k Kind) String() string {
	return [...]string{"nothing", "true or false", "a whole number", "a number", "text", "a list", "a map"}[k]
}

// Value is a value with the line it stands on.
type Value struct {
	Kind   Kind
	Line   int
	Text   string // of a String; of a number and a boolean as it is written
	Bool   bool
	Int    int64
	Float  float64 // of an Int as well
	Items  []*Value
	Fields []Field // in the order of the file, each name once
}

// Field is a name in a map with its value.
type Field struct {
	Name  string
	Line  int
	Value *Value
}

// Get returns the value of a name in a map, or nil.
func (v *Value) Get(name string) *Value {
	if v == nil {
		return nil
	}
	for i := range v.Fields {
		if v.Fields[i].Name == name {
			return v.Fields[i].Value
		}
	}
	return nil
}

// At follows names into maps; nil if there is nothing.
func (v *Value) At(names ...string) *Value {
	for _, name := range names {
		v = v.Get(name)
	}
	return v
}

// IsSet reports whether there is a value other than null.
func (v *Value) IsSet() bool { return v != nil && v.Kind != Null }

// Plain returns the value as JSON has it: nil, bool, float64, string, []any, map[string]any.
func (v *Value) Plain() any {
	switch v.Kind {
	case Bool:
		return v.Bool
	case Int, Float:
		return v.Float
	case String:
		return v.Text
	case List:
		items := make([]any, len(v.Items))
		for i, item := range v.Items {
			items[i] = item.Plain()
		}
		return items
	case Map:
		return v.PlainMap()
	}
	return nil
}

// PlainMap returns a map as JSON has it.
func (v *Value) PlainMap() map[string]any {
	fields := make(map[string]any, len(v.Fields))
	for _, f := range v.Fields {
		fields[f.Name] = f.Value.Plain()
	}
	return fields
}

// Lines enters the lines of what is in a value by its path below a name: "config.add.headers[0]".
func (v *Value) Lines(name string, into map[string]int) {
	for _, f := range v.Fields {
		at := name + "." + f.Name
		into[at] = f.Line
		f.Value.Lines(at, into)
	}
	for i, item := range v.Items {
		at := fmt.Sprintf("%s[%d]", name, i)
		into[at] = item.Line
		item.Lines(at, into)
	}
}

// describe says what a value is, for a message; texts are not shown, since they may be secret.
func (v *Value) describe() string {
	if (v.Kind == Bool || v.Kind == Int || v.Kind == Float) && len(v.Text) < 40 {
		return v.Kind.String() + " (" + v.Text + ")"
	}
	return v.Kind.String()
}
