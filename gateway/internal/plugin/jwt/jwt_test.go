package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/jwt"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

// now is the time of the tests' clock.
var now = plugintest.Start.Unix()

type claims map[string]any

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// unsigned is the first two parts of a token.
func unsigned(alg string, header, c claims) string {
	h := claims{"alg": alg, "typ": "JWT"}
	for k, v := range header {
		h[k] = v
	}
	return encode(h) + "." + encode(c)
}

func hs(newHash func() hash.Hash, alg, secret string, c claims) string {
	text := unsigned(alg, nil, c)
	mac := hmac.New(newHash, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func hs256(secret string, c claims) string { return hs(sha256.New, "HS256", secret, c) }

const secret = "a secret of at least thirty-two bytes"

// config is a route with the plugin, and consumers with credentials.
func config(settings, more string) string {
	return `
services:
- name: it
  host: upstream.test
  routes:
  - name: it
    paths: [/]
    plugins:
    - name: jwt
      config: {` + settings + `}
consumers:
- username: ann
  custom_id: c-1
  jwt_secrets:
  - {key: issuer, secret: "` + secret + `"}
- username: nobody
` + more + `
`
}

func newGateway(t testing.TB, settings, more string) *plugintest.Gateway {
	t.Helper()
	if !strings.Contains(more, "nobody") && !strings.Contains(settings, "nobody") {
		more = "  keyauth_credentials: [{key: other}]\n" + more
	}
	return plugintest.New(t, plugin.NewRegistry(jwt.Kind()), config(settings, more))
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// refused checks an answer of 401.
func refused(t *testing.T, r *plugintest.Response, challenge, body string) {
	t.Helper()
	if r.Status != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") != challenge || r.Body != body || r.Upstream != nil {
		t.Errorf("answered %d, WWW-Authenticate %q, %s, reached the upstream %v; want 401, %q, %s; %v", r.Status, r.Header.Get("WWW-Authenticate"),
			r.Body, r.Upstream != nil, challenge, body, r.Notes)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if len(r.Notes) == 0 {
		t.Error("there is no reason")
	}
}

func accepted(t *testing.T, r *plugintest.Response) {
	t.Helper()
	if r.Status != http.StatusOK || r.Upstream == nil || r.Consumer != "ann" {
		t.Errorf("answered %d %s, consumer %q; %v", r.Status, r.Body, r.Consumer, r.Notes)
	}
}

const invalid = `Bearer error="invalid_token"`

func message(m string) string { return `{"message":"` + m + `"}` }

func TestWithoutToken(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "", "")
	for _, fields := range [][]string{nil, {"Authorization: Basic abc"}, {"Authorization: Bearer"}, {"Authorization: BEARER x"}} {
		refused(t, g.Do("GET /", fields...), "Bearer", message("Unauthorized"))
	}
	refused(t, newGateway(t, "realm: here", "").Do("GET /"), `Bearer realm="here"`, message("Unauthorized"))
}

func TestTokenSources(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "cookie_names: [session], header_names: [authorization, x-token]", "")
	good, other := hs256(secret, claims{"iss": "issuer"}), hs256(secret, claims{"iss": "issuer", "n": 1})
	accepted(t, g.Do("GET /", bearer(good)))
	accepted(t, g.Do("GET /", "Authorization: bearer "+good))
	accepted(t, g.Do("GET /?a=b&jwt="+good))
	accepted(t, g.Do("GET /", "Cookie: a=b; session="+good))
	accepted(t, g.Do("GET /", "X-Token: Bearer "+good))
	// The same token several times is one token.
	accepted(t, g.Do("GET /?jwt="+good+"&jwt="+good, bearer(good), "Cookie: session="+good))
	several := message("Multiple tokens provided")
	refused(t, g.Do("GET /", bearer(good), bearer(other)), invalid, several) // in Kong the first one counts
	refused(t, g.Do("GET /?jwt="+other, bearer(good)), invalid, several)
	refused(t, g.Do("GET /?jwt="+other+"&jwt="+good), invalid, several)
	refused(t, newGateway(t, "realm: here", "").Do("GET /?jwt=a&jwt=b"), `Bearer realm="here", error="invalid_token"`, several)
	// The query's parameter has another name, or none.
	refused(t, newGateway(t, "uri_param_names: []", "").Do("GET /?jwt="+good), "Bearer", message("Unauthorized"))
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "", "")
	good := hs256(secret, claims{"iss": "issuer"})
	parts := strings.Split(good, ".")
	raw := base64.RawURLEncoding.EncodeToString
	for token, want := range map[string]string{
		"a":                                      "Bad token; invalid JSON",
		"a.b.c":                                  "Bad token; invalid JSON",
		parts[0] + "." + parts[1]:                "Bad token; invalid JSON",
		raw([]byte("{}")) + "." + parts[1] + ".": "Bad token; invalid alg",
		raw([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".":                             "Bad token; invalid alg",
		raw([]byte(`{"alg":1}`)) + "." + parts[1] + ".":                                  "Bad token; invalid alg",
		raw([]byte(`{"alg":"HS256","crit":["b64"],"b64":false}`)) + "." + parts[1] + ".": "Bad token; invalid crit",
		parts[0] + "." + raw([]byte("null")) + ".":                                       "Bad token; invalid claims",
		parts[0] + "." + raw([]byte(`{"iss":"issuer"} x`)) + ".":                         "Bad token; invalid JSON",
		parts[0] + "." + parts[1] + ".$$":                                                "Bad token; invalid signature",
		parts[0] + "." + parts[1] + ".":                                                  "Invalid signature",
		parts[0] + "." + parts[1] + "." + parts[2][1:]:                                   "Bad token; invalid signature",
		hs256(secret, claims{"sub": "x"}):                                                "No mandatory 'iss' in claims",
		hs256(secret, claims{"iss": ""}):                                                 "Invalid 'iss' in claims",
		hs256(secret, claims{"iss": "stranger"}):                                         "No credentials found for given 'iss'",
		hs256(secret, claims{"iss": 5}):                                                  "No credentials found for given 'iss'",
		hs(sha512.New, "HS512", secret, claims{"iss": "issuer"}):                         "Invalid algorithm",
		hs256(secret+"!", claims{"iss": "issuer"}):                                       "Invalid signature",
	} {
		r := g.Do("GET /", bearer(token))
		if strings.HasSuffix(token, parts[2][1:]) && r.Body == message("Invalid signature") {
			want = "Invalid signature" // the base64 happens to be good
		}
		refused(t, r, invalid, message(want))
	}
}

func TestKeyClaim(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "key_claim_name: kid", "")
	accepted(t, g.Do("GET /", bearer(hs256(secret, claims{"kid": "issuer"}))))
	// If it is not among the claims, it is in the header.
	text := unsigned("HS256", claims{"kid": "issuer"}, claims{"iss": "x"})
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	accepted(t, g.Do("GET /", bearer(text+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))))
	refused(t, g.Do("GET /", bearer(hs256(secret, claims{"iss": "issuer"}))), invalid, message("No mandatory 'kid' in claims"))
}

func TestClaimsToVerify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		settings string
		claims   claims
		want     string // "" is accepted
	}{
		{"", claims{"exp": now - 1000}, ""}, // as Kong does; the check warns
		{"claims_to_verify: [exp]", claims{"exp": now + 1}, ""},
		{"claims_to_verify: [exp]", claims{"exp": now}, `{"exp":"token expired"}`},
		{"claims_to_verify: [exp]", claims{"exp": now - 1}, `{"exp":"token expired"}`},
		{"claims_to_verify: [exp]", claims{"exp": "soon"}, `{"exp":"must be a number"}`},
		{"claims_to_verify: [exp]", claims{}, `{"exp":"must be a number"}`},
		{"claims_to_verify: [nbf]", claims{"nbf": now}, ""},
		{"claims_to_verify: [nbf]", claims{"nbf": now + 1}, `{"nbf":"token not valid yet"}`},
		{"claims_to_verify: [nbf]", claims{"exp": now - 5, "nbf": now}, ""},
		{"claims_to_verify: [exp, nbf]", claims{"exp": now, "nbf": now + 9}, `{"exp":"token expired","nbf":"token not valid yet"}`},
		{"claims_to_verify: [exp], maximum_expiration: 300", claims{"exp": now + 300}, ""},
		{"claims_to_verify: [exp], maximum_expiration: 300", claims{"exp": now + 301}, `{"exp":"exceeds maximum allowed expiration"}`},
		{"claims_to_verify: [exp], audience: [api]", claims{"exp": now + 9, "aud": "api"}, ""},
		{"claims_to_verify: [exp], audience: [api]", claims{"exp": now + 9, "aud": []string{"x", "api"}}, ""},
		{"claims_to_verify: [exp], audience: [api]", claims{"exp": now + 9, "aud": "other"}, `{"aud":"token is for another audience"}`},
		{"claims_to_verify: [exp], audience: [api]", claims{"exp": now + 9}, `{"aud":"token is for another audience"}`},
	} {
		tt.claims["iss"] = "issuer"
		g := newGateway(t, tt.settings, "")
		for range 2 { // the second time the token is known
			if r := g.Do("GET /", bearer(hs256(secret, tt.claims))); tt.want == "" {
				accepted(t, r)
			} else {
				refused(t, r, invalid, tt.want)
			}
		}
	}
}

func publicPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n        ")
}

func sign(t testing.TB, alg string, key any, c claims) string {
	t.Helper()
	text := unsigned(alg, nil, c)
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	var digest, signature []byte
	if h != 0 {
		w := h.New()
		w.Write([]byte(text))
		digest = w.Sum(nil)
	}
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			signature, err = rsa.SignPSS(rand.Reader, k, h, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, err = rsa.SignPKCS1v15(rand.Reader, k, h, digest)
		}
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, k, digest)
		size := (k.Params().BitSize + 7) / 8
		signature, err = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), e
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]any{}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		keys[alg] = rsaKey
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if keys[alg], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if _, keys["EdDSA"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	more := "  keyauth_credentials: [{key: other}]\n- username: bob\n  jwt_secrets:\n"
	for alg, key := range keys {
		public := key.(interface{ Public() crypto.PublicKey }).Public()
		more += fmt.Sprintf("    - key: %s\n      algorithm: %s\n      rsa_public_key: |\n        %s\n", alg, alg, indent(publicPEM(t, public)))
	}
	for alg := range map[string]func() hash.Hash{"HS384": sha512.New384, "HS512": sha512.New} {
		more += fmt.Sprintf("    - {key: %s, algorithm: %s, secret: %q}\n", alg, alg, secret)
	}
	g := plugintest.New(t, plugin.NewRegistry(jwt.Kind()), config("", more))
	tokens := map[string]string{
		"HS384": hs(sha512.New384, "HS384", secret, claims{"iss": "HS384"}), "HS512": hs(sha512.New, "HS512", secret, claims{"iss": "HS512"}),
	}
	for alg, key := range keys {
		tokens[alg] = sign(t, alg, key, claims{"iss": alg})
	}
	for alg, token := range tokens {
		if r := g.Do("GET /", bearer(token)); r.Consumer != "bob" {
			t.Errorf("%s: answered %d %s %v", alg, r.Status, r.Body, r.Notes)
		}
		at := strings.LastIndexByte(token, '.') + 4
		other := byte('A')
		if token[at] == other {
			other = 'B'
		}
		refused(t, g.Do("GET /", bearer(token[:at]+string(other)+token[at+1:])), invalid, message("Invalid signature"))
	}
	// A public key is not taken for the secret of another algorithm.
	text := publicPEM(t, rsaKey.Public())
	refused(t, g.Do("GET /", bearer(hs256(text, claims{"iss": "RS256"}))), invalid, message("Invalid algorithm"))
}

func TestSecretIsBase64(t *testing.T) {
	t.Parallel()
	encoded := base64.RawURLEncoding.EncodeToString([]byte(secret))
	g := newGateway(t, "secret_is_base64: true", "  jwt_secrets: [{key: b64, secret: "+encoded+"}]\n")
	if r := g.Do("GET /", bearer(hs256(secret, claims{"iss": "b64"}))); r.Status != 200 {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
	refused(t, g.Do("GET /", bearer(hs256(encoded, claims{"iss": "b64"}))), invalid, message("Invalid signature"))
	// The secret of the other credential is none.
	refused(t, g.Do("GET /", bearer(hs256(secret, claims{"iss": "issuer"}))), invalid, message("Invalid key/secret"))
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	if r := newGateway(t, "run_on_preflight: false", "").Do("OPTIONS /"); r.Status != 200 || r.Consumer != "" {
		t.Errorf("answered %d", r.Status)
	}
	refused(t, newGateway(t, "", "").Do("OPTIONS /"), "Bearer", message("Unauthorized"))
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "anonymous: nobody", "")
	for _, fields := range [][]string{nil, {bearer("a.b.c")}, {bearer(hs256(secret, claims{"iss": "stranger"}))}} {
		r := g.Do("GET /", append(fields, "X-Consumer-Custom-ID: forged", "X-Credential-Identifier: forged")...)
		if r.Status != 200 || r.Consumer != "nobody" {
			t.Fatalf("answered %d as %q", r.Status, r.Consumer)
		}
		h := r.Upstream.Header
		if h.Get("X-Anonymous-Consumer") != "true" || h.Get("X-Consumer-Username") != "nobody" || h.Get("X-Consumer-Custom-Id") != "" || h.Get("X-Credential-Identifier") != "" {
			t.Errorf("the upstream sees %v", h)
		}
	}
	accepted(t, g.Do("GET /", bearer(hs256(secret, claims{"iss": "issuer"}))))
}

func TestUpstreamSees(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "", "")
	token := hs256(secret, claims{"iss": "issuer"})
	r := g.Do("GET /", bearer(token), "X-Anonymous-Consumer: true", "x-consumer-id: forged", "X_Consumer_Username: forged", "X-Consumer-Groups: admin")
	accepted(t, r)
	h := r.Upstream.Header
	for name, want := range map[string]string{
		"X-Consumer-Username": "ann", "X-Consumer-Custom-ID": "c-1", "X-Credential-Identifier": "issuer", "X-Anonymous-Consumer": "",
		"Authorization": "Bearer " + token, "X_Consumer_Username": "", "X-Consumer-Groups": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("the upstream sees %s: %q, want %q", name, got, want)
		}
	}
	if id := h.Values("X-Consumer-Id"); len(id) != 1 || len(id[0]) != 36 {
		t.Errorf("X-Consumer-ID is %q", id)
	}
}

// What is remembered is of no use once the credential, or the settings, are others.
func TestRememberedTokens(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "claims_to_verify: [exp]", "")
	token := bearer(hs256(secret, claims{"iss": "issuer", "exp": now + 60}))
	accepted(t, g.Do("GET /", token))
	same := config("claims_to_verify: [exp]", "  keyauth_credentials: [{key: other}]\n")
	g.Load(same)
	accepted(t, g.Do("GET /", token))
	g.Load(strings.ReplaceAll(same, secret, secret+"2"))
	refused(t, g.Do("GET /", token), invalid, message("Invalid signature"))
	g.Load(strings.ReplaceAll(same, "key: issuer", "key: issuer2"))
	refused(t, g.Do("GET /", token), invalid, message("No credentials found for given 'iss'"))
	g.Load(strings.ReplaceAll(same, "key: issuer,", "key: issuer, algorithm: HS512,"))
	refused(t, g.Do("GET /", token), invalid, message("Invalid algorithm"))
	g.Load(strings.ReplaceAll(same, "[exp]", "[exp], audience: [api]"))
	refused(t, g.Do("GET /", token), invalid, `{"aud":"token is for another audience"}`)
	g.Load(strings.ReplaceAll(same, "username: ann", "username: amy"))
	if r := g.Do("GET /", token); r.Consumer != "amy" {
		t.Errorf("the consumer is %q", r.Consumer)
	}
	g.Load(same)
	accepted(t, g.Do("GET /", token))
	g.Clock.Advance(59 * time.Second)
	accepted(t, g.Do("GET /", token))
	g.Clock.Advance(time.Second)
	refused(t, g.Do("GET /", token), invalid, `{"exp":"token expired"}`)
}

func TestReasons(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "claims_to_verify: [exp]", "  jwt_secrets: [{key: \"https://issuer.test/\", secret: x}]\n")
	for token, want := range map[string]string{
		hs256(secret, claims{"iss": "https://issuer.test"}):    `jwt: no jwt credential has the key "https://issuer.test", which is the token's iss; there is "https://issuer.test/", which differs by the slash at the end`,
		hs256(secret, claims{"iss": "isuer"}):                  `there is "issuer"`,
		hs256(secret, claims{"iss": "issuer"}):                 `jwt: the token has no exp`,
		hs256(secret, claims{"iss": "issuer", "exp": now - 7}): `the token expired 7 s ago`,
		hs256("", claims{"iss": "issuer"}):                     `the signature is not by the key of the credential "issuer"`,
	} {
		if r := g.Do("GET /", bearer(token)); r.Status != 401 || !r.Noted(want) {
			t.Errorf("answered %d, noted %q, want %s", r.Status, r.Notes, want)
		}
	}
	if r := g.Do("GET /"); !r.Noted("it was looked for in the header authorization, the query's jwt") {
		t.Errorf("noted %q", r.Notes)
	}
	g = newGateway(t, "claims_to_verify: [exp, nbf], maximum_expiration: 300", "  jwt_secrets: [{key: b, secret: c2VjcmV0}]\n")
	for token, want := range map[string]string{
		hs256("secret", claims{"iss": "b", "exp": now + 7}):                    `it would be with secret_is_base64: true`,
		hs256("c2VjcmV0", claims{"iss": " B/", "exp": now + 7}):                `there is "b", which differs by blanks around it and the slash at the end and capital letters`,
		hs256("c2VjcmV0", claims{"iss": "b", "exp": now + 3600, "nbf": now}):   `the token is valid for another 3600 s (1h0m0s), and maximum_expiration allows 300 s (5m0s)`,
		hs256("c2VjcmV0", claims{"iss": "b", "exp": now - 7, "nbf": now + 90}): `the token expired 7 s ago, at 2026-05-17T10:30:33Z; the token is not valid for another 90 s, until 2026-05-17T10:32:10Z`,
		hs256("c2VjcmV0", claims{"iss": "b", "exp": "soon", "nbf": now}):       `the token's exp must be a number`,
		hs256("c2VjcmV0", claims{"iss": "b", "exp": now - 1e18, "nbf": now}):   `the token expired 1000000000000000000 s ago, at -`,
		"a.b.c.d.e": `it is encrypted (five parts), and a signed one (three parts) is needed`,
	} {
		if r := g.Do("GET /", bearer(token)); r.Status != 401 || !r.Noted(want) {
			t.Errorf("answered %d, noted %q, want %s", r.Status, r.Notes, want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(jwt.Kind())
	for settings, want := range map[string]string{
		"claims_to_verify: [iat]":                               `config.claims_to_verify[0]: "iat" is none of the values; there is exp, nbf`,
		"maximum_expiration: 60":                                "config.maximum_expiration: needs exp in claims_to_verify",
		"maximum_expiration: 31536001, claims_to_verify: [exp]": "config.maximum_expiration: 3.1536001e+07 is not between 0 and 31536000",
		"clams_to_verify: [exp]":                                `config.clams_to_verify: there is no such setting; did you mean "claims_to_verify"?`,
		"":                                                      "config.claims_to_verify: without exp, a token is accepted for ever after it has expired",
		"claims_to_verify: [exp]":                               "the claim aud is not looked at",
		"anonymous: nobdy":                                      `config.anonymous: there is no consumer "nobdy"; did you mean "nobody"?`,
		"header_names: authorization":                           "config.header_names: is text, and must be a list",
	} {
		_, problems := plugintest.Compile(registry, config(settings, "  keyauth_credentials: [{key: other}]\n"))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.String(), want)
		}
		if !found {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
	file := "plugins: [{name: jwt, consumer: ann}]\nconsumers: [{username: ann, keyauth_credentials: [{key: k}]}]"
	c, problems := plugintest.Compile(registry, file)
	if c == nil {
		t.Fatal(problems)
	}
	if _, problems := registry.Build(c, plugin.Environment{}); !entity.Failed(problems) || !strings.Contains(problems[0].String(), "cannot be bound to a consumer") {
		t.Errorf("Build has the problems %v", problems)
	}
}
