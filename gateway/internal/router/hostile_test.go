package router_test

import (
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/router"
)

// No way of writing a path, a host or a port leads past a route to one that comes later, if the upstream takes it for the same.
func TestNoWayAround(t *testing.T) {
	t.Parallel()
	plain, regex, host, open := entity.NewRoute(), entity.NewRoute(), entity.NewRoute(), entity.NewRoute()
	plain.Name, plain.Paths = "plain", []string{"/admin"}
	regex.Name, regex.Paths = "regex", []string{"~/(?i)secret/.*/end$"}
	host.Name, host.Hosts = "host", []string{"secure.example.com"}
	open.Name, open.Paths = "open", []string{"/"}
	r := newRouter(t, plain, regex, host, open)
	for want, paths := range map[string][]string{
		"plain": {
			"/admin", "/admin/", "/%61dmin", "/%61%64%6D%69%6e", "//admin", "///admin//", "/./admin", "/x/../admin", "/x/%2e%2e/admin", "/x/.%2E/admin", "/%2e/admin",
			"/../admin", "/../../admin", "/admin/.", "/admin/x/..", "/admin%2f", "/admin%2F..", "/admin;x=1", "/admin%3f", "/admin%23", "/admin%00", "/admin%0a", "/admin%20",
			"/admin%5c", "/admin.", "/x//../admin", "/x/y/..//../admin", "/admin%",
		},
		"regex": {"/secret/x/end", "/SECRET/x/end", "/secret/%0a/end", "/secret/x%0Ay/end", "/secret/%0d%0a/end", "/secret/%E2%80%A8/end", "/secret/%FF/end", "//secret//x//end", "/secret/x/../y/end"},
		"open":  {"/%2561dmin", "/ADMIN", "/x%2f..%2fadmin", "/x/..%2fadmin", "/adm%69", "/%2fadmin", "/x/..;/admin", "/x\\..\\admin"},
	} {
		for _, path := range paths {
			if m, ok := r.Match(&router.Request{Method: "GET", Host: "a.test", Path: path}); !ok || m.Route.Name != want {
				t.Errorf("%s: %v, want %s", path, m.Route, want)
			}
		}
	}
	for _, authority := range []string{"secure.example.com", "SECURE.example.com", "secure.example.com.", "secure.example.com:80", "secure.example.com:", "secure.example.com.:8080", "secure.example.com:00080"} {
		if m, ok := r.Match(&router.Request{Method: "GET", Host: authority, Path: "/x"}); !ok || m.Route.Name != "host" && m.Route.Name != "open" {
			t.Errorf("%s: %v", authority, m.Route)
		} else if m.Route.Name != "host" {
			t.Errorf("the host %s leads to the route %s", authority, m.Route.Name)
		}
	}
}

func TestDisguised(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": false, "/a/b": false, "/a/../b": false, "/a../b": false, "/..a/b": false, "/a..b": false, "/...": false, "/a%2fb": false, "/a;b": false, "/%2e%2e/x": false,
		"/a..%2fb": false, "/a%2f..b": false, "/a/...%2fb": false, "/v1..v2": false, "/a;../b": false, "/x/.../y": false,
		"/x/..%2fadmin": true, "/x%2f../admin": true, "/x%2F..%2fadmin": true, "/x/%2e%2e%2fadmin": true, "/x/..;/admin": true, "/x/..;a=b/admin": true,
		"/x/..%3b/admin": true, "/x/..\\admin": true, "/x\\..\\admin": true, "/x%5c..%5cadmin": true, "/x%5C..": true, "/x/a%2f..": true, "/a..b/..%2f": true,
	} {
		if got := router.Disguised(router.Normalize(path)); got != want {
			t.Errorf("%s: %t, want %t", path, got, want)
		}
	}
}
