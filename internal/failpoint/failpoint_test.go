package failpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/failpoint"
)

// TestPointsArePassedOnce reads the program: each point is in All, has a proper
// name of its own, and is passed in exactly one place.
func TestPointsArePassedOnce(t *testing.T) {
	t.Parallel()
	values := constants(t)
	listed := map[failpoint.Point]bool{}
	for _, p := range failpoint.All() {
		if listed[p] {
			t.Errorf("%q is listed twice", p)
		}
		listed[p] = true
		if !regexp.MustCompile(`^[a-z]+\.[a-z]+$`).MatchString(string(p)) {
			t.Errorf("the name %q: want two words with a dot", p)
		}
	}
	for name, p := range values {
		if !listed[p] {
			t.Errorf("%s is not in All", name)
		}
	}
	places := passings(t)
	for name := range values {
		if n := len(places[name]); n != 1 {
			t.Errorf("%s is passed in %d places, want one: %q", name, n, places[name])
		}
	}
}

// constants returns the points that the package declares, by constant.
func constants(t *testing.T) map[string]failpoint.Point {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "failpoint.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]failpoint.Point{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Point" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values[spec.Names[0].Name] = failpoint.Point(text)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatal("no points found")
	}
	return values
}

// passings returns where each constant is handed to Hit, in code that is not a
// test.
func passings(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isSelector(call.Fun, "Hit") || len(call.Args) != 1 {
				return true
			}
			if point, ok := call.Args[0].(*ast.SelectorExpr); ok {
				found[point.Sel.Name] = append(found[point.Sel.Name], fset.Position(call.Pos()).String())
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// isSelector reports whether e is failpoint.name.
func isSelector(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "failpoint"
}
