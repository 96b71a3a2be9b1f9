package archtest

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// What the architecture document names exists.
func TestArchitectureNamesExist(t *testing.T) {
	t.Parallel()
	m, err := load(root(), modulePath)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCatalogue(root(), m)
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.checkDoc("docs/ARCHITECTURE.md")
	if errors.Is(err, fs.ErrNotExist) {
		return // not written yet: nothing is named
	} else if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

func TestDocCheckCanFail(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"Makefile": {Data: []byte("run: ## Start.\n\tgo run .\n")},
		"unit/unit.go": {Data: []byte(`package unit
import "context"
const state = "Expired"
var listen = "PERDURE_LISTEN"
type Unit struct { Writes int }
type Committer interface { Commit(context.Context) error }
type List[T any] struct{}
func (u *Unit) Seal() {}
func (l *List[T]) Len() int { return 0 }
func Run() {}
`)},
	}
	m, err := load(fsys, "m")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ code, want string }{
		{"unit/unit.go", ""},
		{"unit/", ""},
		{"unit/gone.go", "no such file or folder"},
		{"gone/", "no such file or folder"},
		{"unit.go", ""},
		{"gone.go", "no file has this name"},
		{"unit.Run", ""},
		{"unit.Run()", ""},
		{"unit.Run(ctx, fn)", ""},
		{"unit.Unit.Seal", ""},
		{"(*unit.Unit).Seal", ""},
		{"unit.Unit.Writes", ""},
		{"unit.Committer.Commit", ""},
		{"unit.List.Len", ""},
		{"unit.Gone", "package unit has no Gone"},
		{"unit.Unit.Gone", "package unit has no Unit.Gone"},
		{"context.Context", ""},
		{"gone.Thing", "no package gone"},
		{"Unit", ""},
		{"Unit.Seal", ""},
		{"Gone", "no package has this symbol"},
		{"Unit.Gone", "no package has this symbol"},
		{"Expired", ""},
		{"PERDURE_LISTEN", ""},
		{"PERDURE_GONE", "no Go file has this setting"},
		{"make run", ""},
		{"make gone", "no such target"},
		{"GET", ""},
		{"POST /api/file/add", ""},
		{"some words", ""},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			doc := fstest.MapFS{"doc.md": {Data: []byte("First.\n\nSee `" + c.code + "`.\n\n```go\nunit.NotRead()\n```\n")}}
			for name, f := range fsys {
				doc[name] = f
			}
			cat, err := newCatalogue(doc, m)
			if err != nil {
				t.Fatal(err)
			}
			found, err := cat.checkDoc("doc.md")
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("found %v, want nothing", found)
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), c.want) ||
				!strings.HasPrefix(found[0].String(), "doc.md:3: ")):
				t.Errorf("found %v, want doc.md:3 with %q", found, c.want)
			}
		})
	}
}
