package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// variable is a name with its value, as environments have them.
type variable struct{ name, value string }

// parseDotenv reads lines of NAME=VALUE as .env files have them: comments begin with "#", "export" in front is passed over, and a
// value may stand in single quotes, as it is, or in double ones, with \n, \r, \t, \", \\, \$ and \` in it; both may go over several lines.
// Nothing is put in the place of $NAME. What an error says has no value in it.
func parseDotenv(text string) ([]variable, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, errors.New("it is no text in UTF-8")
	}
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff")
	var all []variable
	seen := map[string]bool{}
	for number := 1; text != ""; {
		at := number
		line, rest, _ := strings.Cut(text, "\n")
		number++
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			text = rest
			continue
		}
		name, raw, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if after, found := strings.CutPrefix(name, "export"); found && strings.TrimLeft(after, " \t") != after {
			name = strings.TrimSpace(after)
		}
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: want NAME=VALUE", at)
		case !isVariable(name):
			return nil, fmt.Errorf("line %d: %.80q is no name of a variable", at, name)
		case seen[name]:
			return nil, fmt.Errorf("line %d: %s is there twice", at, name)
		}
		seen[name] = true
		v := variable{name: name}
		raw = strings.TrimLeft(raw, " \t")
		if raw != "" && (raw[0] == '\'' || raw[0] == '"') {
			quoted := text[len(line)-len(raw):]
			value, used, err := unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", at, name, err)
			}
			tail, after, _ := strings.Cut(quoted[used:], "\n")
			if tail = strings.TrimSpace(tail); tail != "" && tail[0] != '#' {
				return nil, fmt.Errorf("line %d: %s: something stands behind the quotes", at, name)
			}
			number += strings.Count(quoted[:used], "\n")
			v.value, rest = value, after
		} else {
			if comment := strings.Index(raw, " #"); comment >= 0 {
				raw = raw[:comment]
			} else if strings.HasPrefix(raw, "#") {
				raw = ""
			}
			v.value = strings.TrimSpace(raw)
		}
		all, text = append(all, v), rest
	}
	return all, nil
}

// unquote reads a value that begins with a quote, and returns how long it was with its quotes.
func unquote(text string) (value string, used int, err error) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote:
			return b.String(), i + 1, nil
		case c != '\\' || quote == '\'' || i+1 == len(text):
			b.WriteByte(c)
		default:
			i++
			switch c = text[i]; c {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$', '`':
				b.WriteByte(c)
			default:
				b.WriteByte('\\')
				b.WriteByte(c)
			}
		}
	}
	return "", 0, errors.New("the quotes do not end")
}

// isVariable reports whether a text can be the name of a variable of the environment.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// dotenvValue writes a value in double quotes, as parseDotenv and shells read it.
func dotenvValue(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`", "\n", `\n`, "\r", `\r`).Replace(value) + `"`
}

// parseJSONVariables reads a JSON object whose members are texts, numbers or switches.
func parseJSONVariables(text []byte) ([]variable, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	var all []variable
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("it is no JSON")
		}
		if seen[name] {
			return nil, fmt.Errorf("%.80q is there twice", name)
		}
		seen[name] = true
		value, err := d.Token()
		if err != nil {
			return nil, errors.New("it is no JSON")
		}
		switch v := value.(type) {
		case string:
			all = append(all, variable{name, v})
		case json.Number, bool:
			all = append(all, variable{name, fmt.Sprint(v)})
		default:
			return nil, fmt.Errorf("%.80q: want a text, a number, true or false", name)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is no JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the JSON object")
	}
	return all, nil
}
