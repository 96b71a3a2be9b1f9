package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/acl"
	"github.com/perdure/perdure/gateway/internal/plugin/oidc"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

// issuer is one with a discovery document and a key.
type issuer struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	fetched atomic.Int64
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	encode := base64.RawURLEncoding.EncodeToString
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.fetched.Add(1)
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"1","alg":"ES256","use":"sig","x":%q,"y":%q}]}`, encode(public[1:33]), encode(public[33:]))
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

type claims map[string]any

// token signs claims, with what an access token has.
func (i *issuer) token(t testing.TB, c claims) string {
	t.Helper()
	all := claims{"iss": i.URL, "aud": "api", "sub": "u-1", "exp": plugintest.Start.Add(time.Minute).Unix(), "iat": plugintest.Start.Unix(), "client_id": "app", "jti": "1"}
	for k, v := range c {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"1"}`)) + "." + encode(body)
	digest := sha256.Sum256([]byte(text))
	der, err := i.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	r, s := parts(der)
	return text + "." + encode(append(r, s...))
}

// parts splits a signature in ASN.1 into its numbers of 32 bytes.
func parts(der []byte) (r, s []byte) {
	n := int(der[3])
	pad := func(b []byte) []byte {
		for len(b) > 32 {
			b = b[1:]
		}
		return append(make([]byte, 32-len(b)), b...)
	}
	return pad(der[4 : 4+n]), pad(der[6+n:])
}

func config(i *issuer, settings string) string {
	return `
routes:
- name: it
  paths: [/]
  plugins:
  - name: openid-connect
    config: {issuer: "` + i.URL + `", ` + settings + `}
consumers:
- {username: ann, custom_id: c-1}
- {username: nobody}
`
}

func newGateway(t *testing.T, i *issuer, settings string) *plugintest.Gateway {
	t.Helper()
	return plugintest.New(t, plugin.NewRegistry(oidc.Kind()), config(i, settings))
}

func bearer(token string) string { return "Authorization: Bearer " + token }

func TestTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	other := newIssuer(t)
	now := plugintest.Start.Unix()
	const invalid, scope = `Bearer error="invalid_token"`, `Bearer error="insufficient_scope"`
	for _, tt := range []struct {
		settings  string
		fields    []string
		status    int
		challenge string
		reason    string
	}{
		{"audience_required: [api]", nil, 401, "Bearer", "there is no token"},
		{"audience_required: [api], realm: here", nil, 401, `Bearer realm="here"`, "there is no token"},
		{"audience_required: [api], realm: here", []string{bearer("x.y.z")}, 401, `Bearer realm="here", error="invalid_token"`, "openid-connect: "},
		{"audience_required: [api]", []string{bearer(i.token(t, nil))}, 200, "", "is good"},
		{"audience_required: [other, api]", []string{bearer(i.token(t, nil))}, 200, "", "is good"},
		{"audience_required: [other]", []string{bearer(i.token(t, nil))}, 401, invalid, "audience"},
		{"", []string{bearer(i.token(t, claims{"aud": "whatever"}))}, 200, "", "is good"},
		{"", []string{bearer(i.token(t, claims{"exp": now - 1}))}, 401, invalid, "expired"},
		{"leeway: 5", []string{bearer(i.token(t, claims{"exp": now - 1}))}, 200, "", "is good"},
		{"", []string{bearer(i.token(t, claims{"iss": i.URL + "/"}))}, 401, invalid, "issuer"},
		{"", []string{bearer(other.token(t, claims{"iss": i.URL}))}, 401, invalid, "signature"},
		{"", []string{bearer("a"), bearer("b")}, 401, `Bearer error="invalid_request"`, "openid-connect: "},
		{"scopes_required: [read write, admin]", []string{bearer(i.token(t, claims{"scope": "write read x"}))}, 200, "", "is good"},
		{"scopes_required: [read write, admin]", []string{bearer(i.token(t, claims{"scope": "admin"}))}, 200, "", "is good"},
		{"scopes_required: [read write, admin]", []string{bearer(i.token(t, claims{"scope": "read"}))}, 403, scope, "scope write"},
		{"scopes_required: [read], scopes_claim: [realm, scopes]", []string{bearer(i.token(t, claims{"realm": claims{"scopes": "read"}}))}, 200, "", "is good"},
		{"roles_required: [boss]", []string{bearer(i.token(t, claims{"roles": []string{"boss"}}))}, 200, "", "is good"},
		{"roles_required: [boss]", []string{bearer(i.token(t, nil))}, 403, scope, "role boss"},
		{"permissions_required: [read:weather]", []string{bearer(i.token(t, claims{"permissions": []string{"read:weather"}}))}, 200, "", "is good"},
		{"permissions_required: [read:weather]", []string{bearer(i.token(t, nil))}, 403, scope, "permission read:weather"},
		{"consumer_claim: [sub]", []string{bearer(i.token(t, nil))}, 403, "Bearer", `there is no consumer "u-1"`},
		{"anonymous: nobody", nil, 200, "", "goes on as the anonymous consumer"},
	} {
		r := newGateway(t, i, tt.settings).Do("GET /", tt.fields...)
		if r.Status != tt.status || r.Header.Get("WWW-Authenticate") != tt.challenge || !r.Noted(tt.reason) || (r.Upstream != nil) != (tt.status == 200) {
			t.Errorf("{%s}: answered %d %q %s %q, want %+v", tt.settings, r.Status, r.Header.Get("WWW-Authenticate"), r.Body, r.Notes, tt)
		}
		if want := map[int]string{401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`}[tt.status]; r.Body != want {
			t.Errorf("{%s}: answered %s, want %s", tt.settings, r.Body, want)
		}
	}
}

func TestWhoIsAsking(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGateway(t, i, "consumer_claim: [sub], consumer_by: [custom_id], upstream_headers_claims: [email, n], upstream_headers_names: [X-Email, X-N], hide_credentials: true")
	r := g.Do("GET /", bearer(i.token(t, claims{"sub": "c-1", "email": "a@b.test"})), "X-Email: forged", "X-N: forged", "X-Consumer-Username: forged")
	p, ok := r.Principal.(*auth.Principal)
	if r.Status != 200 || r.Consumer != "ann" || !ok || p.Subject != "c-1" || p.Issuer != i.URL {
		t.Fatalf("answered %d, consumer %q, principal %+v, %v", r.Status, r.Consumer, r.Principal, r.Notes)
	}
	for name, want := range map[string]string{"X-Email": "a@b.test", "X-N": "", "X-Consumer-Username": "ann", "X-Credential-Identifier": "c-1", "Authorization": ""} {
		if got := r.Upstream.Header.Get(name); got != want {
			t.Errorf("the upstream sees %s: %q, want %q", name, got, want)
		}
	}
	// Without a consumer.
	g = newGateway(t, i, "consumer_claim: [sub], consumer_optional: true")
	r = g.Do("GET /", bearer(i.token(t, nil)), "X-Consumer-Username: forged", "X-Anonymous-Consumer: true")
	if h := r.Upstream.Header; h.Get("X-Consumer-Username") != "" || h.Get("X-Anonymous-Consumer") != "" || h.Get("X-Credential-Identifier") != "u-1" {
		t.Errorf("the upstream sees %v", h)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	file := strings.Replace(config(i, "authenticated_groups_claim: [groups]"), "  plugins:\n", "  plugins:\n  - {name: acl, config: {allow: [staff]}}\n", 1)
	g := plugintest.New(t, plugin.NewRegistry(oidc.Kind(), acl.Kind()), file)
	if r := g.Do("GET /", bearer(i.token(t, claims{"groups": []string{"x", "staff"}}))); r.Status != 200 || r.Upstream.Header.Get("X-Authenticated-Groups") != "x, staff" {
		t.Errorf("answered %d %v", r.Status, r.Notes)
	}
	for _, c := range []claims{nil, {"groups": []string{"x"}}} {
		if r := g.Do("GET /", bearer(i.token(t, c))); r.Status != 403 || !strings.Contains(r.Body, "You cannot consume this service") {
			t.Errorf("answered %d %s", r.Status, r.Body)
		}
	}
}

// The keys are fetched once, and again for other settings alone; without them nobody is let in.
func TestKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGateway(t, i, "")
	for range 3 {
		if r := g.Do("GET /", bearer(i.token(t, nil))); r.Status != 200 {
			t.Errorf("answered %d", r.Status)
		}
		g.Load(config(i, ""))
	}
	if n := i.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	token := i.token(t, nil)
	i.Close()
	g.Load(config(i, "leeway: 1"))
	if r := g.Do("GET /", bearer(token)); r.Status != 503 || r.Upstream != nil || !r.Noted("the keys of the issuer cannot be had") {
		t.Errorf("answered %d %s %v", r.Status, r.Body, r.Notes)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for settings, want := range map[string]string{
		"":                               "config.audience_required: is empty: a token that the issuer made for another API is accepted here",
		"auth_methods: [password]":       "config.auth_methods[0]: is not supported: bearer alone is",
		"ssl_verify: false":              "config.ssl_verify: cannot be turned off",
		"upstream_headers_claims: [sub]": "config.upstream_headers_names: has another length",
		"algorithms: [HS256]":            `config.algorithms[0]: "HS256" is none of the values`,
		"audience_required: [a b]":       "several audiences in one entry are not supported",
	} {
		if problems := plugintest.Problems(plugin.NewRegistry(oidc.Kind()), config(i, settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
	registry := plugin.NewRegistry(oidc.Kind())
	c, problems := plugintest.Compile(registry, "plugins: [{name: openid-connect, config: {issuer: 'http://issuer.test'}}]")
	if c == nil {
		t.Fatal(problems)
	}
	if plan, problems := registry.Build(c, plugin.Environment{}); plan != nil || len(problems) != 1 {
		t.Errorf("keys without TLS: the problems are %v", problems)
	}
}
