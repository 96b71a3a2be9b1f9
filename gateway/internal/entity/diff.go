package entity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Op is what happened to an entity.
type Op string

// The operations.
const (
	Added   Op = "added"
	Removed Op = "removed"
	Changed Op = "changed"
)

// Change is what is different between two configurations in one entity.
type Change struct {
	Op     Op
	Entity Entity        // the new one, or the one removed
	Fields []FieldChange // of a changed one, in the order of the Admin API
}

// FieldChange is a field with another value. The values are JSON, or the name of what the field refers to; those of secrets are
// withheld.
type FieldChange struct {
	Name     string
	Old, New string
}

// String is the change in one line and, for a changed entity, one more for each field.
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(map[Op]string{Added: "+ ", Removed: "- ", Changed: "~ "}[c.Op])
	b.WriteString(Describe(c.Entity))
	if m := MetaOf(c.Entity); m.Source.File != "" {
		fmt.Fprintf(&b, "  (%s)", &m.Source)
	}
	for _, f := range c.Fields {
		fmt.Fprintf(&b, "\n    %s: %s -> %s", f.Name, f.Old, f.New)
	}
	return b.String()
}

// withheld are the fields that a difference does not show.
var withheld = map[Kind][]string{
	JWTs:         {"secret"},
	KeyAuths:     {"key"},
	Certificates: {"key", "key_alt"},
}

// Diff returns what is different between two compiled configurations, either of which may be nil, in the
// order of All: first what was added or changed, then what was removed. Where a file says it and when it
// was changed makes no difference.
func Diff(old, new *Config) []Change {
	if old == nil {
		old = &Config{}
	}
	if new == nil {
		new = &Config{}
	}
	var changes []Change
	for e := range new.All() {
		was, ok := old.ids[nameKey{e.Kind(), e.meta().ID}]
		if !ok {
			changes = append(changes, Change{Op: Added, Entity: e})
			continue
		}
		if fields := diffFields(old, new, was, e); len(fields) > 0 {
			changes = append(changes, Change{Op: Changed, Entity: e, Fields: fields})
		}
	}
	for e := range old.All() {
		if _, ok := new.ids[nameKey{e.Kind(), e.meta().ID}]; !ok {
			changes = append(changes, Change{Op: Removed, Entity: e})
		}
	}
	return changes
}

// references are the fields that are another entity, by its kind.
var references = map[string]Kind{
	"service": Services, "route": Routes, "consumer": Consumers, "upstream": Upstreams, "certificate": Certificates,
	"client_certificate": Certificates,
}

// named is a field as a file would say it: of a reference the name of what it refers to.
func (c *Config) named(field string, value []byte) string {
	var ref struct {
		ID string `json:"id"`
	}
	if kind, is := references[field]; is && json.Unmarshal(value, &ref) == nil {
		if e, known := c.ids[nameKey{kind, ref.ID}]; known {
			return e.Label()
		}
	}
	return headersHidden(field, value)
}

// diffFields compares entities of two configurations as the Admin API shows them, with names where that has ids.
func diffFields(before, after *Config, old, new Entity) []FieldChange {
	a, b := fieldsOf(old), fieldsOf(new)
	var changes []FieldChange
	for i, f := range b {
		if f.name == "created_at" || f.name == "updated_at" || bytes.Equal(a[i].value, f.value) {
			continue
		}
		if f.name == "config" {
			changes = append(changes, diffConfig(old.(*Plugin).Config, new.(*Plugin).Config)...)
			continue
		}
		change := FieldChange{Name: f.name, Old: before.named(f.name, a[i].value), New: after.named(f.name, f.value)}
		if _, is := references[f.name]; is && change.Old == change.New { // two of one name
			change.Old, change.New = string(a[i].value), string(f.value)
		}
		if slices.Contains(withheld[new.Kind()], f.name) {
			change.Old, change.New = hide(a[i].value), hide(f.value)
		}
		changes = append(changes, change)
	}
	return changes
}

type fieldValue struct {
	name  string
	value []byte
}

// fieldsOf are the fields of an entity, which are the same for all of its kind.
func fieldsOf(e Entity) []fieldValue {
	text, err := json.Marshal(e)
	if err != nil { // texts, numbers, lists
		panic(fmt.Errorf("entity: %s: %w", Describe(e), err))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var fields []fieldValue
	_, _ = dec.Token()
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			panic(fmt.Errorf("entity: %s: %w", Describe(e), err))
		}
		fields = append(fields, fieldValue{fmt.Sprint(name), value})
	}
	return fields
}

// headersHidden is a field, without the values of secret header fields: those that a route matches, or that a health check sends.
func headersHidden(name string, value []byte) string {
	if name != "headers" && name != "healthchecks" {
		return string(value)
	}
	var v any
	if json.Unmarshal(value, &v) != nil {
		return string(value)
	}
	return string(setting(withoutHeaders("", v)))
}

func withoutHeaders(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = withoutHeaders(name, inner)
		}
	case []any:
		if len(v) > 0 && SecretHeader(name) {
			return []any{"(secret)"}
		}
	}
	return value
}

func hide(value []byte) string {
	if string(value) == "null" {
		return "null"
	}
	return "(secret)"
}

// diffConfig compares the settings of a plugin.
func diffConfig(old, new map[string]any) []FieldChange {
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range new {
		names[name] = true
	}
	var changes []FieldChange
	for name := range names {
		a, b := setting(old[name]), setting(new[name])
		if bytes.Equal(a, b) {
			continue
		}
		change := FieldChange{Name: "config." + name, Old: shown(name, old[name]), New: shown(name, new[name])}
		changes = append(changes, change)
	}
	slices.SortFunc(changes, func(a, b FieldChange) int { return strings.Compare(a.Name, b.Name) })
	return changes
}

// shown is a setting without secrets.
func shown(name string, v any) string {
	if SecretSetting(name) {
		return hide(setting(v))
	}
	return string(setting(WithoutSecrets(name, v, "(secret)")))
}

func setting(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return []byte(`"(no JSON)"`)
	}
	return text
}
