package people_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// upstream is an issuer upstream that signs everybody in as Claims say, and does wrong what a test wants.
type upstream struct {
	*httptest.Server
	now func() time.Time
	key *rsa.PrivateKey

	mu     sync.Mutex
	claims map[string]any                                         // of the user
	change func(claims map[string]any)                            // of the ID token
	answer func(redirect url.Values)                              // to the browser
	sign   func(claims map[string]any) (token string, other bool) // instead of the right signature
	asked  url.Values                                             // the last authorization request
	codes  map[string]url.Values                                  // authorization requests by code
}

// signingKey is made once: it takes long.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newUpstream(t *testing.T, now func() time.Time) *upstream {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{now: now, key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{
			"issuer": u.URL, "authorization_endpoint": u.URL + "/authorize", "token_endpoint": u.URL + "/token", "jwks_uri": u.URL + "/keys",
			"userinfo_endpoint": u.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256"}, "authorization_response_iss_parameter_supported": true,
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /authorize", u.authorize)
	mux.HandleFunc("POST /token", u.token)
	u.Server = httptest.NewServer(mux)
	t.Cleanup(u.Close)
	return u
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (u *upstream) authorize(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := r.URL.Query()
	u.asked = q
	code := rand.Text()
	u.codes[code] = q
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {u.URL}}
	if u.answer != nil {
		u.answer(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (u *upstream) token(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	asked, ok := u.codes[r.FormValue("code")]
	delete(u.codes, r.FormValue("code"))
	digest := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || id != "client" || secret != "secret" || asked.Get("redirect_uri") != r.FormValue("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(digest[:]) || asked.Get("code_challenge_method") != "S256" {
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]string{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{"iss": u.URL, "aud": "client", "iat": u.now().Unix(), "exp": u.now().Add(time.Minute).Unix(), "nonce": asked.Get("nonce")}
	maps.Copy(claims, u.claims)
	if u.change != nil {
		u.change(claims)
	}
	reply(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": u.signed(claims)})
}

func (u *upstream) signed(claims map[string]any) string {
	if u.sign != nil {
		if token, other := u.sign(claims); other {
			return token
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: u.key, KeyID: "1"}}, nil)
	if err != nil {
		panic(err) // the key is right
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return token
}

// visit follows a redirect to the issuer and back to the pages.
func (u *upstream) visit(b *browser, p *page) *page {
	b.t.Helper()
	to := p.header.Get("Location")
	if p.status != http.StatusSeeOther || !strings.HasPrefix(to, u.URL) {
		b.t.Fatalf("%s: status %d to %q, want the issuer upstream; it says %s", p.path, p.status, to, text(p.body))
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(to)
	if err != nil {
		b.t.Fatal(err)
	}
	answer.Body.Close()
	back, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.get(back.RequestURI())
}
