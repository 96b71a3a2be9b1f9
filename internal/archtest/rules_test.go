package archtest

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

const modulePath = "github.com/perdure/perdure"

// root is the module's own folder.
func root() fs.FS { return os.DirFS("../..") }

func TestModuleKeepsTheRules(t *testing.T) {
	t.Parallel()
	m, err := load(root(), modulePath)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.files) < 10 {
		t.Fatalf("only %d files were read: the wrong folder?", len(m.files))
	}
	for _, f := range rules.check(m) {
		t.Error(f)
	}
}

func TestEveryRuleHasAReason(t *testing.T) {
	t.Parallel()
	reason := func(rule, why string) {
		if len(why) < 8 {
			t.Errorf("%s: no reason given", rule)
		}
	}
	for _, l := range rules.layers {
		reason("layer "+l.name, l.why)
	}
	for _, b := range rules.beside {
		reason(b.from+" beside "+b.to, b.why)
	}
	for _, r := range rules.reach {
		reason("reach "+strings.Join(r.from, ","), r.why)
	}
	for _, o := range rules.only {
		reason("only "+strings.Join(o.imports, ","), o.why)
	}
	for _, u := range rules.uses {
		reason("use of "+u.pkg, u.why)
		for name, why := range u.allowed {
			reason("use of "+u.pkg+" in "+name, why)
		}
	}
	for name, why := range rules.initsOK {
		reason("init in "+name, why)
	}
}

// A small module in which each case breaks one rule.
func TestRulesCanFail(t *testing.T) {
	t.Parallel()
	small := ruleset{
		layers: []layer{
			{name: "low", why: "low", packages: []string{"keys", "low", "lower"}},
			{name: "high", why: "high", packages: []string{"high"}},
			{name: "root", why: "top", packages: []string{".", "cmd"}},
		},
		beside: []beside{{from: "low", to: "lower"}},
		reach:  []reachRule{{from: []string{"high"}, mustNot: []string{"net/http"}, why: "no network"}},
		only: []onlyRule{
			{imports: []string{"keys"}, by: []string{"keys", "low"}, testsToo: true, why: "one place"},
			{imports: []string{"flag"}, by: []string{"cmd/..."}, why: "a library"},
		},
		uses: []useRule{
			{pkg: "os", names: []string{"Getenv"}, where: code, allowed: map[string]string{"cmd/...": "a program"}, why: "one place"},
			{pkg: "time", names: []string{"Sleep"}, where: tests, why: "slow"},
			{pkg: "time", names: []string{"Now"}, where: code, in: []string{"low"}, why: "no clock"},
		},
		initsOK: map[string]string{"low/ok.go": "allowed here"},
	}
	for _, c := range []struct {
		name, file, src string
		want            string // part of the only finding; empty: none
	}{
		{"import of a lower layer", "high/a.go", `package high; import _ "m/low"`, ""},
		{"import of a higher layer", "low/a.go", `package low; import _ "m/high"`, "low (layer low) imports high (layer high)"},
		{"import of the root", "high/a.go", `package high; import _ "m"`, "imports . (layer root)"},
		{"import inside a layer", "lower/a.go", `package lower; import _ "m/low"`, "lower/a.go:1: lower (layer low) imports low"},
		{"import inside a layer that is named", "low/a.go", `package low; import _ "m/lower"`, ""},
		{"a test may import anything", "low/a_test.go", `package low; import _ "m"`, ""},
		{"a package without a line", "new/a.go", `package new`, "new: has no line"},
		{"reach through another package", "low/a.go", `package low; import _ "net/http/httptest"`, "high: reaches high/base.go → low/a.go → net/http/httptest"},
		{"tests reach freely", "low/a_test.go", `package low; import _ "net/http"`, ""},
		{"keys named by one package", "high/a_test.go", `package high; import _ "m/keys"`, "imports keys, which only keys, low may"},
		{"flags in a library", "low/a.go", `package low; import _ "flag"`, "imports flag, which only cmd/... may"},
		{"flags in a program", "cmd/a.go", `package main; import _ "flag"`, ""},
		{"environment in a library", "low/a.go", `package low; import "os"; var _ = os.Getenv("X")`, "uses os.Getenv: one place"},
		{"environment under another name", "low/a.go", `package low; import sys "os"; var _ = sys.Getenv("X")`, "uses os.Getenv: one place"},
		{"environment by a dot import", "low/a.go", `package low; import . "os"; var _ = Getenv("X")`, "imports os with a dot"},
		{"environment in a program", "cmd/a.go", `package main; import "os"; var _ = os.Getenv("X")`, ""},
		{"sleep in a test", "low/a_test.go", `package low; import "time"; func f() { time.Sleep(1) }`, "low/a_test.go:1: uses time.Sleep: slow"},
		{"sleep outside a test", "low/a.go", `package low; import "time"; func f() { time.Sleep(1) }`, ""},
		{"clock where there is none", "low/a.go", `package low; import "time"; var _ = time.Now`, "uses time.Now: no clock"},
		{"clock elsewhere", "high/a.go", `package high; import "time"; var _ = time.Now`, ""},
		{"init", "low/a.go", `package low; func init() {}`, "low/a.go:1: has an init function"},
		{"init that is allowed", "low/ok.go", `package low; func init() {}`, ""},
		{"a method named init", "low/a.go", `package low; type T int; func (T) init() {}`, ""},
		{"testdata is not read", "low/testdata/a.go", `not Go`, ""},
		{"a nested module is not read", "bench/a.go", `package main; func init() {}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := load(fstest.MapFS{
				"high/base.go": {Data: []byte(`package high; import _ "m/low"`)},
				"bench/go.mod": {Data: []byte("module m/bench")},
				c.file:         {Data: []byte(c.src)},
			}, "m")
			if err != nil {
				t.Fatal(err)
			}
			found := small.check(m)
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("found %v, want nothing", found)
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), c.want)):
				t.Errorf("found %v, want one with %q", found, c.want)
			}
		})
	}
}

func TestLoadNamesAFileThatDoesNotParse(t *testing.T) {
	t.Parallel()
	_, err := load(fstest.MapFS{"a/b.go": {Data: []byte("not Go")}}, "m")
	if err == nil || !strings.Contains(err.Error(), "a/b.go") {
		t.Errorf("error %v, want one that names a/b.go", err)
	}
}
