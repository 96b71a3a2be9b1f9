package canary_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/canary"
	"github.com/perdure/perdure/gateway/internal/plugin/keyauth"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

func registry() *plugin.Registry { return plugin.NewRegistry(canary.Kind(), keyauth.Kind()) }

// file is a gateway with an old and a new service, and a canary with settings.
func file(settings string) string {
	return `
services:
- {name: old, host: old.test, path: /v1, routes: [{name: r, paths: [/shop], strip_path: true}]}
- {name: new, host: new.test, path: /v2}
consumers:
- {username: anna, keyauth_credentials: [{key: anna}], acls: [{group: beta}]}
- {username: bert, keyauth_credentials: [{key: bert}], acls: [{group: staff}]}
plugins:
- {name: canary, service: old, config: {` + settings + `}}
`
}

// shares counts where n requests go, each from another address.
func shares(g *plugintest.Gateway, n int, fields ...string) map[string]int {
	m := map[string]int{}
	for i := range n {
		m[g.Do("GET /shop/1", append(fields, fmt.Sprintf("X-Forwarded-For: 10.0.%d.%d", i/256, i%256))...).Service]++
	}
	return m
}

func TestPercentage(t *testing.T) {
	t.Parallel()
	const n = 100
	for _, c := range []struct {
		hash              string
		percentage, slack float64
	}{
		{"none", 0, 0}, {"none", 20, 2}, {"consumer", 20, 12}, {"ip", 20, 12}, {"ip", 100, 0},
	} {
		g := plugintest.New(t, registry(), file(fmt.Sprintf("service: new, hash: %s, percentage: %v", c.hash, c.percentage)))
		if got := shares(g, n); math.Abs(float64(got["new"])-c.percentage) > c.slack || got["new"]+got["old"] != n {
			t.Errorf("hash %s: %v%% are %v of %d", c.hash, c.percentage, got, n)
		}
	}
}

// The same client has the same side, and once it has gone over it stays there while the part grows.
func TestPartGrows(t *testing.T) {
	t.Parallel()
	start := plugintest.Start.Add(time.Minute).Unix()
	g := plugintest.New(t, registry(), file(fmt.Sprintf("service: new, hash: ip, start: %d, duration: 100, steps: 100", start)))
	before := map[string]bool{}
	for second := 0; second <= 160; second += 20 {
		over := 0
		for i := range 30 {
			ip := fmt.Sprintf("10.0.0.%d", i)
			r := g.Do("GET /shop", "X-Forwarded-For: "+ip)
			if before[ip] && r.Service != "new" {
				t.Fatalf("%s was on the new side, and is back after %d s: %v", ip, second, r.Notes)
			}
			before[ip] = r.Service == "new"
			if before[ip] {
				over++
			}
		}
		if want := 30 * min(max(second-60, 0), 100) / 100; math.Abs(float64(over-want)) > 10 || want == 0 && over > 0 || want == 30 && over < 30 {
			t.Errorf("after %d s %d of 30 are on the new side", second, over)
		}
		g.Clock.Advance(20 * time.Second)
	}
}

// Without a start it begins when it is declared, and a reload does not begin it anew.
func TestStartIsKept(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, registry(), file("service: new, duration: 100"))
	if got := shares(g, 10); got["new"] != 0 {
		t.Errorf("at first it is %v", got)
	}
	g.Clock.Advance(100 * time.Second)
	g.Load(file("service: new, duration: 100, steps: 10"))
	if got := shares(g, 10); got["old"] != 0 {
		t.Errorf("in the end it is %v", got)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	settings := "service: new, canary_by_header_name: X-Canary, canary_by_cookie_name: canary, percentage: "
	for _, c := range []struct{ percentage, field, want, note string }{
		{"0", "X-Canary: always", "new", "so says the header X-Canary"}, {"100", "X-Canary: never", "old", "so says the header X-Canary"},
		{"0", "Cookie: a=b; canary=always", "new", "so says the cookie canary"}, {"100", "Cookie: canary=never", "old", "so says the cookie canary"},
		{"100", "X-Canary: maybe", "new", "by address it is in step"}, {"0", "Cookie: canary=", "old", "0% of them are the canary's"},
	} {
		g := plugintest.New(t, registry(), file(settings+c.percentage))
		if r := g.Do("GET /shop", c.field); r.Service != c.want || !r.Noted(c.note) {
			t.Errorf("%s at %s%%: %s, %q", c.field, c.percentage, r.Service, r.Notes)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for hash, want := range map[string][3]string{"allow": {"new", "old", "old"}, "deny": {"old", "new", "new"}} {
		declared := file("service: new, groups: [beta], hash: " + hash)
		g := plugintest.New(t, registry(), declared)
		if r := g.Do("GET /shop"); r.Service != "old" || !r.Noted("nobody is known") {
			t.Errorf("%s: somebody unknown goes to %s: %q", hash, r.Service, r.Notes)
		}
		g.Load(strings.Replace(declared, "consumers:\n", "consumers:\n- {username: nobody}\n", 1) + "- {name: key-auth, service: old, config: {anonymous: nobody}}\n")
		for i, key := range []string{"anna", "bert", "none"} {
			if r := g.Do("GET /shop", "apikey: "+key); r.Service != want[i] {
				t.Errorf("%s: %q goes to %s, want %s: %q", hash, key, r.Service, want[i], r.Notes)
			}
		}
	}
}

// Where it goes, there the path is that of the service, and the host too.
func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ settings, request, want, service string }{
		{"service: new", "GET /shop/1?a=b", "new.test/v2/1?a=b", "new"},
		{"service: new", "GET /shop", "new.test/v2", "new"},
		{"upstream_host: other.test", "GET /shop/1", "other.test/v1/1", "old.canary"},
		{"upstream_host: other.test, upstream_port: 8080", "GET /shop/1", "other.test:8080/v1/1", "old.canary"},
		{"upstream_port: 81", "GET /shop/1", "old.test:81/v1/1", "old.canary"},
		{"upstream_uri: /v3/", "GET /shop/1", "old.test/v3/1", "old.canary"},
		{"upstream_uri: /", "GET /shop/1", "old.test/1", "old.canary"},
		{"upstream_uri: /", "GET /shop", "old.test/", "old.canary"},
		{"upstream_uri: /a b", "GET /shop/%20", "old.test/a%20b/%20", "old.canary"},
	} {
		g := plugintest.New(t, registry(), file(c.settings+", percentage: 100"))
		r := g.Do(c.request)
		if r.Upstream == nil || r.Upstream.Host+r.Upstream.URL.RequestURI() != c.want || r.Service != c.service {
			t.Errorf("%s, %s: asked was %v, service %s; want %s", c.settings, c.request, r.Upstream, r.Service, c.want)
		}
	}
}

// A client keeps its side by its cookie, whatever its address.
func TestSticky(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, registry(), file("service: new, percentage: 50, sticky: release"))
	seen := map[string]int{}
	for range 40 {
		first := g.Do("GET /shop")
		set := first.Header.Get("Set-Cookie")
		value, attributes, _ := strings.Cut(set, ";")
		if !strings.HasPrefix(value, "release=") || attributes != " Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax" {
			t.Fatalf("the cookie is %q", set)
		}
		seen[first.Service]++
		for i := range 3 {
			again := g.Do("GET /shop", "Cookie: "+value, fmt.Sprintf("X-Forwarded-For: 10.0.0.%d", i))
			if again.Service != first.Service || again.Header.Get("Set-Cookie") != "" {
				t.Errorf("first it was %s, then %s with the cookie %q", first.Service, again.Service, again.Header.Get("Set-Cookie"))
			}
		}
	}
	if seen["new"] < 5 || seen["old"] < 5 {
		t.Errorf("clients are spread %v", seen)
	}
	g.Load(file("service: new, percentage: 0, sticky: release"))
	if r := g.Do("GET /shop"); r.Header.Get("Set-Cookie") != "" {
		t.Error("a cookie is set, though all go the same way")
	}
}

// While the canary has no healthy server, upstream_fallback sends its requests to the old service, as they would have been.
func TestFallback(t *testing.T) {
	t.Parallel()
	more := "upstreams: [{name: pool, targets: []}]\n"
	g := plugintest.New(t, registry(), file("upstream_host: pool, upstream_uri: /v3, percentage: 100")+more)
	if r := g.Do("GET /shop/1"); r.Status != http.StatusServiceUnavailable {
		t.Errorf("without the fallback it is %d", r.Status)
	}
	g.Load(file("upstream_host: pool, upstream_uri: /v3, percentage: 100, upstream_fallback: true") + more)
	r := g.Do("GET /shop/1")
	if r.Status != http.StatusOK || r.Service != "old" || r.Upstream.Host+r.Upstream.URL.Path != "old.test/v1/1" || !r.Noted("goes to the old service after all") {
		t.Errorf("it is %d, from %s, %q", r.Status, r.Service, r.Notes)
	}
	g.Load(file("upstream_host: pool, upstream_uri: /v3, percentage: 100, upstream_fallback: true") + strings.Replace(more, "[]", "[{target: \"10.0.0.1:80\"}]", 1))
	if r := g.Do("GET /shop/1"); r.Service != "old.canary" || r.Upstream.Host+r.Upstream.URL.Path != "10.0.0.1/v3/1" {
		t.Errorf("with a server it is %s, %q", r.Service, r.Notes)
	}
}

// What the canary answers counts for its servers' health, also where there is a fallback.
func TestFallbackKnowsHealth(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, registry(), file("upstream_host: pool, percentage: 100, upstream_fallback: true")+
		"upstreams: [{name: pool, targets: [{target: \"10.0.0.1:80\"}], healthchecks: {passive: {unhealthy: {http_failures: 2, http_statuses: [500]}}}}]\n")
	g.Upstream = func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "10.0.0.1" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	for i, want := range []int{500, 500, 200, 200} {
		if r := g.Do("GET /shop"); r.Status != want {
			t.Errorf("request %d is answered with %d, want %d: %q", i, r.Status, want, r.Notes)
		}
	}
	g.Upstream = nil
	g.Clock.Advance(10 * time.Second)
	for i, want := range []string{"old.canary", "old.canary"} { // on trial, and then healthy
		if r := g.Do("GET /shop"); r.Service != want {
			t.Errorf("request %d goes to %s, want %s: %q", i, r.Service, want, r.Notes)
		}
	}
}

// Too many errors, and everything goes to the old service for a while, which doubles if it happens again.
func TestBackoff(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	settings := "service: new, percentage: 100, max_error_rate: 20, window: 30, pause: 10, canary_by_header_name: X-Canary"
	g := plugintest.New(t, registry(), file(settings))
	g.Log = slog.New(slog.NewTextHandler(&log, nil))
	g.Load(file(settings))
	ill := true
	g.Upstream = func(w http.ResponseWriter, r *http.Request) {
		if ill && r.Host == "new.test" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	ask := func(n int, want string) {
		t.Helper()
		for i := range n {
			if r := g.Do("GET /shop"); r.Service != want {
				t.Fatalf("request %d goes to %s: %q", i, r.Service, r.Notes)
			}
		}
	}
	ill = false
	ask(30, "new")
	ill = true
	ask(7, "new") // 7 of 37 are less than 20%
	ask(1, "new") // 8 of 38 are more
	ask(3, "old")
	if !strings.Contains(log.String(), `msg="canary has a pause" plugin=canary service=new why="8 of the last 38 answers of the canary were errors, and max_error_rate is 20%"`) {
		t.Errorf("the log is %s", log.String())
	}
	if r := g.Do("GET /shop", "X-Canary: always"); r.Service != "old" || !r.Noted("goes to the old service, old, until 10:30:50: 8 of the last 38 answers") {
		t.Errorf("it goes to %s: %q", r.Service, r.Notes)
	}
	g.Load(file(settings)) // forgets nothing
	ask(1, "old")
	for _, pause := range []time.Duration{10, 20, 40} {
		g.Clock.Advance(pause*time.Second - time.Millisecond)
		ask(1, "old")
		g.Clock.Advance(time.Millisecond)
		ask(5, "new")
		ask(1, "old")
	}
	ill = false
	g.Clock.Advance(80 * time.Second)
	ask(10, "new")
	g.Clock.Advance(5 * time.Minute) // it was well for long: the next pause is short again
	ill = true
	ask(5, "new")
	ask(1, "old")
	g.Clock.Advance(10 * time.Second)
	ask(1, "new")
}

// A canary that is not there is as bad as one that fails.
func TestBackoffWithoutServer(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, registry(), file("upstream_host: pool, percentage: 100, max_error_rate: 50")+"upstreams: [{name: pool, targets: []}]\n")
	for range 5 {
		if r := g.Do("GET /shop"); r.Status != http.StatusServiceUnavailable {
			t.Fatalf("it is %d", r.Status)
		}
	}
	if r := g.Do("GET /shop"); r.Status != http.StatusOK || r.Service != "old" {
		t.Errorf("it is %d from %s", r.Status, r.Service)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"percentage: 10":                                       "kong.yml:10: error: plugin \"canary\": config: does not say where the canary is: set service",
		"service: new, upstream_host: a":                       "config.service: cannot stand beside upstream_host",
		"upstream_host: a, percentage: 101":                    "config.percentage: 101 is not between 0 and 100",
		"upstream_host: a, hash: header":                       "config.hash_header: is missing",
		"upstream_host: a, hash: allow":                        "config.groups: is missing",
		"upstream_host: a, groups: [b]":                        "warning: plugin \"canary\": config.groups: has no effect with hash: consumer",
		"upstream_host: a, hash: deny, groups: [b], sticky: c": "config.sticky: cannot stand beside hash: deny",
		"upstream_host: a, percentage: 1, start: 5":            "warning: plugin \"canary\": config.start: has no effect beside percentage",
		"upstream_host: a, percentage: 0.05":                   "warning: plugin \"canary\": config.percentage: 0.05% is less than one of 1000 steps",
		"upstream_host: a, max_error_rate: 0.05":               "warning: plugin \"canary\": config.max_error_rate: is a percentage: 0.05 is 0.05 of a hundred answers; is 5 meant?",
		"upstream_host: a, sticky: \"a b\"":                    "config.sticky: \"a b\" is no name of a cookie",
		"upstream_uri: v1":                                     "config.upstream_uri: is no path",
		"upstream_host: a, steps: 1":                           "config.steps: 1 is not greater than 1",
		"upstream_host: a, percentige: 1":                      "did you mean \"percentage\"",
	} {
		if got := plugintest.Problems(registry(), file(settings)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", settings, got, want)
		}
	}
	for settings, want := range map[string]string{
		"service: newe": `config: service: there is no service "newe"; did you mean "new"?`, "service: old": `config: service: "old" is where the requests go already`,
		"upstream_host: app.perdure.internal": "config: upstream_host: for the app in this process, declare a service",
	} {
		config, problems := plugintest.Compile(registry(), file(settings))
		if config == nil {
			t.Fatal(problems)
		}
		if _, problems = registry().Build(config, plugin.Environment{}); !strings.Contains(fmt.Sprint(problems), want) {
			t.Errorf("%s: %v, want %s", settings, problems, want)
		}
	}
}
