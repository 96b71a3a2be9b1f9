package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// check returns every broken rule, in the order of the rules.
func (r ruleset) check(m *module) []finding {
	return slices.Concat(
		r.checkLayers(m),
		r.checkReach(m),
		r.checkOnly(m),
		r.checkUses(m),
		r.checkInits(m),
	)
}

// checkLayers holds each package to its line and its imports to lower layers.
// Tests may import what they like: they are not imported.
func (r ruleset) checkLayers(m *module) []finding {
	var found []finding
	level := map[string]int{}
	for i, l := range r.layers {
		for _, p := range l.packages {
			if _, twice := level[p]; twice {
				found = append(found, finding{p, "has two lines in the layers of internal/archtest/rules.go"})
			}
			level[p] = i
		}
	}
	for _, p := range m.packages() {
		if _, ok := level[p]; !ok {
			found = append(found, finding{p, "has no line in the layers of internal/archtest/rules.go: give it one"})
		}
	}
	for _, f := range m.files {
		from, ok := level[f.pkg]
		if f.test || !ok {
			continue
		}
		for _, imp := range f.imports {
			target, inside := m.inside(imp.path)
			to, known := level[target]
			if !inside || !known || to < from || r.isBeside(f.pkg, target) {
				continue
			}
			found = append(found, m.finding(imp.pos, "%s (layer %s) imports %s (layer %s): %s",
				f.pkg, r.layers[from].name, target, r.layers[to].name, r.layers[to].why))
		}
	}
	return found
}

func (r ruleset) isBeside(from, to string) bool {
	return slices.ContainsFunc(r.beside, func(b beside) bool { return b.from == from && b.to == to })
}

func (r ruleset) checkReach(m *module) []finding {
	var found []finding
	for _, rule := range r.reach {
		for _, from := range rule.from {
			if chain := m.chain(from, rule.mustNot, map[string]bool{}); chain != nil {
				found = append(found, finding{from, fmt.Sprintf("reaches %s: %s", strings.Join(chain, " → "), rule.why)})
			}
		}
	}
	return found
}

// chain returns the way from a package to one of the import paths, through
// packages of the module, or nil when there is none.
func (m *module) chain(from string, targets []string, seen map[string]bool) []string {
	if seen[from] {
		return nil
	}
	seen[from] = true
	for _, f := range m.files {
		if f.pkg != from || f.test {
			continue
		}
		for _, imp := range f.imports {
			for _, t := range targets {
				if matches([]string{t + "/..."}, imp.path) {
					return []string{f.name, imp.path}
				}
			}
			if next, ok := m.inside(imp.path); ok {
				if rest := m.chain(next, targets, seen); rest != nil {
					return append([]string{f.name}, rest...)
				}
			}
		}
	}
	return nil
}

func (r ruleset) checkOnly(m *module) []finding {
	var found []finding
	for _, rule := range r.only {
		for _, f := range m.files {
			if f.test && !rule.testsToo || matches(rule.by, f.pkg) {
				continue
			}
			for _, imp := range f.imports {
				name := imp.path
				if folder, ok := m.inside(imp.path); ok {
					name = folder
				}
				if matches(rule.imports, name) {
					found = append(found, m.finding(imp.pos, "imports %s, which only %s may: %s",
						name, strings.Join(rule.by, ", "), rule.why))
				}
			}
		}
	}
	return found
}

func (r ruleset) checkUses(m *module) []finding {
	var found []finding
	for _, rule := range r.uses {
		for _, f := range m.files {
			if f.test != (rule.where == tests) || len(rule.in) > 0 && !matches(rule.in, f.pkg) || rule.allows(f) {
				continue
			}
			found = append(found, rule.usesIn(m, f)...)
		}
	}
	return found
}

func (rule useRule) allows(f *file) bool {
	for pattern := range rule.allowed {
		if matches([]string{pattern}, f.name) {
			return true
		}
	}
	return false
}

// usesIn finds the forbidden names of the rule in a file, under whatever name
// the file imports their package.
func (rule useRule) usesIn(m *module, f *file) []finding {
	i := slices.IndexFunc(f.imports, func(imp importSpec) bool { return imp.path == rule.pkg })
	if i < 0 {
		return nil
	}
	local := f.imports[i].local
	if local == "." {
		return []finding{m.finding(f.imports[i].pos, "imports %s with a dot, which hides what is used of it", rule.pkg)}
	}
	var found []finding
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(rule.names, sel.Sel.Name) {
			found = append(found, m.finding(sel.Pos(), "uses %s.%s: %s", rule.pkg, sel.Sel.Name, rule.why))
		}
		return true
	})
	return found
}

func (r ruleset) checkInits(m *module) []finding {
	var found []finding
	for _, f := range m.files {
		if _, ok := r.initsOK[f.name]; ok {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, m.finding(fn.Pos(), "has an init function: importing a package must not do anything"))
			}
		}
	}
	return found
}
