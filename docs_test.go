package perdure_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity"
)

// Every Go block of the documents is code that is compiled and tested: it stands, but
// for white space, in a test, an example or a package's source.
func TestDocsShowTestedCode(t *testing.T) {
	t.Parallel()
	root := os.DirFS(".")
	var code strings.Builder
	for _, name := range files(t, root, ".go") {
		b, err := fs.ReadFile(root, name)
		if err != nil {
			t.Fatal(err)
		}
		code.WriteString(words(string(b)))
	}
	for _, name := range files(t, root, ".md") {
		if !strings.HasPrefix(name, "docs/") {
			continue // README.md has a test of its own
		}
		for _, block := range readPage(t, name).blocks("go") {
			if !strings.Contains(code.String(), words(block)) {
				t.Errorf("%s: no Go file has this code:\n%s", name, block)
			}
		}
	}
}

// The commands of the guide answer as it shows.
func TestFileApproverGuide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	page := readPage(t, "docs/guides/fileapprover.md")
	dir := t.TempDir()
	for name, text := range map[string]string{"hello.txt": "Hello, Perdure.\n", "other.txt": "Not this one.\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := program{path: build(t, root, "./examples/fileapprover"), dir: dir, env: []string{"FILEAPPROVER_DEMO=1"}, values: map[string]string{}}
	p.start(t)
	var accounts identity.DemoAccounts
	written, err := os.ReadFile(filepath.Join(dir, "data", identity.DemoFile))
	if err := errors.Join(err, json.Unmarshal(written, &accounts)); err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts.Users {
		p.values[strings.ToUpper(a.Username)] = a.AccessToken
	}
	for _, session := range page.blocks("console") {
		p.curl(t, session)
	}
	p.kill(t)
}

// The commands of the guide to the names example answer as it shows.
func TestNamesGuide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	page := readPage(t, "docs/guides/names.md")
	p := program{path: build(t, root, "./examples/names"), dir: t.TempDir()}
	p.start(t)
	for _, session := range page.blocks("console") {
		p.curl(t, session)
	}
	p.kill(t)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every relative link of the documents leads to a file, and every fragment to a heading.
func TestDocsLinkToFiles(t *testing.T) {
	t.Parallel()
	root := os.DirFS(".")
	for _, name := range files(t, root, ".md") {
		text := fence.ReplaceAllString(readPage(t, name).text, "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := path.Join(path.Dir(name), target)
			if target == "" {
				to = name
			}
			if _, err := fs.Stat(root, to); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, m[1])
			} else if fragment != "" && !hasHeading(readPage(t, to).text, fragment) {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
}

// hasHeading reports whether a document has a heading with this anchor.
func hasHeading(text, anchor string) bool {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// files lists the files with an ending, except those of hidden folders and of the
// benches, which are a module of their own.
func files(t *testing.T, root fs.FS, ending string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || name == "bench" || name == "bin"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ending):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// words writes a text with one space between words.
func words(text string) string { return strings.Join(strings.Fields(text), " ") + " " }
