package jwt_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/jwt"
	"github.com/perdure/perdure/gateway/internal/plugin/keyauth"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// Of several plugins with an anonymous consumer one that finds somebody is enough; without, each must.
func TestWithAnotherPlugin(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(jwt.Kind(), keyauth.Kind())
	file := func(settings string) string {
		return strings.Replace(config(settings, "  keyauth_credentials: [{key: k}]\n"), "    plugins:\n", "    plugins:\n    - {name: key-auth, config: {"+settings+"}}\n", 1)
	}
	token := bearer(hs256(secret, claims{"iss": "issuer"}))
	g := plugintest.New(t, registry, file("anonymous: nobody"))
	for want, fields := range map[string][]string{"ann": {token}, "nobody": nil} {
		r := g.Do("GET /", fields...)
		if r.Status != 200 || r.Consumer != want || r.Upstream.Header.Get("X-Consumer-Username") != want {
			t.Errorf("answered %d as %q %v", r.Status, r.Consumer, r.Notes)
		}
	}
	if r := g.Do("GET /", token); !r.Noted("key-auth: passed over: another plugin knows who is asking") {
		t.Errorf("noted %q", r.Notes)
	}
	if r := g.Do("GET /", "apikey: k"); r.Consumer != "nobody" || r.Upstream.Header.Get("X-Anonymous-Consumer") != "" {
		t.Errorf("the consumer is %q, %v", r.Consumer, r.Upstream.Header) // whose key it is
	}
	g = plugintest.New(t, registry, file(""))
	if r := g.Do("GET /", token); r.Status != 401 {
		t.Errorf("answered %d", r.Status)
	}
	if r := g.Do("GET /", token, "apikey: k"); r.Status != 200 {
		t.Errorf("answered %d", r.Status)
	}
}

// What the check of a configuration does not let pass is refused all the same.
func TestConsumersThatAreGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		change func(c *entity.Config)
		token  string
		status int
	}{
		{func(c *entity.Config) { c.Plugins[0].Config["anonymous"] = "gone" }, "", http.StatusInternalServerError},
		{func(c *entity.Config) { c.JWTs[0].Consumer.To = nil }, bearer(hs256(secret, claims{"iss": "issuer"})), http.StatusUnauthorized},
	} {
		registry := plugin.NewRegistry(jwt.Kind())
		c, problems := plugintest.Compile(registry, config("", "  keyauth_credentials: [{key: other}]\n"))
		if c == nil {
			t.Fatal(problems)
		}
		tt.change(c)
		plan, problems := registry.Build(c, plugin.Environment{})
		if plan == nil {
			t.Fatal(problems)
		}
		var chain proxy.Chain
		plan.Attach(c.Routes[0], &chain)
		x := &proxy.Exchange{Start: plugintest.Start}
		x.Request = proxy.Request{Method: http.MethodGet, Fields: new(h1.Fields)}
		if _, value, ok := strings.Cut(tt.token, ": "); ok {
			x.Request.Fields.Add("Authorization", value)
		}
		if chain.Access[0].Access(x); x.Response.Status != tt.status || x.Response.Fields.Has("WWW-Authenticate") || x.Consumer != nil {
			t.Errorf("answered %d %v", x.Response.Status, x.Notes)
		}
	}
}
