package guides_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/perdure/perdure/auth"
)

// What follows is in the guide, word for word.

func paperAPI(issuer string) (http.Handler, error) {
	verifier, err := auth.NewVerifier(auth.VerifierConfig{
		Issuer:    issuer,                                 // as in the token: "https://example.eu.auth0.com/"
		Audiences: []string{"https://papers.example.com"}, // the name of this API there
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /papers/{id}", auth.Middleware(verifier, auth.Permission("read:papers"), http.HandlerFunc(readPaper)))
	mux.Handle("POST /papers/{id}/approval", auth.Middleware(verifier, auth.Authenticated(), http.HandlerFunc(approvePaper)))
	return mux, nil
}

func readPaper(w http.ResponseWriter, r *http.Request) {
	who := auth.From(r.Context())
	fmt.Fprintf(w, "%s (%s) reads %s\n", who.Name, who.Subject, r.PathValue("id"))
}

type Paper struct{ ID, Author string }

var notTheOwn = auth.Resource("it is not the own paper", func(_ context.Context, p *auth.Principal, paper Paper) error {
	if paper.Author == p.Subject {
		return fmt.Errorf("nobody approves the own paper")
	}
	return nil
})

var mayApprove = auth.Any(
	auth.Role("admin"),
	auth.All(auth.Permission("approve:papers"), notTheOwn, auth.Not(auth.Claim("suspended", true))),
).Named("may approve the paper")

func approvePaper(w http.ResponseWriter, r *http.Request) {
	paper := papers[r.PathValue("id")]
	if !auth.Permit(w, r, mayApprove, paper) {
		return // it has been answered
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestApproval(t *testing.T) {
	ada := &auth.Principal{Subject: "ada", Permissions: []string{"approve:papers"}}
	d := mayApprove.Decide(t.Context(), ada, Paper{ID: "1", Author: "ada"})
	if d.Verdict != auth.Denied || d.Why() != "the role admin is needed, or nobody approves the own paper" {
		t.Errorf("%v: %s", d.Verdict, d.Why())
	}
}

func entra(tenant, api string) auth.VerifierConfig {
	return auth.VerifierConfig{
		Issuer:    "https://login.microsoftonline.com/" + tenant + "/v2.0",
		Audiences: []string{api}, // the application id of the API, or its "api://…" for tokens of version 1
	}
}

func keycloak(host, realm, api string) auth.VerifierConfig {
	return auth.VerifierConfig{
		Issuer:     "https://" + host + "/realms/" + realm,
		Audiences:  []string{api}, // put there by an audience mapper
		RolesClaim: "realm_access.roles",
	}
}

func ofCompanyOrOurs(company, ours *auth.Verifier, next http.Handler) http.Handler {
	return auth.Middleware(auth.Issuers(company, ours), auth.Authenticated(), next)
}

func explained(a auth.Authenticator, p auth.Policy, next http.Handler) http.Handler {
	return auth.Guard{Authenticator: a, Policy: p, Refusal: auth.Refusal{Realm: "papers", Explain: true}}.Handler(next)
}

// Here ends what is in the guide.

var papers = map[string]Paper{"1": {"1", "ada"}, "2": {"2", "bob"}}

// paperIssuer serves the discovery document and the keys of an issuer, which signs the claims that it is given.
func paperIssuer(t *testing.T) (url string, sign func(claims map[string]any) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "1", Algorithm: "ES256", Use: "sig"}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	serve := func(path string, document any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(document); err != nil {
				t.Error(err)
			}
		})
	}
	url = server.URL + "/"
	serve("/.well-known/openid-configuration", map[string]string{"issuer": url, "jwks_uri": url + "keys"})
	serve("/keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	return url, func(claims map[string]any) string {
		all := map[string]any{"iss": url, "aud": "https://papers.example.com", "exp": time.Now().Add(time.Hour).Unix()}
		for name, value := range claims {
			all[name] = value
		}
		token, err := jwt.Signed(signer).Claims(all).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

func TestGuideAuth(t *testing.T) {
	t.Parallel()
	issuer, sign := paperIssuer(t)
	api, err := paperAPI(issuer)
	if err != nil {
		t.Fatal(err)
	}
	reader := sign(map[string]any{"sub": "ada", "name": "Ada", "permissions": []string{"read:papers"}})
	approver := sign(map[string]any{"sub": "ada", "permissions": []string{"approve:papers"}})
	for _, tt := range []struct {
		method, path, token string
		status              int
		text, challenge     string
	}{
		{"GET", "/papers/1", reader, 200, "Ada (ada) reads 1\n", ""},
		{"GET", "/papers/1", "", 401, "send a bearer token", `Bearer realm="api"`},
		{"GET", "/papers/1", "x", 401, "it is not a JWT", `error="invalid_token"`},
		{"GET", "/papers/1", approver, 403, `"missing":["permission read:papers"]`, `error="insufficient_scope"`},
		{"POST", "/papers/1/approval", approver, 403, "nobody approves the own paper", `error="insufficient_scope"`},
		{"POST", "/papers/2/approval", approver, 204, "", ""},
		{"POST", "/papers/2/approval", reader, 403, "the permission approve:papers is needed", `error="insufficient_scope"`},
		{"POST", "/papers/1/approval", sign(map[string]any{"sub": "ada", "roles": []string{"admin"}}), 204, "", ""},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) || !strings.Contains(w.Header().Get("WWW-Authenticate"), tt.challenge) {
			t.Errorf("%s %s: %d %s %s", tt.method, tt.path, w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// The settings of the guide are accepted, and its other handlers answer.
func TestGuideAuthSettings(t *testing.T) {
	t.Parallel()
	var verifiers []*auth.Verifier
	for _, config := range []auth.VerifierConfig{entra("1-2-3", "4-5-6"), keycloak("sso.example.com", "main", "papers")} {
		v, err := auth.NewVerifier(config)
		if err != nil {
			t.Fatal(err)
		}
		verifiers = append(verifiers, v)
	}
	for _, h := range []http.Handler{
		ofCompanyOrOurs(verifiers[0], verifiers[1], http.NotFoundHandler()),
		explained(verifiers[0], auth.Role("admin"), http.NotFoundHandler()),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != http.StatusUnauthorized {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
}
