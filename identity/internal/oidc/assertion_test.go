package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/perdure/perdure/identity/internal/directory"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signer makes a key and what signs by it.
func newKey(t testing.TB, kid string) (jose.Signer, json.RawMessage, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	public, err := (&jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return signer, public, key
}

func signed(t testing.TB, s jose.Signer, claims map[string]any) string {
	t.Helper()
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// RFC 7523 section 3: an application that authenticates by its own key.
func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, public, private := newKey(t, "k1")
	app, _ := w.NewApplication(t, &directory.Application{
		Name: "keyed", Type: directory.TypeNonInteractive, AuthMethod: directory.MethodPrivateKey, Keys: []json.RawMessage{public},
		GrantTypes: []string{directory.GrantClient, directory.GrantAssertion},
	})
	w.Do(t, func(ctx context.Context) error {
		_, err := w.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: app.ClientID, Audience: apiName, Scope: []string{"read"}})
		return err
	})
	claims := func(more ...any) map[string]any {
		m := map[string]any{
			"iss": app.ClientID, "sub": app.ClientID, "aud": issuer, "jti": rand.Text(), "iat": w.Now().Unix(), "exp": w.Now().Add(5 * time.Minute).Unix(),
		}
		for i := 0; i < len(more); i += 2 {
			if m[more[i].(string)] = more[i+1]; more[i+1] == nil {
				delete(m, more[i].(string))
			}
		}
		return m
	}
	send := func(assertion string, more ...string) *answer {
		return w.token(t, append([]string{
			"grant_type", "client_credentials", "client_assertion", assertion, "client_assertion_type", assertionType, "audience", apiName,
		}, more...)...)
	}
	for _, aud := range []any{issuer, issuer + "oauth/token", []string{"x", issuer}} {
		send(signed(t, key, claims("aud", aud))).good(t)
	}
	send(signed(t, key, claims()), "client_id", app.ClientID).good(t)

	// jti comes once, in another assertion neither; without jti, the assertion comes once.
	once := signed(t, key, claims("jti", "once"))
	send(once).good(t)
	send(once).want(t, "invalid_client")
	send(signed(t, key, claims("jti", "once"))).want(t, "invalid_client")
	once = signed(t, key, claims("jti", nil))
	send(once).good(t)
	send(once).want(t, "invalid_client")
	if n := w.parallel(t, 1, func() *answer { return send(signed(t, key, claims())) }); n != 1 {
		t.Error("an assertion of its own is refused")
	}

	other, _, _ := newKey(t, "k1")
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	confused, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: der}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: func() any { _, _, k := newKey(t, "k1"); return k }()}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	good := signed(t, key, claims())
	parts := strings.Split(good, ".")
	for name, assertion := range map[string]string{
		"the audience is another": signed(t, key, claims("aud", "https://other.example/")), "no audience": signed(t, key, claims("aud", nil)),
		"the audience is an API": signed(t, key, claims("aud", apiName)), "expired": signed(t, key, claims("exp", w.Now().Add(-time.Minute).Unix())),
		"no exp": signed(t, key, claims("exp", nil)), "good for a year": signed(t, key, claims("exp", w.Now().Add(365*24*time.Hour).Unix())),
		"exp is huge": signed(t, key, claims("exp", 1e300)), "exp is a text": signed(t, key, claims("exp", "soon")),
		"iat is huge": signed(t, key, claims("iat", 1e300)), "issued tomorrow": signed(t, key, claims("iat", w.Now().Add(24*time.Hour).Unix())), "not before tomorrow": signed(t, key, claims("nbf", w.Now().Add(24*time.Hour).Unix())),
		"about another": signed(t, key, claims("sub", w.web.ClientID)), "by another": signed(t, key, claims("iss", w.web.ClientID, "sub", w.web.ClientID)),
		"by nobody": signed(t, key, claims("iss", "nobody", "sub", "nobody")), "another key": signed(t, other, claims()), "the public key as a secret": signed(t, confused, claims()),
		"a key of its own in the header": signed(t, embedded, claims()), "alg none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "no signature": parts[0] + "." + parts[1] + ".",
		"cut": good[:len(good)-4], "nonsense": "x.y.z", "a huge one": strings.Repeat("x", 50000) + ".y.z",
	} {
		if a := send(assertion); a.text("error") != "invalid_client" || a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	send(good, "client_id", w.web.ClientID).want(t, "invalid_client")
	send(good, "client_secret", "x").want(t, "invalid_request")
	send(good, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer").want(t, "invalid_request")
	w.token(t, "grant_type", "client_credentials", "client_id", app.ClientID, "client_secret", "x", "audience", apiName).want(t, "invalid_client")
	w.token(t, "grant_type", "client_credentials", "client_id", app.ClientID, "audience", apiName).want(t, "invalid_client")

	// The grant of an assertion (RFC 7523 section 2.1).
	bearer := func(assertion string, more ...string) *answer {
		return w.token(t, append([]string{"grant_type", directory.GrantAssertion, "assertion", assertion}, more...)...)
	}
	bearer(signed(t, key, claims()), "audience", apiName).good(t)
	bearer(signed(t, key, claims()), "scope", apiName+"/.default").good(t)
	bearer(signed(t, key, claims()), "audience", apiName, "scope", "write").want(t, "invalid_scope")
	bearer(signed(t, other, claims()), "audience", apiName).want(t, "invalid_grant")
	bearer("x").want(t, "invalid_grant")
}

// upstream is another issuer: its discovery, its keys, and what signs by them.
func upstream(t testing.TB) (issuer string, s jose.Signer) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "u1"))
	if err != nil {
		t.Fatal(err)
	}
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any = map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"}
		if r.URL.Path == "/keys" {
			v = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "u1", Algorithm: "RS256", Use: "sig"}}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}))
	t.Cleanup(server.Close)
	return server.URL, s
}

// Workload identity federation: a token of an issuer that is trusted stands for an application or a managed identity.
func TestFederation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issuerURL, key := upstream(t)
	rule := directory.TrustRule{Name: "cluster", Issuer: issuerURL, Subject: "system:serviceaccount:default:worker"}
	var identity *directory.ManagedIdentity
	app, _ := w.NewApplication(t, &directory.Application{
		Name: "federated", Type: directory.TypeNonInteractive, Federated: []directory.TrustRule{rule},
	})
	w.Do(t, func(ctx context.Context) (err error) {
		if identity, err = w.CreateManagedIdentity(ctx, directory.Command, &directory.ManagedIdentity{
			Name: "worker", Resources: []string{apiName}, Federated: []directory.TrustRule{rule},
		}); err != nil {
			return err
		}
		if err = w.GrantPermissions(ctx, directory.Command, identity.ID, directory.KindIdentity, directory.APIPermission{API: apiName, Name: "write"}); err != nil {
			return err
		}
		_, err = w.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: app.ClientID, Audience: apiName, Scope: []string{"read"}})
		return err
	})
	claims := func(more ...any) map[string]any {
		m := map[string]any{
			"iss": issuerURL, "sub": rule.Subject, "aud": directory.DefaultTrustAudience, "iat": w.Now().Unix(), "exp": w.Now().Add(time.Hour).Unix(),
		}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	assert := func(id, token string, more ...string) *answer {
		return w.token(t, append([]string{
			"grant_type", "client_credentials", "client_id", id, "client_assertion", token, "client_assertion_type", assertionType, "scope", apiName + "/.default", "client_info", "1",
		}, more...)...)
	}
	exchange := func(id, token string, more ...string) *answer {
		return w.token(t, append([]string{
			"grant_type", directory.GrantExchange, "client_id", id, "subject_token", token, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt",
			"actor_token", "", "actor_token_type", "", "audience", apiName,
		}, more...)...)
	}
	token := signed(t, key, claims())
	for range 2 { // workloads send the same token until it ends
		a := assert(identity.ClientID, token).good(t)
		if _, c := w.claims(t, a.text("access_token")); c["sub"] != identity.ID || c["scope"] != "write" || c["aud"] != apiName {
			t.Errorf("claims %v", c)
		}
	}
	if _, c := w.claims(t, assert(app.ClientID, token).good(t).text("access_token")); c["sub"] != app.ClientID+"@clients" || c["scope"] != "read" {
		t.Errorf("claims %v", c)
	}
	a := exchange(identity.ClientID, token).good(t)
	if _, c := w.claims(t, a.text("access_token")); c["sub"] != identity.ID || a.text("issued_token_type") != "urn:ietf:params:oauth:token-type:access_token" {
		t.Errorf("answer %s", a.body)
	}
	exchange(app.ClientID, token).good(t)
	exchange(identity.ClientID, token, "scope", "read").want(t, "invalid_scope")
	exchange(identity.ClientID, token, "audience", issuer+"api/v2/").want(t, "access_denied")
	exchange(w.web.ClientID, token).want(t, "invalid_client")
	exchange(w.spa.ClientID, token).want(t, "unauthorized_client")

	otherURL, otherKey := upstream(t)
	for name, bad := range map[string]string{
		"another subject": signed(t, key, claims("sub", "system:serviceaccount:default:other")), "another audience": signed(t, key, claims("aud", "https://other.example")),
		"another issuer": signed(t, otherKey, claims("iss", otherURL)), "another issuer's key": signed(t, otherKey, claims()),
		"expired": signed(t, key, claims("exp", w.Now().Add(-time.Hour).Unix())), "an ID token": signed(t, key, claims("nonce", "x")), "ours": w.exchange(t, w.code(t, w.request(w.web))).good(t).text("access_token"),
		"nonsense": "x.y.z",
	} {
		if a := assert(identity.ClientID, bad); a.text("error") != "invalid_client" {
			t.Errorf("assertion, %s: %d %s", name, a.status, a.body)
		}
		if a := exchange(identity.ClientID, bad); a.text("error") != "invalid_client" {
			t.Errorf("exchange, %s: %d %s", name, a.status, a.body)
		}
	}
	// Without trust no more.
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateManagedIdentity(ctx, directory.Command, identity.ClientID, func(m *directory.ManagedIdentity) error { m.Federated = nil; return nil })
		return err
	})
	assert(identity.ClientID, token).want(t, "invalid_client")

	w.Do(t, func(ctx context.Context) error {
		got, _, err := w.provider.MintForIdentity(ctx, identity, apiName)
		if err != nil || got == "" {
			t.Errorf("minted %q, %v", got, err)
		}
		if _, _, err := w.provider.MintForIdentity(ctx, identity, issuer+"api/v2/"); err == nil {
			t.Error("minted for an API that is no resource of the identity")
		}
		return nil
	})
}

// RFC 8693: an application acts at another API for the user of a token.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const back = "https://back.example"
	api := w.NewAPI(t, back, "look", "touch", "break")
	role := w.NewRole(t, "toucher", back, "look", "touch")
	w.Do(t, func(ctx context.Context) error {
		if err := w.AssignRoles(ctx, directory.Command, w.user.ID, directory.KindUser, role.ID); err != nil {
			return err
		}
		_, err := w.UpdateAPI(ctx, directory.Command, api.ID, func(a *directory.API) error { a.TokenDialect = directory.DialectPermissions; return nil })
		if err != nil {
			return err
		}
		_, err = w.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: w.web.ClientID, Audience: back, Scope: []string{"touch", "break"}})
		return err
	})
	subject := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	send := func(more ...string) *answer {
		return w.token(t, append([]string{
			"grant_type", directory.GrantExchange, "client_id", w.web.ClientID, "client_secret", w.secret, "subject_token", subject.text("access_token"),
			"subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "audience", back,
		}, more...)...)
	}
	a := send("actor_token", "", "actor_token_type", "", "requested_token_type", "urn:ietf:params:oauth:token-type:access_token").good(t)
	_, claims := w.claims(t, a.text("access_token"))
	if claims["sub"] != w.user.ID || claims["aud"] != back || claims["scope"] != "touch" {
		t.Errorf("claims %v, want what both the application was granted and the user may", claims)
	}
	if permissions, _ := claims["permissions"].([]any); len(permissions) != 1 || permissions[0] != "touch" {
		t.Errorf("permissions %v of the token: what the application was not granted is not in it", claims["permissions"])
	}
	if act, _ := claims["act"].(map[string]any); act["sub"] != w.web.ClientID+"@clients" {
		t.Errorf("act %v", claims["act"])
	}
	if a := send("scope", "break").good(t); a.text("scope") != "" {
		t.Errorf("scope %q that the user has no right to", a.text("scope"))
	}
	send("scope", "look").want(t, "invalid_scope")
	send("audience", issuer+"api/v2/").want(t, "access_denied")
	send("audience", "https://nothing.example").want(t, "invalid_target")
	send("audience", "").want(t, "invalid_target")
	send("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token").want(t, "invalid_request")
	send("requested_token_type", "urn:x").want(t, "invalid_request")
	send("subject_token_type", "urn:ietf:params:oauth:token-type:id_token", "subject_token", subject.text("id_token")).want(t, "invalid_request")
	send("subject_token", "").want(t, "invalid_request")
	send("actor_token", "x", "actor_token_type", "urn:ietf:params:oauth:token-type:access_token").want(t, "invalid_request")
	send("client_secret", "").want(t, "invalid_client")
	// The library's own code panics at opaque tokens.
	for _, opaque := range []string{"opaque", subject.text("refresh_token"), "a:b", strings.Repeat("x", 5000)} {
		send("subject_token", opaque).want(t, "invalid_request")
	}
	// A revoked token is exchanged no more, and what it was exchanged for is revoked with it.
	w.Do(t, func(ctx context.Context) error { return w.provider.RevokeUser(ctx, w.user.ID, "") })
	send().want(t, "invalid_request")
	ask := w.browser(t).post(t, "/oauth/introspect", with(url.Values{}, "client_id", w.web.ClientID, "client_secret", w.secret, "token", a.text("access_token")))
	if ask.json("active") != false {
		t.Errorf("a token of a revoked sign-in is active: %s", ask.body)
	}
}
