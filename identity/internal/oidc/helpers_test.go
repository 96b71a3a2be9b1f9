package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/oidc"
)

const (
	issuer   = directorytest.Issuer
	callback = "https://app.example/callback"
	apiName  = "https://api.example/"
)

// world is a provider with an API, a user who may read there, and an application of each kind.
type world struct {
	*directorytest.World
	provider *oidc.Provider
	user     *directory.User
	api      *directory.API
	web      *directory.Application // confidential, with code, refresh, client credentials, device and exchange
	secret   string
	mu       sync.Mutex
	spa      *directory.Application // public
}

func newWorld(t testing.TB) *world { return worldOn(t, directorytest.New(t)) }

func worldOn(t testing.TB, d *directorytest.World) *world {
	t.Helper()
	w := &world{World: d}
	var err error
	w.provider, err = oidc.New(d.Env, oidc.Options{Sessions: sessions{d.Env}, People: people{w}})
	if err != nil {
		t.Fatal(err)
	}
	w.api = d.NewAPI(t, apiName, "read", "write")
	role := d.NewRole(t, "reader", apiName, "read")
	w.user = d.NewUser(t, "ada@example.org")
	d.Do(t, func(ctx context.Context) error {
		return d.AssignRoles(ctx, directory.Command, w.user.ID, directory.KindUser, role.ID)
	})
	w.web, w.secret = d.NewApplication(t, &directory.Application{
		Name: "web", FirstParty: true, Callbacks: []string{callback, "https://app.example/other?x=1"}, AllowedLogoutURLs: []string{"https://app.example/bye"},
		GrantTypes: []string{directory.GrantCode, directory.GrantRefresh, directory.GrantClient, directory.GrantDevice, directory.GrantExchange, directory.GrantPassword},
	})
	w.spa, _ = d.NewApplication(t, &directory.Application{
		Name: "spa", Type: directory.TypeSPA, FirstParty: true, Callbacks: []string{callback}, WebOrigins: []string{"https://app.example"},
	})
	d.Do(t, func(ctx context.Context) error {
		if _, err := d.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: w.web.ClientID, Audience: apiName, Scope: []string{"read"}}); err != nil {
			return err
		}
		_, err := d.UpdateAPI(ctx, directory.Command, w.api.ID, func(a *directory.API) error { a.SkipConsent = true; return nil })
		return err
	})
	return w
}

// sessions knows the session of the cookie "session".
type sessions struct{ env *directory.Env }

func (s sessions) Current(r *http.Request) (*directory.Session, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return nil, nil
	}
	session, err := directory.Sessions.Get(r.Context(), directory.Key(c.Value))
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil
	}
	return session, err
}

type people struct{ w *world }

func (p people) CheckPassword(_ context.Context, _, login, password, _ string) (*directory.User, error) {
	if login != p.w.user.Email || password != "right" {
		return nil, oidc.ErrPassword
	}
	return p.w.user, nil
}

// RoundTrip serves requests of clients without a network.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.RemoteAddr = "192.0.2.1:1234"
	if sent.Body == nil {
		sent.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	w.provider.ServeHTTP(rec, sent)
	res := rec.Result()
	res.Request = r
	return res, nil
}

// browser is a browser that follows no redirects.
type browser struct {
	*http.Client
	w *world
}

func (w *world) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{w: w, Client: &http.Client{Transport: w, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// answer is an answer that was read.
type answer struct {
	status   int
	header   http.Header
	body     string
	location *url.URL
}

// query is a parameter of the address the answer sends the browser to.
func (a *answer) query(name string) string {
	if a.location == nil {
		return ""
	}
	return a.location.Query().Get(name)
}

// json is a member of the answer.
func (a *answer) json(name string) any {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.body), &m) // without a member it is nil
	return m[name]
}

func (a *answer) text(name string) string {
	s, _ := a.json(name).(string)
	return s
}

func read(t testing.TB, res *http.Response, err error) *answer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := &answer{status: res.StatusCode, header: res.Header, body: string(b)}
	a.location, _ = res.Location()
	return a
}

func (b *browser) get(t testing.TB, path string, query url.Values) *answer {
	t.Helper()
	address := issuer + strings.TrimPrefix(path, "/")
	if query != nil {
		address += "?" + query.Encode()
	}
	res, err := b.Get(address)
	return read(t, res, err)
}

func (b *browser) post(t testing.TB, path string, form url.Values) *answer {
	t.Helper()
	res, err := b.PostForm(issuer+strings.TrimPrefix(path, "/"), form)
	return read(t, res, err)
}

// signedIn puts a session of the user into the browser.
func (b *browser) signedIn(t testing.TB) *directory.Session {
	t.Helper()
	s := &directory.Session{
		ID: rand.Text(), UserID: b.w.user.ID, AuthTime: b.w.Now(), Methods: []string{"pwd"}, Created: b.w.Now(), LastSeen: b.w.Now(),
		Expires: b.w.Now().Add(24 * time.Hour),
	}
	b.w.Do(t, func(ctx context.Context) error { return directory.Sessions.Put(ctx, directory.Key(s.ID), s) })
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	b.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: s.ID, Path: "/"}})
	return s
}

// login does what the page for signing in does with a request.
func (b *browser) login(t testing.TB, id string) {
	t.Helper()
	s := b.signedIn(t)
	b.w.Do(t, func(ctx context.Context) error {
		return directory.AuthRequests.Update(ctx, directory.Key(id), func(r *directory.AuthRequest) error {
			r.UserID, r.SessionID, r.AuthTime, r.Methods, r.Done = s.UserID, s.ID, s.AuthTime, s.Methods, true
			return nil
		})
	})
}

const verifier = "a-verifier-of-at-least-forty-three-characters-0123"

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is a good request to sign in.
func (w *world) request(app *directory.Application, more ...string) url.Values {
	v := url.Values{
		"client_id": {app.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email offline_access read write"},
		"state": {"the state"}, "nonce": {"the nonce"}, "audience": {apiName},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	return with(v, more...)
}

// with sets parameters; those that are empty it deletes.
func with(v url.Values, more ...string) url.Values {
	for i := 0; i < len(more); i += 2 {
		if v.Set(more[i], more[i+1]); more[i+1] == "" {
			v.Del(more[i])
		}
	}
	return v
}

// code signs the user in and returns the code.
func (w *world) code(t testing.TB, request url.Values) string {
	t.Helper()
	b := w.browser(t)
	a := b.get(t, "/authorize", request)
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location.Path, "/u/login") {
		t.Fatalf("authorize: %d %v %s, want a redirect to the login page", a.status, a.location, a.body)
	}
	id := a.query("state")
	b.login(t, id)
	a = b.get(t, "/authorize/callback", url.Values{"id": {id}})
	if a.query("code") == "" {
		t.Fatalf("callback: %d %v %s, want a code", a.status, a.location, a.body)
	}
	return a.query("code")
}

// token sends a request to the token endpoint.
func (w *world) token(t testing.TB, form ...string) *answer {
	t.Helper()
	return w.browser(t).post(t, "/oauth/token", with(url.Values{}, form...))
}

// exchange sends a code of the application that has a secret.
func (w *world) exchange(t testing.TB, code string, more ...string) *answer {
	t.Helper()
	form := with(url.Values{}, "grant_type", "authorization_code", "client_id", w.web.ClientID, "client_secret", w.secret,
		"code", code, "redirect_uri", callback, "code_verifier", verifier)
	return w.browser(t).post(t, "/oauth/token", with(form, more...))
}

// refresh sends a refresh token of the application that has a secret.
func (w *world) refresh(t testing.TB, token string, more ...string) *answer {
	t.Helper()
	form := with(url.Values{}, "grant_type", "refresh_token", "client_id", w.web.ClientID, "client_secret", w.secret, "refresh_token", token)
	return w.browser(t).post(t, "/oauth/token", with(form, more...))
}

func (w *world) userinfo(t testing.TB, token string) *answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := w.browser(t).Do(r)
	return read(t, res, err)
}

// claims reads a token whose signature it verifies by the published keys.
func (w *world) claims(t testing.TB, token string) (header jose.Header, claims map[string]any) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(w.browser(t).get(t, "/.well-known/jwks.json", nil).body), &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	if err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	keys := set.Key(parsed.Headers[0].KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d keys have the id %q", len(keys), parsed.Headers[0].KeyID)
	}
	if err := parsed.Claims(keys[0], &claims); err != nil {
		t.Fatal(err)
	}
	return parsed.Headers[0], claims
}

// want fails unless the answer is an error of that code.
func (a *answer) want(t testing.TB, code string) {
	t.Helper()
	if got := a.text("error"); got != code {
		t.Errorf("answer %d %s, want the error %s", a.status, a.body, code)
	}
}

// good fails unless the answer has an access token.
func (a *answer) good(t testing.TB) *answer {
	t.Helper()
	if a.status != http.StatusOK || a.text("access_token") == "" {
		t.Fatalf("answer %d %s, want tokens", a.status, a.body)
	}
	return a
}
