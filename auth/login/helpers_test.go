package login_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
)

// app is an application with a login, and the pages:
//
//	/           everybody
//	/me         who it is, for browsers that are signed in
//	POST /do    changes something, for who is signed in
//	/token      whether there is an access token, and its length
type app struct {
	*httptest.Server
	login  *login.Login
	issuer *issuer
	store  *login.MemoryStore
	log    *syncBuffer
}

func newApp(t *testing.T, i *issuer, change func(*login.Config)) *app {
	t.Helper()
	a := &app{issuer: i, store: login.NewMemoryStoreAt(i.clock.Now), log: &syncBuffer{}}
	var handler http.Handler
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(a.Close)
	config := login.Config{
		Issuer: i.URL, ClientID: clientID, ClientSecret: clientSecret, BaseURL: a.URL,
		Store: a.store, Sealer: newSealer(t), Now: i.clock.Now,
		Logger: slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&config)
	}
	a.login = newLogin(t, config)
	t.Cleanup(a.login.Close)
	handler = a.handler()
	return a
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	a.login.Mount(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "home") })
	mux.Handle("/me", a.login.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := a.login.Session(r)
		if err != nil {
			auth.RefuseCredentials(w, r, err)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"principal": auth.From(r.Context()), "id": s.IDClaims})
	})))
	mux.Handle("/do", auth.Middleware(a.login, auth.Authenticated(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "done by "+auth.From(r.Context()).Subject)
	})))
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		token, err := a.login.Token(r)
		fmt.Fprint(w, len(token) > 100, " ", err)
	})
	return mux
}

// open is a login that is not behind a server.
func newLogin(t *testing.T, config login.Config) *login.Login {
	t.Helper()
	l, err := login.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newSealer(t testing.TB) login.Sealer {
	t.Helper()
	s, err := login.NewSealer(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// browser follows redirects and keeps cookies; it notes all that it sees.
type browser struct {
	t    *testing.T
	app  *app
	jar  *cookiejar.Jar
	seen *syncBuffer
	stop bool // at the first redirect
}

func newBrowser(t *testing.T, a *app) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, app: a, jar: jar, seen: &syncBuffer{}}
}

// RoundTrip implements http.RoundTripper.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		fmt.Fprintln(b.seen, r.URL, resp.Status, resp.Header)
	}
	return resp, err
}

type answer struct {
	status int
	header http.Header
	body   string
	url    *url.URL // where it ended
}

// send sends a request; headers are pairs.
func (b *browser) send(method, target, body string, headers ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.app.URL + target
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Jar: b.jar, Transport: b}
	if b.stop {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.seen.Write(text)
	return answer{resp.StatusCode, resp.Header, string(text), resp.Request.URL}
}

func (b *browser) get(target string) answer {
	b.t.Helper()
	return b.send("GET", target, "")
}

// step sends a request without following a redirect.
func (b *browser) step(target string) answer {
	b.t.Helper()
	b.stop = true
	defer func() { b.stop = false }()
	return b.send("GET", target, "")
}

// toCallback signs in as far as the address of the callback, which it returns.
func (b *browser) toCallback() string {
	b.t.Helper()
	return b.authorize(b.step("/login").header.Get("Location"))
}

// authorize opens the issuer's page, and returns where that sends the browser.
func (b *browser) authorize(target string) string {
	b.t.Helper()
	to := b.step(target).header.Get("Location")
	if !strings.Contains(to, "/login/callback?") {
		b.t.Fatalf("the issuer sends the browser to %q", to)
	}
	return to
}

// signIn signs in.
func (b *browser) signIn() {
	b.t.Helper()
	if got := b.get("/login?return_to=/me"); got.status != 200 || got.url.Path != "/me" {
		b.t.Fatalf("sign-in: %d %s at %s", got.status, got.body, got.url)
	}
}

// signedIn reports whether the browser is signed in.
func (b *browser) signedIn() bool {
	b.t.Helper()
	return b.step("/me").status == 200
}

// cookie returns the cookie whose name has a prefix, nil if there is none.
func (b *browser) cookies(prefix string) (found []*http.Cookie) {
	b.t.Helper()
	u, err := url.Parse(b.app.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.jar.Cookies(u) {
		if strings.HasPrefix(c.Name, prefix) {
			found = append(found, c)
		}
	}
	return found
}

// setCookie plants a cookie.
func (b *browser) setCookie(name, value string) {
	b.t.Helper()
	u, err := url.Parse(b.app.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// want checks an answer.
func (a answer) want(t *testing.T, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Errorf("got %d %s at %s\nwant %d %s", a.status, a.body, a.url, status, text)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// String implements fmt.Stringer.
func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
