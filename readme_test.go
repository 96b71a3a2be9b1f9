package perdure_test

import (
	"errors"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The first program of README.md, built outside this module as a user's would be, does
// what the page says, and goes on after it was killed.
func TestReadmeProgram(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	page := readPage(t, "README.md")
	sessions := page.blocks("console")
	if len(sessions) != 2 {
		t.Fatalf("README.md has %d console blocks, want one before the program is killed and one after", len(sessions))
	}
	code := page.blocks("go")[0]
	if formatted, err := format.Source([]byte(code)); err != nil || string(formatted) != code {
		t.Errorf("the program is not formatted: %v", err)
	}
	dir := t.TempDir()
	writeModule(t, dir, code)
	p := program{path: build(t, dir, "."), dir: dir}
	for _, session := range sessions {
		p.start(t)
		p.curl(t, session)
		p.kill(t)
	}
}

// page is a Markdown document.
type page struct {
	name, text string
}

func readPage(t *testing.T, name string) page {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return page{name, string(b)}
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks returns the fenced blocks of a language.
func (p page) blocks(language string) []string {
	var blocks []string
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			blocks = append(blocks, m[2])
		}
	}
	return blocks
}

// writeModule writes a program as a module of its own that uses this one.
func writeModule(t *testing.T, dir, program string) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	mod, err1 := os.ReadFile("go.mod")
	sum, err2 := os.ReadFile("go.sum")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	const path = "github.com/perdure/perdure"
	own := strings.Replace(string(mod), "module "+path, "module first", 1)
	own += fmt.Sprintf("\nrequire %s v0.0.0\nreplace %s => %q\n", path, path, root)
	for name, b := range map[string][]byte{"main.go": []byte(program), "go.mod": []byte(own), "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
