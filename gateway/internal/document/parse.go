package document

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The bounds of a file.
const (
	MaxBytes  = 16 << 20
	maxDepth  = 64
	maxValues = 1 << 20
	aliasCost = 16      // of a value that an alias repeats, in values
	maxDocs   = 1 << 14 // behind each other in one file
)

// Error is why a file cannot be read.
type Error struct {
	Line    int // 0 is unknown
	Message string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

func fail(line int, format string, args ...any) error {
	return &Error{Line: line, Message: fmt.Sprintf(format, args...)}
}

// Parse reads the documents of a file, which "---" separates. Empty ones are left out. With an *Error, it
// returns those before it.
func Parse(data []byte) ([]*Value, error) {
	if len(data) > MaxBytes {
		return nil, fail(0, "has %d bytes, at most %d are allowed", len(data), MaxBytes)
	}
	if !utf8.Valid(data) {
		return nil, fail(0, "is not UTF-8")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	c := &converter{left: maxValues}
	var docs []*Value
	for range maxDocs {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, yamlError(err)
		}
		if len(node.Content) == 0 {
			continue
		}
		v, err := c.value(node.Content[0], 0)
		if err != nil {
			return docs, err
		}
		if v.Kind != Null {
			docs = append(docs, v)
		}
	}
	return docs, fail(0, "has more than %d documents", maxDocs)
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// yamlError takes the line out of an error of the YAML parser.
func yamlError(err error) error {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, noLine := strconv.Atoi(m[1])
	if noLine != nil { // it leaves the first line out
		line = 1
	}
	return fail(line, "is no YAML: %s", strings.TrimPrefix(err.Error(), m[0]))
}

// converter makes values of YAML's nodes.
type converter struct {
	left    int // values that may still be made
	aliased int // the aliases that are being followed
}

func (c *converter) value(n *yaml.Node, depth int) (*Value, error) {
	if depth > maxDepth {
		return nil, fail(n.Line, "is nested more than %d levels deep", maxDepth)
	}
	cost := 1
	if c.aliased > 0 {
		cost = aliasCost
	}
	if c.left -= cost; c.left < 0 {
		return nil, fail(n.Line, "has more than %d values, or more than %d that aliases repeat", maxValues, maxValues/aliasCost)
	}
	switch n.Kind {
	case yaml.AliasNode:
		c.aliased++
		defer func() { c.aliased-- }()
		return c.value(n.Alias, depth+1)
	case yaml.ScalarNode:
		return scalar(n)
	case yaml.SequenceNode:
		v := &Value{Kind: List, Line: n.Line}
		for _, item := range n.Content {
			one, err := c.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			v.Items = append(v.Items, one)
		}
		return v, nil
	case yaml.MappingNode:
		return c.mapping(n, depth)
	}
	return nil, fail(n.Line, "is no YAML that is known here")
}

func (c *converter) mapping(n *yaml.Node, depth int) (*Value, error) {
	v := &Value{Kind: Map, Line: n.Line}
	seen := map[string]int{}
	var merged []*Value
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		one, err := c.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			if merged, err = merge(merged, one); err != nil {
				return nil, err
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fail(n.Content[i].Line, "the name of a field must be text")
		}
		if before, twice := seen[key.Value]; twice {
			return nil, fail(n.Content[i].Line, "%q is there twice, first in line %d", short(key.Value), before)
		}
		seen[key.Value] = n.Content[i].Line
		v.Fields = append(v.Fields, Field{Name: key.Value, Line: n.Content[i].Line, Value: one})
	}
	for _, m := range merged {
		for _, f := range m.Fields {
			if _, own := seen[f.Name]; !own {
				seen[f.Name] = f.Line
				v.Fields = append(v.Fields, f)
			}
		}
	}
	return v, nil
}

// merge adds what "<<" merges: a map, or a list of maps.
func merge(merged []*Value, v *Value) ([]*Value, error) {
	list := []*Value{v}
	if v.Kind == List {
		list = v.Items
	}
	for _, m := range list {
		if m.Kind != Map {
			return nil, fail(m.Line, "<< merges maps, and this is %s", m.Kind)
		}
		merged = append(merged, m)
	}
	return merged, nil
}

func scalar(n *yaml.Node) (*Value, error) {
	v := &Value{Kind: String, Line: n.Line, Text: n.Value}
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a date is text here
	case "!!null":
		v.Kind = Null
	case "!!bool":
		if err := n.Decode(&v.Bool); err != nil {
			return nil, fail(n.Line, "%q is neither true nor false", short(n.Value))
		}
		v.Kind = Bool
	case "!!int":
		if err := n.Decode(&v.Int); err == nil {
			v.Kind, v.Float = Int, float64(v.Int)
			return v, nil
		}
		fallthrough
	case "!!float":
		if err := n.Decode(&v.Float); err != nil || math.IsInf(v.Float, 0) || math.IsNaN(v.Float) {
			return nil, fail(n.Line, "%q is no number", short(n.Value))
		}
		v.Kind = Float
	case "!!binary":
		text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil || !utf8.Valid(text) {
			return nil, fail(n.Line, "!!binary is no text in base64")
		}
		v.Text = string(text)
	default:
		return nil, fail(n.Line, "the tag %q is not known", short(n.Tag))
	}
	return v, nil
}

func short(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
