package router_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/router"
)

func FuzzNormalize(f *testing.F) {
	for _, path := range []string{"/", "/a/../b", "/%2e%2e/%41", "//a/./", "/%%34%31", "*", "/%e4%", "/a%2f..%2f"} {
		f.Add(path)
	}
	r := newRouter(f, route("it", all(methods("GET"), func(r *entity.Route) { r.StripPath = false })))
	f.Fuzz(func(t *testing.T, path string) {
		got := router.Normalize(path)
		if again := router.Normalize(got); again != got {
			t.Errorf("Normalize(%q) = %q, and again %q", path, got, again)
		}
		if !strings.HasPrefix(path, "/") {
			return
		}
		if !strings.HasPrefix(got, "/") || strings.Contains(got, "//") || strings.Contains(got+"/", "/../") || strings.Contains(got+"/", "/./") {
			t.Errorf("Normalize(%q) = %q", path, got)
		}
		// What goes to the upstream is the path that was compared, however it decodes it.
		m, _ := r.Match(&router.Request{Method: "GET", Path: path})
		target, _ := m.Target(nil)
		if back := router.Normalize(target); back != got {
			t.Errorf("%q is compared as %q, and the upstream sees %q, which is %q", path, got, target, back)
		}
		for i := range len(target) {
			if c := target[i]; c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
				t.Errorf("the target of %q is %q", path, target)
			}
		}
	})
}

// The tree finds what looking at all routes finds.
func FuzzMatch(f *testing.F) {
	f.Add("a.example.com", "/a/b", "GET", "/a", "/a/b", `~/a/\w+$`, "*.example.com", "a.*")
	f.Add("a.b", "/", "PUT", "/", "~/$", "/x", "a.b:80", "*.b")
	f.Fuzz(func(t *testing.T, host, path, method, p1, p2, p3, h1, h2 string) {
		for _, p := range []string{p1, p2, p3} {
			if !strings.HasPrefix(strings.TrimPrefix(p, "~"), "/") {
				t.Skip()
			}
		}
		list := routes{
			{"1", paths(p1)}, {"2", all(hosts(h1), paths(p2, p3))}, {"3", all(hosts(h2, h1), methods("GET"))}, {"4", all(paths(p3, p1), hosts(h2))},
		}.list()
		r, err := router.New(list)
		if err != nil || strings.Count(h1, "*") > 1 || strings.Count(h2, "*") > 1 || h1 == "" || h2 == "" {
			t.Skip()
		}
		for _, h := range []string{h1, h2} { // wildcards are labels, as package entity makes sure
			name, _, _ := strings.Cut(h, ":")
			if strings.Contains(name, "*") && !strings.HasPrefix(name, "*.") && !strings.HasSuffix(name, ".*") {
				t.Skip()
			}
		}
		q := &router.Request{Method: method, Host: host, Path: path, Port: 80}
		m, ok := r.Match(q)
		e := r.Explain(q)
		if ok != (e.Route != nil) || ok && m.Route != e.Route {
			t.Errorf("Match = %v %v, Explain = %+v", m.Route, ok, e)
		}
	})
}
