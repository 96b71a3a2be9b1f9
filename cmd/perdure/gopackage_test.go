package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddPart(t *testing.T) {
	t.Parallel()
	const part = "perdure.OnQueue(Mails, send)"
	for name, test := range map[string]struct{ list, want string }{
		"empty":               {"[]perdure.Part{}", "[]perdure.Part{\n\t\tperdure.OnQueue(Mails, send),\n\t}"},
		"in one line":         {"[]perdure.Part{A}", "[]perdure.Part{A,\n\t\tperdure.OnQueue(Mails, send),\n\t}"},
		"one to a line":       {"[]perdure.Part{\n\t\tA,\n\t\tB,\n\t}", "[]perdure.Part{\n\t\tA,\n\t\tB,\n\t\tperdure.OnQueue(Mails, send),\n\t}"},
		"a comment at last":   {"[]perdure.Part{\n\t\tA, // first\n\t\t// more to come\n\t}", "[]perdure.Part{\n\t\tA, // first\n\t\t// more to come\n\t\tperdure.OnQueue(Mails, send),\n\t}"},
		"braces in a literal": {"[]perdure.Part{\n\t\tH(\"GET /{x}\"),\n\t}", "[]perdure.Part{\n\t\tH(\"GET /{x}\"),\n\t\tperdure.OnQueue(Mails, send),\n\t}"},
	} {
		before := "package main\n\nfunc parts() []perdure.Part {\n\treturn " + test.list + "\n}\n"
		dir := t.TempDir()
		file := filepath.Join(dir, "main.go")
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		pkg, err := readPackage(dir)
		if err != nil {
			t.Fatal(err)
		}
		if added, err := pkg.addPart(part); err != nil || added != file {
			t.Errorf("%s: added to %q, %v", name, added, err)
		}
		after, err := os.ReadFile(file)
		if want := strings.Replace(before, test.list, test.want, 1); err != nil || string(after) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, after, want)
		}
	}
}

// Where there is no list to add to, nothing is changed.
func TestAddPartElsewhere(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"no such function": "package main\n\nfunc main() {}\n",
		"more than a list": "package main\n\nfunc parts() []any {\n\tall := []any{}\n\treturn all\n}\n",
		"a method":         "package main\n\ntype a int\n\nfunc (a) parts() []any { return []any{} }\n",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "main.go")
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		pkg, err := readPackage(dir)
		if err != nil {
			t.Fatal(err)
		}
		if added, err := pkg.addPart("x"); err != nil || added != "" {
			t.Errorf("%s: added to %q, %v", name, added, err)
		}
		if after, err := os.ReadFile(file); err != nil || string(after) != code {
			t.Errorf("%s: got\n%s, %v", name, after, err)
		}
	}
}

func TestKebab(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"sendInvoice": "send-invoice", "SendMail": "send-mail", "x": "x", "readHTTPBody": "read-http-body", "snake_case": "snake-case",
		"URL": "url", "größeÄndern": "größe-ändern", "_a": "a", "toV2": "to-v2",
	} {
		if got := kebab(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("data/running.journal", "")
	before := look(dir)
	for _, name := range []string{"main_test.go", ".git/x.go", "data/blobs/x.html", "README.md", "node_modules/x.js", "perdure-data/x.json"} {
		write(name, "x")
		if look(dir) != before {
			t.Errorf("%s is seen", name)
		}
	}
	for i, name := range []string{"main.go", "go.mod", "web/page.html", "main.go"} {
		write(name, strings.Repeat("x", i))
		after := look(dir)
		if after == before {
			t.Errorf("%s is not seen", name)
		}
		before = after
	}
}
