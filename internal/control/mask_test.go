package control_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/control"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"mail":"ann@example.com","age":41,"ok":true,"none":null}`: `{"mail":"string of 15","age":"number","ok":"boolean","none":null}`,
		`["é",[1.5e300],{}]`:                   `["string of 1",["number"],{}]`,
		` "secret" `:                           `"string of 6"`,
		`{"a":{"b":[]}}`:                       `{"a":{"b":[]}}`,
		`not JSON`:                             `"8 bytes"`,
		``:                                     `"0 bytes"`,
		strings.Repeat("[", 1_000_000):         `"1000000 bytes"`,
		`{"<a>":1}`:                            `{"\u003ca\u003e":"number"}`,
		`{"a":1,"a":"two"}`:                    `{"a":"number","a":"string of 3"}`,
		`123456789012345678901234567890123456`: `"number"`,
	} {
		if got := string(control.Mask([]byte(in))); got != want {
			t.Errorf("%.40s: got %s, want %s", in, got, want)
		}
	}
}

// No value gets through: of a document made of values that say "secret" nothing says so
// afterwards, and what comes out has the same shape.
func FuzzMask(f *testing.F) {
	for _, seed := range []string{`{"a":["secret",1,true,null,{"b":"secret"}]}`, `"secret"`, `[[[]]]`, `{"a":1} `, `{`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		out := control.Mask(data)
		if !json.Valid(out) {
			t.Fatalf("%q became %q", data, out)
		}
		again := control.Mask(control.Mask(data))
		var before, after any
		if json.Unmarshal(data, &before) != nil {
			return
		}
		if err := json.Unmarshal(again, &after); err != nil || !alike(before, after) {
			t.Fatalf("%q became %q", data, out)
		}
	})
}

// alike reports whether b has the shape of a, and no value of it.
func alike(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		other, ok := b.(map[string]any)
		if !ok || len(a) != len(other) {
			return false
		}
		for name := range a {
			if !alike(a[name], other[name]) {
				return false
			}
		}
		return true
	case []any:
		other, ok := b.([]any)
		if !ok || len(a) != len(other) {
			return false
		}
		for i := range a {
			if !alike(a[i], other[i]) {
				return false
			}
		}
		return true
	case nil:
		return b == nil
	}
	text, ok := b.(string)
	return ok && strings.HasPrefix(text, "string of ")
}
