package secrets_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/secrets"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	for _, c := range []struct {
		g    secrets.Generator
		from string
	}{
		{secrets.Generator{Length: 1}, secrets.Alphanumeric},
		{secrets.Generator{Length: 32}, secrets.Alphanumeric},
		{secrets.Generator{Length: secrets.MaxGenerated, Alphabet: secrets.Printable}, secrets.Printable},
		{secrets.Generator{Length: 64, Alphabet: "äöü"}, "äöü"},
		{secrets.Generator{Length: 64, Alphabet: "01"}, "01"},
	} {
		made, err := w.Generate(ctx, model.Operator, id("made"), c.g, model.Change{Tags: map[string]string{"a": "b"}})
		if err != nil || made.Value != "" || made.Tags["a"] != "b" {
			t.Fatalf("%+v, %v", made, err)
		}
		got, err := w.Get(ctx, model.Operator, made.ID)
		if err != nil || utf8.RuneCountInString(got.Value) != c.g.Length || strings.Trim(got.Value, c.from) != "" || seen[got.Value] {
			t.Errorf("%+v: %q, %v", c.g, got.Value, err)
		}
		seen[got.Value] = true
	}
	if done := w.Guard.Done(); done[0].Op != model.OpSet || done[0].Detail != "generated" || done[0].Version == "" {
		t.Errorf("%+v", done[0])
	}
}

func TestBadGenerators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		g     secrets.Generator
		field string
	}{
		"no length":   {secrets.Generator{}, "length"},
		"negative":    {secrets.Generator{Length: -1}, "length"},
		"too long":    {secrets.Generator{Length: secrets.MaxGenerated + 1}, "length"},
		"one letter":  {secrets.Generator{Length: 8, Alphabet: "a"}, "alphabet"},
		"twice":       {secrets.Generator{Length: 8, Alphabet: "abca"}, "alphabet"},
		"not UTF-8":   {secrets.Generator{Length: 8, Alphabet: "a\xff"}, "alphabet"},
		"not seen":    {secrets.Generator{Length: 8, Alphabet: "a\n"}, "alphabet"},
		"too many":    {secrets.Generator{Length: 8, Alphabet: many(secrets.MaxAlphabet + 1)}, "alphabet"},
		"no alphabet": {secrets.Generator{Length: 8, Alphabet: "\u200b\u200c"}, "alphabet"},
	} {
		_, err := w.Generate(ctx, model.Operator, id("x"), c.g, model.Change{})
		fault := new(model.FieldError)
		if !errors.As(err, &fault) || fault.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Generate(ctx, model.Operator, id("x"), secrets.Generator{Length: 8, Alphabet: many(secrets.MaxAlphabet)}, model.Change{}); err != nil {
		t.Error(err)
	}
}

// many returns n letters.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x4e00 + i))
	}
	return b.String()
}

func TestAlphabets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"digits", "hex", "letters", "alphanumeric", "base64url", "readable", "printable"} {
		alphabet, ok := secrets.Alphabet(name)
		if !ok {
			t.Errorf("no %q", name)
		}
		if _, err := w.Generate(ctx, model.Operator, id(name), secrets.Generator{Length: 8, Alphabet: alphabet}, model.Change{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := secrets.Alphabet("Digits"); ok {
		t.Error("an alphabet that is none")
	}
	if len(secrets.Printable) != '~'-'!'+1 {
		t.Errorf("printable has %d letters", len(secrets.Printable))
	}
}

// Every letter is as likely as any other: with 62 letters a byte taken modulo 62 would give the first 8 of them a
// quarter more often, which is more than 20 standard deviations here.
func TestNoBias(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	count := map[rune]int{}
	const values = 60
	for range values {
		made, err := w.Generate(ctx, model.Operator, id("x"), secrets.Generator{Length: secrets.MaxGenerated}, model.Change{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.Get(ctx, model.Operator, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Value {
			count[r]++
		}
	}
	first := 0
	for _, r := range secrets.Alphanumeric[:8] {
		first += count[r]
	}
	// 8/62 of 61,440 are 7928, with a standard deviation of 83.
	if first < 7928-8*83 || first > 7928+8*83 {
		t.Errorf("the first 8 letters came %d times, want about 7928", first)
	}
	if len(count) != len(secrets.Alphanumeric) {
		t.Errorf("%d letters", len(count))
	}
}
