package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/perdure/perdure/internal/clock"
)

const (
	clientID     = "app"
	clientSecret = "s3cr%t"
	audience     = "https://api.example.com"
)

// issuer is an issuer that a test can make misbehave. It signs everybody in as "ann" without asking.
type issuer struct {
	*httptest.Server
	clock *clock.Manual
	key   *ecdsa.PrivateKey

	mu       sync.Mutex
	codes    map[string]url.Values // → the request it answers
	refresh  map[string]bool       // → whether it was used
	secrets  []string              // everything that a browser must not see
	requests []string              // to the token endpoint: grant types
	asked    url.Values            // the last request to authorize

	// Settings, changed by set.
	discovery map[string]any
	idClaims  map[string]any // of ID tokens; nil values remove
	accClaims map[string]any
	userInfo  map[string]any
	answer    url.Values // parameters of the answer at the redirect URI; an empty list removes
	lifetime  time.Duration
	noRefresh bool
	down      bool
	keysDown  bool
	hold      chan struct{} // token requests wait for it
	entered   chan struct{} // gets one element for each of them
	revoked   []string

	turnedAway atomic.Int64 // requests while it was down
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := startIssuer()
	t.Cleanup(i.Close)
	return i
}

func startIssuer() *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	i := &issuer{
		clock: clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), key: key,
		codes: map[string]url.Values{}, refresh: map[string]bool{}, lifetime: time.Hour,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveDiscovery)
	mux.HandleFunc("GET /jwks", i.serveKeys)
	mux.HandleFunc("GET /authorize", i.serveAuthorize)
	mux.HandleFunc("POST /token", i.serveToken)
	mux.HandleFunc("POST /revoke", func(_ http.ResponseWriter, r *http.Request) {
		i.set(func() { i.revoked = append(i.revoked, r.PostFormValue("token")) })
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if len(i.secrets) == 0 || !slices.Contains(i.secrets, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) || i.userInfo == nil {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(i.userInfo)
	})
	mux.HandleFunc("GET /end", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("post_logout_redirect_uri"), http.StatusFound)
	})
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		down := i.down || i.keysDown && r.URL.Path == "/jwks"
		i.mu.Unlock()
		if down {
			i.turnedAway.Add(1)
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return i
}

// set changes settings.
func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// grants counts the requests to the token endpoint with a grant type.
func (i *issuer) grants(kind string) (n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, one := range i.requests {
		if one == kind {
			n++
		}
	}
	return n
}

func (i *issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	doc := map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"userinfo_endpoint": i.URL + "/userinfo", "jwks_uri": i.URL + "/jwks", "end_session_endpoint": i.URL + "/end", "revocation_endpoint": i.URL + "/revoke",
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"scopes_supported":                               []string{"openid", "profile", "email", "offline_access"},
		"authorization_response_iss_parameter_supported": true,
	}
	change(doc, i.discovery)
	_ = json.NewEncoder(w).Encode(doc)
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
}

func (i *issuer) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = r.URL.Query()
	code := rand.Text()
	i.codes[code] = i.asked
	answer := url.Values{"code": {code}, "state": {i.asked.Get("state")}, "iss": {i.URL}}
	for name, values := range i.answer {
		answer[name] = values
	}
	http.Redirect(w, r, i.asked.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	kind := r.PostFormValue("grant_type")
	i.requests = append(i.requests, kind)
	hold, entered := i.hold, i.entered
	i.mu.Unlock()
	if hold != nil {
		entered <- struct{}{}
		<-hold
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	if secret, _ = url.QueryUnescape(secret); id != clientID || secret != clientSecret {
		refuse(w, "invalid_client")
		return
	}
	nonce := ""
	switch kind {
	case "authorization_code":
		code := r.PostFormValue("code")
		asked, ok := i.codes[code]
		delete(i.codes, code)
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			refuse(w, "invalid_grant")
			return
		}
		nonce = asked.Get("nonce")
	case "refresh_token":
		used, ok := i.refresh[r.PostFormValue("refresh_token")]
		if !ok || used {
			clear(i.refresh) // reuse ends the whole family
			refuse(w, "invalid_grant")
			return
		}
		i.refresh[r.PostFormValue("refresh_token")] = true
	default:
		refuse(w, "unsupported_grant_type")
		return
	}
	access := i.sign("at+jwt", map[string]any{"aud": audience, "client_id": clientID, "scope": "openid profile", "jti": rand.Text(), "permissions": []string{"read:files"}}, i.accClaims)
	sum := sha256.Sum256([]byte(access))
	claims := map[string]any{"aud": clientID, "name": "Ann", "sid": "sid-1", "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]), "n": json.Number("12345678901234567890")}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	answer := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(i.lifetime.Seconds()), "scope": "openid profile",
		"id_token": i.sign("JWT", claims, i.idClaims),
	}
	i.secrets = append(i.secrets, access)
	if !i.noRefresh {
		token := "refresh-" + rand.Text()
		i.refresh[token] = false
		i.secrets = append(i.secrets, token)
		answer["refresh_token"] = token
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// sign makes a token about ann. The lock is held.
func (i *issuer) sign(typ string, claims, changes map[string]any) string {
	now := i.clock.Now()
	all := map[string]any{"iss": i.URL, "sub": "ann", "iat": now.Unix(), "exp": now.Add(i.lifetime).Unix()}
	maps.Copy(all, claims)
	change(all, changes)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)),
	)
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		panic(err)
	}
	return token
}

func change(all, changes map[string]any) {
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
}

func refuse(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"error":%q,"error_description":"no"}`, code)
}
