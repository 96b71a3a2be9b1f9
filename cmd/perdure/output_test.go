package main

import (
	"encoding/json"
	"strconv"
	"testing"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain – ü 漢 😀":    "plain – ü 漢 😀",
		"\x1b[31mred":      `\x1b[31mred`,
		"a\tb\nc\x00":      `a\tb\nc\x00`,
		"\u009b2J\u202eab": `\u009b2J\u202eab`,
		"\xff\xfe":         `\xff\xfe`,
		"\ufffd'":          "\ufffd'",
		"\U000e0001":       `\U000e0001`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"a", "\x1b]0;title\x07", "\u202e", "\xff", "\u009b", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, r := range printable(in) {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q has %q", in, r)
			}
		}
		doc, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		safe := printableJSON(doc)
		for _, r := range string(safe) {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q has %q as JSON", in, r)
			}
		}
		var got string
		if err := json.Unmarshal(safe, &got); err != nil || utf8.ValidString(in) && got != in {
			t.Fatalf("%q became %q, %v", in, got, err)
		}
	})
}
