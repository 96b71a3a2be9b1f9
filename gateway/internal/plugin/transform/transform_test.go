package transform_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/plugin/transform"
)

func registry() *plugin.Registry {
	return plugin.NewRegistry(transform.Request(), transform.Response())
}

func config(name, settings string) string {
	return `
routes:
- name: it
  strip_path: false
  paths: ["~/users/(?<id>[^/]+)/(\\w+)", /]
  plugins: [{name: ` + name + `, config: {` + settings + `}}]
`
}

func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		settings string
		fields   []string
		want     map[string]string // "" is none
	}{
		{"remove: {headers: [x-a]}", []string{"X-A: 1", "X-A: 2", "X-B: 3"}, map[string]string{"X-A": "", "X-B": "3"}},
		{"rename: {headers: ['x-a:X-B']}", []string{"X-A: 1", "X-A: 2", "X-B: 3"}, map[string]string{"X-A": "", "X-B": "1+2"}},
		{"rename: {headers: ['x-a:X-B']}", []string{"X-B: 3"}, map[string]string{"X-B": "3"}},
		{"replace: {headers: ['x-a:9', 'x-c:9']}", []string{"X-A: 1", "X-A: 2"}, map[string]string{"X-A": "9", "X-C": ""}},
		{"add: {headers: ['x-a:9', 'x-c:a:b']}", []string{"X-A: 1"}, map[string]string{"X-A": "1", "X-C": "a:b"}},
		{"append: {headers: ['x-a:9', 'x-c:9']}", []string{"X-A: 1"}, map[string]string{"X-A": "1+9", "X-C": "9"}},
		// The actions have their order.
		{"remove: {headers: [x-a]}, add: {headers: ['x-a:new']}, append: {headers: ['x-a:more']}", []string{"X-A: 1"}, map[string]string{"X-A": "new+more"}},
		{"add: {headers: ['x-t:$(headers.x_a)-$(headers[\"X-A\"])-$(query_params.q)-$(query_params[\"none\"] or headers[\"none\"] or \"default\")']}", []string{"X-A: 1"},
			map[string]string{"X-T": "1-1-what is it-default"}},
		{"add: {headers: ['x-t:$(uri_captures[1])/$(uri_captures.id)/$(uri_captures[\"2\"])/$(uri_captures[3])']}", nil, map[string]string{"X-T": "42/42/posts/"}},
		// What comes from a request ends no line.
		{"add: {headers: ['x-t:$(query_params.evil)']}", nil, map[string]string{"X-T": "a  X-Evil: 1", "X-Evil": ""}},
		{"add: {headers: ['host:evil']}, append: {headers: ['Host:evil']}, remove: {headers: [host]}", nil, map[string]string{"X-Evil": ""}},
	} {
		g := plugintest.New(t, registry(), config("request-transformer", tt.settings))
		r := g.Do("GET /users/42/posts?q=what+is+it&evil=a%0d%0aX-Evil:%201", tt.fields...)
		if r.Upstream == nil {
			t.Errorf("%s: answered %d %s", tt.settings, r.Status, r.Body)
			continue
		}
		for name, want := range tt.want {
			if got := strings.Join(r.Upstream.Header.Values(name), "+"); got != want {
				t.Errorf("%s: the upstream sees %s: %q, want %q", tt.settings, name, got, want)
			}
		}
		if strings.Contains(r.Upstream.Host, "evil") {
			t.Errorf("%s: the host is %s", tt.settings, r.Upstream.Host)
		}
	}
}

func TestQueryPathAndHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ settings, request, want string }{
		{"remove: {querystring: [a]}", "/?a=1&b=2&a=3", "/?b=2"},
		{"remove: {querystring: [a]}", "/?a=1", "/"},
		{"remove: {querystring: [a]}", "/?", "/?"},
		{"rename: {querystring: ['a:c']}", "/?a=%41&b=2&c=3&a", "/?c=%41&b=2&c="},
		{"replace: {querystring: ['a:x y']}", "/?a=1&b=2", "/?b=2&a=x+y"},
		{"replace: {querystring: ['a:x']}", "/?b=2", "/?b=2"},
		{"add: {querystring: ['a:x', 'b:x&y=z']}", "/?a=1", "/?a=1&b=x%26y%3Dz"},
		{"append: {querystring: ['a:$(uri_captures.id)']}", "/users/4%262/x?a=1", "/users/4%262/x?a=1&a=4%25262"},
		{"add: {headers: ['x:y']}", "/?a=%zz&b", "/?a=%zz&b"},
		{"replace: {uri: /people/$(uri_captures.id)}", "/users/42/posts?a=1", "/people/42?a=1"},
		{"replace: {uri: '$(uri_captures[1])'}", "/users/42/posts", "/42"},
		{"replace: {uri: '/files/$(query_params.f)'}", "/?f=../../etc%3fx%23y%20z", "/files/etc%3Fx%23y%20z?f=../../etc%3fx%23y%20z"},
		{"replace: {uri: '/files/$(query_params.f)/end'}", "/?f=..", "/files/end?f=.."},
		{"replace: {uri: '/files/.$(query_params.f)/end'}", "/?f=.", "/files/end?f=."},
		{"replace: {uri: '/files/$(query_params.f)'}", "/?f=a/%252e%252e/%252E./b%2f..%5c..", "/files/a/b/..%5C..?f=a/%252e%252e/%252E./b%2f..%5c.."},
		{"replace: {uri: '/files/$(query_params.f)'}", "/?f=//evil.test/", "/files/evil.test/?f=//evil.test/"},
		{"replace: {uri: '$(query_params.f)'}", "/?f=//evil.test", "/evil.test?f=//evil.test"},
	} {
		g := plugintest.New(t, registry(), config("request-transformer", tt.settings))
		r := g.Do("GET " + tt.request)
		if r.Upstream == nil || r.Upstream.RequestURI != tt.want {
			t.Errorf("%s %s: the upstream was asked %+v, want %s", tt.settings, tt.request, r.Upstream, tt.want)
		}
	}
	g := plugintest.New(t, registry(), config("request-transformer", "replace: {headers: ['host:$(query_params.h)']}"))
	if r := g.Do("GET /?h=other.test:80"); r.Upstream.Host != "other.test:80" {
		t.Errorf("the host is %s", r.Upstream.Host)
	}
	if r := g.Do("GET /?h=a%0d%0aX-Evil:%201"); !strings.HasPrefix(r.Upstream.Host, "127.0.0.1") || !r.Noted("is no host") {
		t.Errorf("the host is %s", r.Upstream.Host)
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, registry(), config("response-transformer",
		"remove: {headers: [x-a]}, rename: {headers: ['x-b:X-C']}, replace: {headers: ['x-d:new', 'x-none:new']}, add: {headers: ['x-e:$(headers.x)', 'x-d:no']}, append: {headers: ['x-f:2']}"))
	g.Upstream = func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{"X-A": "1", "X-B": "1", "X-D": "1", "X-F": "1"} {
			w.Header().Set(name, value)
		}
	}
	r := g.Do("GET /")
	for name, want := range map[string]string{"X-A": "", "X-B": "", "X-C": "1", "X-D": "new", "X-E": "$(headers.x)", "X-F": "1+2", "X-None": ""} {
		if got := strings.Join(r.Header.Values(name), "+"); got != want {
			t.Errorf("the client sees %s: %q, want %q", name, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"remove: {body: [a]}":                        "config.remove.body: is not supported: bodies pass as they are",
		"http_method: POST":                          "config.http_method: is not supported: the method passes as it is",
		"add: {headers: [x]}":                        `config.add.headers[0]: "x" has no value: it is written name:value`,
		"add: {headers: ['a b:c']}":                  `config.add.headers[0]: "a b" is no name of a header`,
		"add: {headers: ['Content-Length:5']}":       "config.add.headers[0]: is about a connection or the end of a message",
		"rename: {headers: ['a:Transfer-Encoding']}": "config.rename.headers[0]: is about a connection or the end of a message",
		"rename: {headers: ['a:b c']}":               `config.rename.headers[0]: "b c" is no name of a header`,
		"add: {querystring: ['a:$(os.exit())']}":     "config.add.querystring[0]: an expression is $(headers.NAME)",
		"add: {querystring: ['a:$(headers.x']}":      "config.add.querystring[0]: the expression ends at",
		"replace: {uri: '$(uri_captures[x])'}":       "config.replace.uri: an expression is",
		"replace: {url: /}":                          `config.replace.url: there is no such setting; did you mean "uri"?`,
	} {
		if problems := plugintest.Problems(registry(), config("request-transformer", settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
	if problems := plugintest.Problems(registry(), config("response-transformer", "add: {json: ['a:b']}")); !strings.Contains(problems, "config.add.json: is not supported") {
		t.Errorf("the problems are %s", problems)
	}
}
