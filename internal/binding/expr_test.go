package binding_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/binding"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	value := func(e string) string { return e + "/%é" }
	for text, want := range map[string]string{
		"":                        "",
		"a/b":                     "a/b",
		"{a}":                     "%7Ba%7D%2F%25%C3%A9",
		"x-{a.b_c-1}/y":           "x-%7Ba.b_c-1%7D%2F%25%C3%A9/y",
		"{{a}}":                   "{a}",
		"{{{a}}}":                 "{%7Ba%7D%2F%25%C3%A9}",
		strings.Repeat("{{", 512): strings.Repeat("{", 512),
	} {
		got, err := binding.ExpandTemplate(text, value)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"{":                       `a "{" without its "}"`,
		"a{b":                     `a "{" without its "}"`,
		"a}b":                     `a "}" without its "{"`,
		"{a}}":                    `a "}" without its "{"`,
		"{}":                      `{} has an empty name`,
		"{a.}":                    `{a.} has an empty name`,
		"{a..b}":                  `{a..b} has an empty name`,
		"{a b}":                   `{a b} has a ' '`,
		"{a{b}":                   `{a{b} has a '{'`,
		"{é}":                     `{é} has a 'é'`,
		strings.Repeat("x", 1025): "longer than 1024 bytes",
	} {
		_, err := binding.ExpandTemplate(text, value)
		wantError(t, err, want)
	}
}

// Whatever a template and the values are: no panic, and the literal text alone
// decides how many segments a key has.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{"", "metadata/{fileId}", "{a.b}/{c}", "{{x}}", "{", "}", "{a}}", "a//{b}/"} {
		f.Add(text, "v/../%2F{x}")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		got, err := binding.ExpandTemplate(text, func(string) string { return value })
		if err != nil {
			return
		}
		blank, err := binding.ExpandTemplate(text, func(string) string { return "" })
		if err != nil {
			t.Fatalf("%q expands with %q and not without: %v", text, value, err)
		}
		if strings.Count(got, "/") != strings.Count(blank, "/") {
			t.Fatalf("%q: value %q changed the segments: %q", text, value, got)
		}
		if text == "{a}" {
			if back, err := url.PathUnescape(got); err != nil || back != value {
				t.Fatalf("value %q came back as %q, %v", value, back, err)
			}
		}
	})
}
