package jwt_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/jwt"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// request asks the plugin alone, again and again.
func request(t testing.TB) (ask func()) {
	registry := plugin.NewRegistry(jwt.Kind())
	c, problems := plugintest.Compile(registry, config("claims_to_verify: [exp]", "  keyauth_credentials: [{key: other}]\n"))
	if c == nil {
		t.Fatal(problems)
		return nil
	}
	plan, problems := registry.Build(c, plugin.Environment{})
	if plan == nil {
		t.Fatal(problems)
		return nil
	}
	var chain proxy.Chain
	plan.Attach(c.Routes[0], &chain)
	token := bearer(hs256(secret, claims{"iss": "issuer", "exp": now + 60, "sub": "0123456789", "scope": "read:weather write:weather"}))
	fields := new(h1.Fields)
	x := &proxy.Exchange{Start: plugintest.Start, Client: netip.MustParseAddr("127.0.0.1")}
	return func() {
		fields.Reset()
		fields.Add("User-Agent", "test")
		fields.Add("Accept", "*/*")
		fields.Add("Authorization", token[len("Authorization: "):])
		x.Request = proxy.Request{Method: http.MethodGet, Path: "/", Fields: fields}
		x.Consumer, x.Credential = nil, nil
		if chain.Access[0].Access(x); x.Consumer == nil {
			t.Fatal("refused")
		}
	}
}

func BenchmarkAccess(b *testing.B) {
	ask := request(b)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

func TestKnownTokenAllocatesNothing(t *testing.T) { // not parallel: it counts
	if n := testing.AllocsPerRun(100, request(t)); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	if kept := jwt.NewCache().Fill(2 * jwt.MaxKept); kept > jwt.MaxKept || kept < jwt.MaxKept/2 {
		t.Errorf("%d tokens are kept, at most %d should be", kept, jwt.MaxKept)
	}
}
