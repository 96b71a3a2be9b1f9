package binding

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxTemplate bounds the length of a template, in bytes.
const maxTemplate = 1024

// A template is text with expressions in braces, such as "orders/{body.order.id}".
// A brace itself is written twice.
type template []segment

// segment is a piece of literal text, or an expression.
type segment struct {
	literal string
	expr    expr // when not nil
}

// expr is a dotted path: a source such as "path" or "body" and names below it, or
// a single name.
type expr []string

func (e expr) String() string { return "{" + strings.Join(e, ".") + "}" }

// parseTemplate reads a template.
func parseTemplate(text string) (template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("template is longer than %d bytes", maxTemplate)
	}
	var (
		t       template
		literal strings.Builder
	)
	flush := func() {
		if literal.Len() > 0 {
			t = append(t, segment{literal: literal.String()})
			literal.Reset()
		}
	}
	for len(text) > 0 {
		switch c := text[0]; {
		case (c == '{' || c == '}') && len(text) > 1 && text[1] == c:
			literal.WriteByte(c)
			text = text[2:]
		case c == '}':
			return nil, errors.New("a \"}\" without its \"{\"; write \"}}\" for the brace itself")
		case c == '{':
			inner, rest, closed := strings.Cut(text[1:], "}")
			if !closed {
				return nil, errors.New("a \"{\" without its \"}\"; write \"{{\" for the brace itself")
			}
			e, err := parseExpr(inner)
			if err != nil {
				return nil, err
			}
			flush()
			t = append(t, segment{expr: e})
			text = rest
		default:
			literal.WriteByte(c)
			text = text[1:]
		}
	}
	flush()
	return t, nil
}

func parseExpr(text string) (expr, error) {
	names := strings.Split(text, ".")
	for _, name := range names {
		if name == "" {
			return nil, fmt.Errorf("expression {%s} has an empty name", text)
		}
		for _, c := range name {
			if !isNameRune(c) {
				return nil, fmt.Errorf("expression {%s} has a %q; a name is letters, digits, \"_\" and \"-\"", text, c)
			}
		}
	}
	return names, nil
}

func isNameRune(c rune) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// expand writes the template with each expression's value in its place. Values
// are percent-encoded, so that one with a "/" stays one segment of a key.
func (t template) expand(value func(expr) (string, error)) (string, error) {
	var b strings.Builder
	for _, s := range t {
		if s.expr == nil {
			b.WriteString(s.literal)
			continue
		}
		v, err := value(s.expr)
		if err != nil {
			return "", err
		}
		b.WriteString(url.PathEscape(v))
	}
	return b.String(), nil
}
