package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// What is written in backticks in a document, and how it is told apart.
var (
	inlineCode = regexp.MustCompile("`([^`]+)`")
	// A path: internal/engine/turn.go, internal/engine, durable/.
	pathName = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/$|^[\w.-]+(/[\w.-]+)+$`)
	// A file by its name alone: turn.go.
	fileName = regexp.MustCompile(`^[\w-]+\.(go|md|mod|sum|sh|yml|html|css|js)$`)
	// A symbol of a package: durable.Context.Now, engine.Run(), (*unit.Unit).Seal.
	packageSymbol = regexp.MustCompile(`^\(?\*?([a-z]\w*)\.([A-Za-z]\w*)\)?((?:\.[A-Za-z]\w*)?)(?:\([^)]*\))?$`)
	// A symbol without its package: App, App.Run.
	bareSymbol = regexp.MustCompile(`^\(?\*?([A-Z]\w*[a-z]\w*)\)?((?:\.[A-Za-z]\w*)?)(?:\([^)]*\))?$`)
	setting    = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	makeTarget = regexp.MustCompile(`^make ([a-z-]+)$`)
	// A word of a string literal: states, event names and settings stand there.
	literalName = regexp.MustCompile(`\w+`)
)

// catalogue is what a document may name.
type catalogue struct {
	fsys     fs.FS
	files    map[string]bool            // base names of all files
	symbols  map[string]map[string]bool // package name → Type, Type.Method, Type.Field, Func
	imported map[string]bool            // names of packages outside the module
	literals map[string]bool            // words in string literals
	targets  map[string]bool            // of the Makefile
}

func newCatalogue(fsys fs.FS, m *module) (*catalogue, error) {
	c := &catalogue{
		fsys:     fsys,
		files:    map[string]bool{},
		symbols:  map[string]map[string]bool{},
		imported: map[string]bool{},
		literals: map[string]bool{},
		targets:  map[string]bool{},
	}
	for _, f := range m.files {
		if !f.test {
			c.addFile(m, f)
		}
	}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		c.files[d.Name()] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	if makefile, err := fs.ReadFile(fsys, "Makefile"); err == nil {
		for _, t := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllSubmatch(makefile, -1) {
			c.targets[string(t[1])] = true
		}
	}
	return c, nil
}

func (c *catalogue) addFile(m *module, f *file) {
	pkg := f.syntax.Name.Name
	if c.symbols[pkg] == nil {
		c.symbols[pkg] = map[string]bool{}
	}
	for _, decl := range f.syntax.Decls {
		c.addDecl(c.symbols[pkg], decl)
	}
	for _, imp := range f.imports {
		if _, inside := m.inside(imp.path); !inside {
			c.imported[imp.local] = true
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			for _, word := range literalName.FindAllString(lit.Value, -1) {
				c.literals[word] = true
			}
		}
		return true
	})
}

func (c *catalogue) addDecl(symbols map[string]bool, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = receiver(d.Recv.List[0].Type) + "." + name
		}
		symbols[name] = true
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					symbols[name.Name] = true
				}
			case *ast.TypeSpec:
				symbols[s.Name.Name] = true
				for _, member := range members(s.Type) {
					symbols[s.Name.Name+"."+member] = true
				}
			}
		}
	}
}

// receiver returns the name of a method's type: T of (t *T) and of (t T[K]).
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// members returns the names of a struct's fields or an interface's methods.
func members(t ast.Expr) []string {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return nil
	}
	var names []string
	for _, field := range list.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

// checkDoc returns what a Markdown document names in backticks and does not
// exist: files, packages, Go symbols, settings and make targets. Fenced blocks
// and code with spaces in it are not read.
func (c *catalogue) checkDoc(name string) ([]finding, error) {
	text, err := fs.ReadFile(c.fsys, name)
	if err != nil {
		return nil, err
	}
	var found []finding
	fenced := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if fenced {
			continue
		}
		for _, code := range inlineCode.FindAllStringSubmatch(line, -1) {
			if what := c.missing(code[1]); what != "" {
				found = append(found, finding{fmt.Sprintf("%s:%d", name, i+1), fmt.Sprintf("`%s`: %s", code[1], what)})
			}
		}
	}
	return found, nil
}

// missing says what of a piece of code does not exist, or nothing.
func (c *catalogue) missing(code string) string {
	if target := makeTarget.FindStringSubmatch(code); target != nil {
		return unless(c.targets[target[1]], "no such target in the Makefile")
	}
	if setting.MatchString(code) {
		return unless(c.literals[code], "no Go file has this setting")
	}
	if fileName.MatchString(code) {
		return unless(c.files[code], "no file has this name")
	}
	if pathName.MatchString(code) {
		_, err := fs.Stat(c.fsys, path.Clean(code))
		return unless(err == nil, "no such file or folder")
	}
	if s := packageSymbol.FindStringSubmatch(code); s != nil {
		return c.missingSymbol(s[1], s[2]+s[3])
	}
	if s := bareSymbol.FindStringSubmatch(code); s != nil {
		for _, symbols := range c.symbols {
			if symbols[s[1]+s[2]] {
				return ""
			}
		}
		return unless(s[2] == "" && c.literals[s[1]], "no package has this symbol, no Go file this name")
	}
	return ""
}

func (c *catalogue) missingSymbol(pkg, symbol string) string {
	symbols, ours := c.symbols[pkg]
	if !ours {
		return unless(c.imported[pkg], "no package "+pkg)
	}
	return unless(symbols[symbol], "package "+pkg+" has no "+symbol)
}

func unless(ok bool, what string) string {
	if ok {
		return ""
	}
	return what
}
