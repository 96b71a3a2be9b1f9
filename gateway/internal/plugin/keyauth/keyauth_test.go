package keyauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/keyauth"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

func config(settings string) string {
	return `
routes:
- name: it
  paths: [/]
  plugins: [{name: key-auth, config: {` + settings + `}}]
consumers:
- {username: ann, keyauth_credentials: [{key: secret-1}]}
- {username: bob, keyauth_credentials: [{key: secret-2}]}
- {username: nobody, keyauth_credentials: [{key: secret-3}]}
`
}

func newGateway(t *testing.T, settings string) *plugintest.Gateway {
	t.Helper()
	return plugintest.New(t, plugin.NewRegistry(keyauth.Kind()), config(settings))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		settings, request string
		fields            []string
		consumer, message string // one of them
	}{
		{"", "GET /", []string{"apikey: secret-1"}, "ann", ""},
		{"", "GET /", []string{"ApiKey: secret-1"}, "ann", ""},
		{"", "GET /?apikey=secret%2D1", nil, "ann", ""},
		{"", "GET /", nil, "", "No API key found in request"},
		{"", "GET /", []string{"apikey: "}, "", "No API key found in request"},
		{"", "GET /", []string{"apikey: wrong"}, "", "Unauthorized"},
		{"", "GET /", []string{"apikey: secret-1", "apikey: secret-1"}, "", "Duplicate API key found"},
		{"", "GET /?apikey=a&apikey=b", nil, "", "Duplicate API key found"},
		{"key_names: [x-key, apikey]", "GET /?apikey=secret-1", []string{"X-Key: wrong"}, "", "Unauthorized"},
		{"key_in_header: false", "GET /", []string{"apikey: secret-1"}, "", "No API key found in request"},
		{"key_in_query: false", "GET /?apikey=secret-1", nil, "", "No API key found in request"},
		{"", "OPTIONS /", nil, "", "No API key found in request"},
		{"anonymous: nobody", "GET /", nil, "nobody", ""},
		{"anonymous: nobody", "GET /", []string{"apikey: secret-1"}, "ann", ""},
	} {
		r := newGateway(t, tt.settings).Do(tt.request, tt.fields...)
		if tt.consumer != "" {
			if r.Consumer != tt.consumer || r.Upstream == nil {
				t.Errorf("%+v: answered %d, consumer %q %v", tt, r.Status, r.Consumer, r.Notes)
			}
			continue
		}
		if r.Status != 401 || !strings.Contains(r.Body, `"message":"`+tt.message+`"`) || r.Header.Get("WWW-Authenticate") != "Key" || r.Upstream != nil {
			t.Errorf("%+v: answered %d %s %q", tt, r.Status, r.Body, r.Header.Get("WWW-Authenticate"))
		}
		for _, n := range r.Notes {
			if strings.Contains(n, "secret-") {
				t.Errorf("the reason has the key: %s", n)
			}
		}
	}
	if r := newGateway(t, "run_on_preflight: false").Do("OPTIONS /"); r.Status != 200 {
		t.Errorf("answered %d", r.Status)
	}
	if r := newGateway(t, "realm: here").Do("GET /"); r.Header.Get("WWW-Authenticate") != `Key realm="here"` {
		t.Errorf("WWW-Authenticate is %q", r.Header.Get("WWW-Authenticate"))
	}
}

func TestHideCredentials(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "hide_credentials: true")
	r := g.Do("GET /?a=1&apikey=x&b", "apikey: secret-1")
	if r.Upstream == nil || r.Upstream.Header.Get("apikey") != "" || r.Upstream.URL.RawQuery != "a=1&b" || r.Upstream.Header.Get("X-Consumer-Username") != "ann" {
		t.Errorf("the upstream was asked %+v", r.Upstream)
	}
	if r := newGateway(t, "").Do("GET /?apikey=secret-1"); r.Upstream.URL.RawQuery != "apikey=secret-1" {
		t.Errorf("the upstream was asked %v", r.Upstream.URL)
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(keyauth.Kind())
	c, problems := plugintest.Compile(registry, config(""))
	if c == nil {
		t.Fatal(problems)
	}
	ttl := 60
	c.KeyAuth("secret-2").TTL = &ttl
	c.KeyAuth("secret-2").CreatedAt = plugintest.Start.Unix()
	plan, problems := registry.Build(c, plugin.Environment{})
	if plan == nil {
		t.Fatal(problems)
	}
	var chain proxy.Chain
	plan.Attach(c.Routes[0], &chain)
	for age, refused := range map[time.Duration]bool{59 * time.Second: false, 60 * time.Second: true} {
		x := &proxy.Exchange{Start: plugintest.Start.Add(age)}
		x.Request = proxy.Request{Method: "GET", Fields: new(h1.Fields)}
		x.Request.Fields.Add("apikey", "secret-2")
		if chain.Access[0].Access(x); x.Answered() != refused {
			t.Errorf("after %v refused is %v", age, x.Answered())
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(keyauth.Kind())
	for settings, want := range map[string]string{
		"key_in_body: true":  "config.key_in_body: is not supported: keys are looked for in headers and in the query alone",
		"key_names: [a b]":   `config.key_names[0]: "a b" is no name of a header`,
		"key_name: [apikey]": `config.key_name: there is no such setting; did you mean "key_names"?`,
	} {
		if problems := plugintest.Problems(registry, config(settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
}
