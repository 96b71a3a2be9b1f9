// Package archtest holds the import rules of the module, each with its reason,
// and checks them by reading the source files: a rule that is only written down
// is broken by the first hurried change. It also checks that what
// docs/ARCHITECTURE.md names exists.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is a module's Go files, parsed.
type module struct {
	path  string // import path of the root package
	fset  *token.FileSet
	files []*file
}

// file is one Go file.
type file struct {
	name    string // slash-separated, relative to the module root
	pkg     string // folder of the file; "." is the root package
	test    bool   // a _test.go file
	syntax  *ast.File
	imports []importSpec
}

type importSpec struct {
	path  string
	local string // name the file uses for it
	pos   token.Pos
}

// finding is one broken rule.
type finding struct {
	where string // file:line, or a package
	what  string
}

func (f finding) String() string { return f.where + ": " + f.what }

// load parses all Go files of the module whose root folder is fsys. Nested
// modules, testdata and hidden folders are left out.
func load(fsys fs.FS, modulePath string) (*module, error) {
	m := &module{path: modulePath, fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if skipDir(fsys, name) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(m.fset, name, src, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("cannot parse: %w", err)
		}
		m.files = append(m.files, &file{
			name:    name,
			pkg:     path.Dir(name),
			test:    strings.HasSuffix(name, "_test.go"),
			syntax:  syntax,
			imports: importsOf(syntax),
		})
		return nil
	})
	return m, err
}

func skipDir(fsys fs.FS, name string) bool {
	if name == "." {
		return false
	}
	base := path.Base(name)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
	return err == nil
}

func importsOf(syntax *ast.File) []importSpec {
	var specs []importSpec
	for _, s := range syntax.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue // the parser has already refused it
		}
		local := path.Base(p)
		if s.Name != nil {
			local = s.Name.Name
		}
		specs = append(specs, importSpec{path: p, local: local, pos: s.Pos()})
	}
	return specs
}

// inside returns the folder of an import path of this module, false for others.
func (m *module) inside(importPath string) (string, bool) {
	if importPath == m.path {
		return ".", true
	}
	return strings.CutPrefix(importPath, m.path+"/")
}

// packages lists the folders that hold Go files.
func (m *module) packages() []string {
	var dirs []string
	for _, f := range m.files {
		dirs = append(dirs, f.pkg)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func (m *module) finding(pos token.Pos, format string, args ...any) finding {
	p := m.fset.Position(pos)
	return finding{fmt.Sprintf("%s:%d", p.Filename, p.Line), fmt.Sprintf(format, args...)}
}

// matches reports whether name is one of the patterns: a folder or file, or
// everything below a folder written with "/..." at its end.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if below, ok := strings.CutSuffix(p, "/..."); ok {
			return name == below || strings.HasPrefix(name, below+"/")
		}
		return name == p
	})
}
