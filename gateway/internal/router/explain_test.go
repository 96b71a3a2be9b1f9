package router_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	r := newRouter(t, routes{
		{"api", all(hosts("api.example.com"), paths("/v1/"))},
		{"post", all(hosts("api.example.com"), paths("/v1/orders"), methods("POST"))},
		{"canary", all(hosts("api.example.com"), paths("/v1/"), header("X-Canary", "yes"))},
		{"exact", all(hosts("www.example.com"), paths("~/about$"))},
		{"port", all(hosts("admin.example.com:8444"), paths("/"))},
		{"secure", all(hosts("secure.example.com"), paths("/"), func(r *entity.Route) { r.Protocols = []string{"https"} })},
		{"all", paths("/fallback")},
	}.list()...)
	for _, tt := range []struct {
		request string
		want    string // "route: reason"
		near    []string
	}{
		{"GET http://api.example.com/v1/orders", "api: host api.example.com, path /v1/",
			[]string{"post: the method GET is none of POST", "canary: there is no header X-Canary"}},
		{"GET http://api.example.com/v1/ X-Canary=no", "api: host api.example.com, path /v1/", []string{"canary: the header X-Canary has another value than yes"}},
		{"GET http://api.example.com/v1/ X-Canary=yes", "canary: host api.example.com, path /v1/, header X-Canary; before route \"api\": it has more attributes",
			[]string{"api: it matches, and comes later: the other has more attributes"}},
		{"GET http://api.example.com/v1", ": none of 7 routes matches", []string{"api: the path /v1 lacks the slash at the end of /v1/"}},
		{"GET http://api.exampel.com/v1/x", ": none of 7 routes matches", []string{`api: the host is "api.exampel.com", not "api.example.com"`}},
		{"GET http://www.example.com/about/", ": none of 7 routes matches", []string{"exact: the path /about/ has a slash at the end, which ~/about$ does not allow"}},
		{"GET http://www.example.com/About", ": none of 7 routes matches", []string{"exact: the path /About differs from ~/about$ in capital letters"}},
		{"GET http://admin.example.com/", ": none of 7 routes matches", []string{"port: the port is 80, not 8444"}},
		{"GET http://other/nothing", ": none of 7 routes matches", nil},
	} {
		e := r.Explain(request(t, tt.request))
		name := ""
		if e.Route != nil {
			name = e.Route.Name
		}
		if got := name + ": " + e.Reason; got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.request, got, tt.want)
		}
		var near []string
		for _, n := range e.Near {
			near = append(near, n.Route.Name+": "+n.Reason)
		}
		for _, want := range tt.near {
			if !strings.Contains(strings.Join(near, "\n"), want) {
				t.Errorf("%s: near are\n%s\nwant %s", tt.request, strings.Join(near, "\n"), want)
			}
		}
		if tt.near == nil && near != nil {
			t.Errorf("%s: near are %q, want none", tt.request, near)
		}
	}
	if e := r.Explain(request(t, "GET http://secure.example.com/")); e.Redirect != 426 {
		t.Errorf("Redirect = %d, want 426", e.Redirect)
	}
}
