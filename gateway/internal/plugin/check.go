package plugin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// checker collects what is wrong with settings.
type checker struct{ problems []entity.FieldProblem }

func (c *checker) errorf(field, format string, args ...any) {
	c.problems = append(c.problems, entity.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// Check implements entity.Schemas for one kind.
func (s *Schema) check(config map[string]any) (map[string]any, []entity.FieldProblem) {
	c := &checker{}
	normalized := c.record("", s.Fields, config)
	wrong := slices.ContainsFunc(c.problems, func(p entity.FieldProblem) bool { return !p.Warning })
	if !wrong && s.Check != nil {
		c.problems = append(c.problems, s.Check(normalized)...)
	}
	return normalized, c.problems
}

func at(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// record checks a map, and fills defaults in.
func (c *checker) record(path string, fields []Field, given map[string]any) map[string]any {
	normalized := make(map[string]any, len(fields))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if field(fields, name) != nil {
			continue
		}
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Old != "" && f.Old == name })
		if i < 0 {
			c.errorf(at(path, name), "there is no such setting%s", suggest.Hint(name, names(fields)))
			continue
		}
		today := fields[i].Name
		if !empty(given[today]) {
			c.errorf(at(path, name), "is the old name of %s, which is there as well; remove it", today)
			continue
		}
		c.problems = append(c.problems, entity.FieldProblem{Field: at(path, name), Warning: true, Message: "is old; today it is " + today})
		given = maps.Clone(given)
		given[today] = given[name]
	}
	for i := range fields {
		f := &fields[i]
		value, ok := given[f.Name]
		here := at(path, f.Name)
		switch {
		case f.Refused != "":
			if ok && !empty(value) {
				c.errorf(here, "%s", f.Refused)
			}
		case f.Ignored:
			if ok {
				normalized[f.Name] = value
			}
		case value == nil && ok && f.Required && f.Default == nil:
			c.errorf(here, "is missing")
		case value == nil:
			switch {
			case f.Default != nil:
				normalized[f.Name] = c.value(here, f, f.Default)
			case f.Type == Record:
				normalized[f.Name] = c.record(here, f.Fields, nil)
			case f.Required:
				c.errorf(here, "is missing")
			default:
				normalized[f.Name] = nil
			}
		default:
			normalized[f.Name] = c.value(here, f, value)
		}
	}
	return normalized
}

func names(fields []Field) []string {
	var list []string
	for i := range fields {
		if fields[i].Refused == "" {
			list = append(list, fields[i].Name)
		}
	}
	slices.Sort(list)
	return list
}

// empty reports whether a value says nothing: null, false, 0, "", an empty list, a map of such values.
func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !empty(inner) {
				return false
			}
		}
		return true
	}
	return false
}

// value checks a value, and returns it as JSON has it.
func (c *checker) value(path string, f *Field, value any) any {
	before := len(c.problems)
	switch f.Type {
	case String:
		v, ok := value.(string)
		if !ok {
			c.errorf(path, "is %s, and must be text", describe(value))
			return nil
		}
		if len(f.OneOf) > 0 && !slices.Contains(f.OneOf, v) {
			c.errorf(path, "%q is none of the values%s", shorten(v), suggest.Hint(v, f.OneOf))
		}
		value = v
	case Boolean:
		if _, ok := value.(bool); !ok {
			c.errorf(path, "is %s, and must be true or false", describe(value))
			return nil
		}
	case Number, Integer:
		n, ok := number(value)
		if !ok {
			c.errorf(path, "is %s, and must be a number", describe(value))
			return nil
		}
		c.checkNumber(path, f, n)
		value = n
	case Array, Set:
		value = c.list(path, f, value)
	case Record:
		m, ok := value.(map[string]any)
		if !ok {
			c.errorf(path, "is %s, and must be a map", describe(value))
			return nil
		}
		value = c.record(path, f.Fields, m)
	}
	if f.Check != nil && len(c.problems) == before {
		if wrong := f.Check(value); wrong != "" {
			c.errorf(path, "%s", wrong)
		}
	}
	return value
}

func (c *checker) checkNumber(path string, f *Field, n float64) {
	switch {
	case f.Type == Integer && n != math.Trunc(n):
		c.errorf(path, "%v is not a whole number", n)
	case f.Above != nil && n <= *f.Above:
		c.errorf(path, "%v is not greater than %v", n, *f.Above)
	case f.Between != nil && (n < f.Between[0] || n > f.Between[1]):
		c.errorf(path, "%v is not between %v and %v", n, f.Between[0], strconv.FormatFloat(f.Between[1], 'f', -1, 64))
	}
}

// maxList bounds the lists of settings.
const maxList = 4096

func (c *checker) list(path string, f *Field, value any) any {
	var given []any
	switch v := value.(type) {
	case []any:
		given = v
	case []string:
		for _, s := range v {
			given = append(given, s)
		}
	default:
		c.errorf(path, "is %s, and must be a list", describe(value))
		return nil
	}
	if len(given) > maxList {
		c.errorf(path, "has %d entries, at most %d are allowed", len(given), maxList)
		return nil
	}
	list := make([]any, 0, len(given))
	for i, v := range given {
		list = append(list, c.value(path+"["+strconv.Itoa(i)+"]", f.Elements, v))
	}
	return list
}

func number(value any) (float64, bool) {
	switch n := value.(type) {
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

// describe says what a value is; texts are not shown, since they may be secret.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return "text"
	case []any, []string:
		return "a list"
	case map[string]any:
		return "a map"
	}
	if n, ok := number(value); ok {
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	return "something else"
}

func shorten(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}
