package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/gateway"
)

// What a client says of itself gets to no upstream, which may be that of a route with a plugin that says who is asking as well. A
// trusted proxy passes what clients send.
func TestIdentityIsNotTheClients(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = r.Header.Clone()
	}))
	t.Cleanup(upstream.Close)
	declaration := `
_format_version: "3.0"
services:
- name: it
  url: ` + upstream.URL + `
  routes:
  - name: open
    paths: [/open]
  - name: groups
    paths: [/groups]
    plugins: [{name: cors}]
`
	forged := []string{"X-Consumer-Username: root", "x_consumer_custom_id: 1", "X-Consumer-Groups: admins", "X-Anonymous-Consumer: true", "X-CREDENTIAL-IDENTIFIER: 1"}
	for _, trusted := range []bool{false, true} {
		g := start(t, declaration, func(o *gateway.Options) {
			if trusted {
				o.TrustedProxies = []string{"127.0.0.0/8"}
			}
		})
		for _, path := range []string{"/open", "/groups"} {
			if status, _, body := g.get(path, forged...); status != http.StatusOK {
				t.Fatalf("answered %d %s", status, body)
			}
			mu.Lock()
			for _, field := range forged {
				name, _, _ := strings.Cut(field, ": ")
				if seen.Values(name) != nil {
					t.Errorf("trusted %t, %s: the upstream was sent %s", trusted, path, name)
				}
			}
			mu.Unlock()
		}
	}
}

// A service that is switched off is not there, nor are its routes.
func TestServiceThatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	g := start(t, `
_format_version: "3.0"
services:
- name: off
  enabled: false
  url: `+upstream.URL+`
  routes:
  - name: off
    paths: [/a/off]
- name: on
  url: `+upstream.URL+`
  routes:
  - name: on
    paths: [/a]
- name: alone
  enabled: false
  url: `+upstream.URL+`
  routes:
  - name: alone
    paths: [/sole]
`)
	if status, _, body := g.get("/sole"); status != http.StatusNotFound || !strings.Contains(body, "no Route matched") {
		t.Errorf("answered %d %s", status, body)
	}
	if status, _, _ := g.get("/a/off"); status != http.StatusOK {
		t.Errorf("answered %d, want the answer of the other route", status)
	}
	report, err := g.Explain(t.Context(), gateway.Question{URL: g.base + "/sole"})
	if err != nil || report.Route != nil || !strings.Contains(report.String(), "enabled: false") {
		t.Errorf("%v, %v", report, err)
	}
}

// A path that is another one to the upstream than to the router is refused: it may lead past what a route's plugins decide.
func TestDisguisedPaths(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the upstream was asked for %s", r.RequestURI) }))
	t.Cleanup(upstream.Close)
	g := start(t, `
_format_version: "3.0"
services:
- name: it
  url: `+upstream.URL+`
  routes:
  - {name: open, paths: [/], strip_path: false}
  - {name: admin, paths: [/admin], plugins: [{name: key-auth}]}
`)
	for _, path := range []string{"/x/..%2fadmin", "/x/..;/admin", "/x/%2e%2e%2Fadmin", "/x/..%5cadmin", "/x%2f..%2fadmin"} {
		if status, _, body := g.get(path); status != http.StatusBadRequest {
			t.Errorf("%s: answered %d %s", path, status, body)
		}
	}
}
