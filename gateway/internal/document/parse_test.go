package document_test

import (
	"errors"
	"testing"

	"github.com/perdure/perdure/gateway/internal/document"
)

func TestParse(t *testing.T) {
	t.Parallel()
	docs, err := document.Parse([]byte("# nothing\n---\na: &x {b: [1, 2.5, ~, yes, true, 2020-01-01]}\nc:\n  <<: *x\n  d: \"1\"\n---\n---\ne: !!binary aGk=\n"))
	if err != nil || len(docs) != 2 {
		t.Fatalf("%d documents: %v", len(docs), err)
	}
	list := docs[0].At("a", "b").Items
	for i, want := range []document.Kind{document.Int, document.Float, document.Null, document.String, document.Bool, document.String} {
		if list[i].Kind != want {
			t.Errorf("item %d is %s, want %s", i, list[i].Kind, want)
		}
	}
	if docs[0].At("c", "b") == nil || docs[0].At("c", "d").Line != 6 {
		t.Error("what is merged is not there, or the line is wrong")
	}
	if got := docs[1].Get("e").Text; got != "hi" {
		t.Errorf("binary: %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]int{
		"a: 1\na: 2\n":     2,
		"? [a]\n: b\n":     1,
		"a: !!foo b\n":     1,
		"a: .nan\n":        1,
		"a: !!int x\n":     1,
		"\tb: 1\n":         1,
		"a: &a [*a]\n":     1,
		"a:\n  <<: 1\n":    2,
		"a: {<<: [x]}\n":   1,
		"a: \"\\uD83D\"\n": 1,
	} {
		_, err := document.Parse([]byte(text))
		e := new(document.Error)
		if !errors.As(err, &e) || e.Line != line {
			t.Errorf("%q: %v, want an error in line %d", text, err, line)
		}
	}
	if _, err := document.Parse([]byte("a: \xff\n")); err == nil {
		t.Error("no error for what is no UTF-8")
	}
	if _, err := document.Parse(make([]byte, document.MaxBytes+1)); err == nil {
		t.Error("no error for a file that is too large")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1", "- &a [1]\n- *a", "<<: {a: b}", "{\"a\":[1,2.5e3,null,true]}", "---\n---\nx", "a: !!binary aGk=", "? a\n: b", "%YAML 1.1\n---\na"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		docs, _ := document.Parse(data)
		for _, d := range docs {
			d.Plain()
			d.Lines("x", map[string]int{})
		}
	})
}
