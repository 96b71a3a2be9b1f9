package transform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// template is a text with parts of a request in it: "$(headers.host)", "$(query_params['q'] or 'none')",
// "$(uri_captures[1])".
type template struct{ parts []piece }

// piece is a text, or the first of several sources that has something.
type piece struct {
	text    string
	sources []source
}

// source is where a text comes from.
type source struct {
	from string // headers, query_params, uri_captures, or "" for a text
	key  string
}

func literal(text string) *template { return &template{[]piece{{text: text}}} }

// parse reads a template. Of Kong's, in which anything of Lua can stand, it knows lookups and "or".
func parse(text string) (*template, error) {
	t := &template{}
	for text != "" {
		at := strings.Index(text, "$(")
		if at < 0 {
			t.parts = append(t.parts, piece{text: text})
			break
		}
		if at > 0 {
			t.parts = append(t.parts, piece{text: text[:at]})
		}
		text = text[at+2:]
		var p piece
		for {
			s, rest, err := parseSource(strings.TrimLeft(text, " "))
			if err != nil {
				return nil, err
			}
			p.sources = append(p.sources, s)
			rest = strings.TrimLeft(rest, " ")
			if after, ok := strings.CutPrefix(rest, "or "); ok {
				text = after
				continue
			}
			after, ok := strings.CutPrefix(rest, ")")
			if !ok {
				return nil, fmt.Errorf("the expression ends at %q, where ) is missing", shorten(rest))
			}
			text = after
			break
		}
		t.parts = append(t.parts, p)
	}
	return t, nil
}

var errExpression = errors.New(`an expression is $(headers.NAME), $(query_params.NAME) or $(uri_captures[N]), with "or" and a text in quotes if need be`)

// parseSource reads one source at the beginning of a text.
func parseSource(text string) (s source, rest string, err error) {
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		key, rest, ok := quoted(text)
		if !ok {
			return s, "", errExpression
		}
		return source{key: key}, rest, nil
	}
	for _, from := range []string{"headers", "query_params", "uri_captures"} {
		after, ok := strings.CutPrefix(text, from)
		if !ok {
			continue
		}
		s.from = from
		switch {
		case strings.HasPrefix(after, "."):
			n := 1
			for n < len(after) && isName(after[n]) {
				n++
			}
			s.key, rest = after[1:n], after[n:]
		case strings.HasPrefix(after, "["):
			inner := after[1:]
			if inner != "" && (inner[0] == '"' || inner[0] == '\'') {
				s.key, rest, ok = quoted(inner)
			} else {
				n := 0
				for n < len(inner) && inner[n] >= '0' && inner[n] <= '9' {
					n++
				}
				s.key, rest = inner[:n], inner[n:]
				ok = from == "uri_captures"
			}
			if rest, ok = cutBracket(rest, ok); !ok {
				return s, "", errExpression
			}
		}
		if s.key == "" {
			return s, "", errExpression
		}
		return s, rest, nil
	}
	return s, "", errExpression
}

func cutBracket(rest string, ok bool) (string, bool) {
	after, closed := strings.CutPrefix(rest, "]")
	return after, ok && closed
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// quoted reads a text in quotes at the beginning.
func quoted(text string) (inner, rest string, ok bool) {
	end := strings.IndexByte(text[1:], text[0])
	if end < 0 || strings.ContainsRune(text[1:end+1], '\\') {
		return "", "", false
	}
	return text[1 : end+1], text[end+2:], true
}

// render returns the text for a request.
func (t *template) render(x *proxy.Exchange) string {
	if len(t.parts) == 1 && t.parts[0].sources == nil {
		return t.parts[0].text
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		for _, s := range p.sources {
			if value, ok := s.lookup(x); ok {
				b.WriteString(value)
				break
			}
		}
	}
	return b.String()
}

func (s source) lookup(x *proxy.Exchange) (string, bool) {
	switch s.from {
	case "":
		return s.key, true
	case "headers":
		name := s.key
		if strings.EqualFold(name, "host") {
			return x.Request.Host, true
		}
		if value := x.Request.Fields.Peek(name); value != nil {
			return string(value), true
		}
		// As a name of Lua it has no hyphens.
		value := x.Request.Fields.Peek(strings.ReplaceAll(name, "_", "-"))
		return string(value), value != nil
	case "query_params":
		for value := range plugin.QueryValues(x.Request.Query, s.key) {
			return value, true
		}
	case "uri_captures":
		if c, ok := x.Value(plugin.CapturesKey{}).(plugin.Captures); ok {
			return c.Capture(s.key)
		}
	}
	return "", false
}

func shorten(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
