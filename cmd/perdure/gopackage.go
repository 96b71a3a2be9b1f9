package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// goPackage is the package of an app, as far as adding a function needs to know it.
type goPackage struct {
	name string
	// declared are the files of what is declared on the top level.
	declared map[string]string
	files    map[string]*ast.File // tests are not among them
	fset     *token.FileSet
}

// readPackage parses the package in a folder.
func readPackage(dir string) (*goPackage, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	pkg := &goPackage{declared: map[string]string{}, files: map[string]*ast.File{}, fset: token.NewFileSet()}
	for _, name := range names {
		file, err := parser.ParseFile(pkg.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		test := strings.HasSuffix(name, "_test.go")
		switch own := file.Name.Name; {
		case test && strings.HasSuffix(own, "_test"):
			continue // a package of its own
		case test:
		case pkg.name != "" && pkg.name != own:
			return nil, fmt.Errorf("there are two packages here, %s and %s", pkg.name, own)
		default:
			pkg.name, pkg.files[name] = own, file
		}
		for _, declared := range declarations(file) {
			pkg.declared[declared] = name
		}
	}
	if pkg.name == "" {
		return nil, errors.New("there is no Go package here: go to the folder of an app, or make one with perdure new NAME")
	}
	return pkg, nil
}

// declarations are the names a file declares on the top level, methods left out.
func declarations(file *ast.File) []string {
	var names []string
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// clash reports what keeps a new file with this code out of the package.
func (g *goPackage) clash(name, code string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s is there already", name)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, code, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declared := range declarations(file) {
		if other := g.declared[declared]; other != "" {
			return fmt.Errorf("%s declares %s already: choose another name", other, declared)
		}
	}
	return nil
}

// addPart adds an element to the list that the function parts returns, and returns its
// file; empty when there is no such function.
func (g *goPackage) addPart(part string) (string, error) {
	for name, file := range g.files {
		list := partsOf(file)
		if list == nil {
			continue
		}
		code, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		at := g.fset.Position(list.Rbrace).Offset
		before := bytes.TrimRight(code[:at], " \t\n")
		comma := ","
		if last := before[len(before)-1]; last == ',' || last == '{' || endsInComment(file, g.fset, len(before)) {
			comma = ""
		}
		code, err = format.Source(fmt.Appendf(nil, "%s%s\n%s,\n%s", before, comma, part, code[at:]))
		if err != nil {
			return "", fmt.Errorf("add to %s: %w", name, err)
		}
		return name, os.WriteFile(name, code, 0o666)
	}
	return "", nil
}

// partsOf returns the list in "return []perdure.Part{…}", the only statement of the
// function parts; nil if there is none.
func partsOf(file *ast.File) *ast.CompositeLit {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Name.Name != "parts" || f.Body == nil || len(f.Body.List) != 1 {
			continue
		}
		if r, ok := f.Body.List[0].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			if list, ok := r.Results[0].(*ast.CompositeLit); ok {
				return list
			}
		}
	}
	return nil
}

// endsInComment reports whether a comment of the file ends at an offset: what stands
// before it ends a line already.
func endsInComment(file *ast.File, fset *token.FileSet, offset int) bool {
	for _, group := range file.Comments {
		if fset.Position(group.End()).Offset == offset {
			return true
		}
	}
	return false
}
