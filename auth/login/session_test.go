package login_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
)

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) {
		c.IdleTimeout, c.Lifetime = time.Hour, 3*time.Hour
		// A store may forget to end them.
		c.Store = login.NewMemoryStoreAt(func() time.Time { return time.Time{} })
	})
	b := newBrowser(t, a)
	b.signIn()
	i.clock.Advance(50 * time.Minute)
	if !b.signedIn() {
		t.Fatal("the session ended before its time")
	}
	i.clock.Advance(50 * time.Minute)
	if !b.signedIn() {
		t.Fatal("its use did not keep the session")
	}
	i.clock.Advance(61 * time.Minute)
	if b.signedIn() {
		t.Fatal("an idle session lives on")
	}
	b.signIn()
	for n := range 7 {
		i.clock.Advance(29 * time.Minute)
		if alive := b.signedIn(); alive != (n < 6) {
			t.Errorf("after %v, in use: signed in %t", time.Duration(n+1)*29*time.Minute, alive)
		}
	}
}

// countingStore counts writes.
type countingStore struct {
	login.Store
	puts atomic.Int64
	fail atomic.Bool
}

// Put implements login.Store.
func (c *countingStore) Put(ctx context.Context, key string, record login.Record) error {
	if c.fail.Load() {
		return errors.New("no space")
	}
	c.puts.Add(1)
	return c.Store.Put(ctx, key, record)
}

// Get implements login.Store.
func (c *countingStore) Get(ctx context.Context, key string) (login.Record, error) {
	if c.fail.Load() {
		return login.Record{}, errors.New("no store")
	}
	return c.Store.Get(ctx, key)
}

// A request does not write.
func TestUseIsNotedSeldom(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	store := &countingStore{Store: login.NewMemoryStoreAt(i.clock.Now)}
	i.lifetime = 24 * time.Hour
	a := newApp(t, i, func(c *login.Config) { c.Store, c.IdleTimeout = store, 10*time.Hour })
	b := newBrowser(t, a)
	b.signIn()
	before := store.puts.Load()
	for range 60 {
		i.clock.Advance(time.Minute)
		b.get("/me")
	}
	if n := store.puts.Load() - before; n < 1 || n > 2 {
		t.Errorf("%d writes in an hour of use, want two", n)
	}
}

// A store that fails is no reason to take somebody for nobody.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	store := &countingStore{Store: login.NewMemoryStoreAt(i.clock.Now)}
	a := newApp(t, i, func(c *login.Config) { c.Store = store })
	b := newBrowser(t, a)
	store.fail.Store(true)
	b.get(b.toCallback()).want(t, 503, "could not be kept")
	store.fail.Store(false)
	b.signIn()
	store.fail.Store(true)
	b.get("/me").want(t, 503, "session cannot be read")
	b.send("GET", "/me", "", "Accept", "application/json").want(t, 503, "could not be found out")
	b.send("POST", "/logout", "").want(t, 503, "still signed in")
	store.fail.Store(false)
	if !b.signedIn() {
		t.Error("the session is gone")
	}
}

// Refresh tokens rotate: a hundred requests at once use one once (RFC 9700 section 4.14).
func TestRefreshRace(t *testing.T) {
	t.Parallel()
	for _, expired := range []bool{false, true} {
		i := newIssuer(t)
		a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
		b := newBrowser(t, a)
		b.signIn()
		i.clock.Advance(59*time.Minute + 30*time.Second)
		if expired {
			i.clock.Advance(time.Minute)
		}
		var wg sync.WaitGroup
		session := b.cookies("session-")[0]
		for range 100 {
			wg.Go(func() {
				r := httptest.NewRequest("GET", a.URL+"/do", nil)
				r.AddCookie(session)
				w := httptest.NewRecorder()
				a.handler().ServeHTTP(w, r)
				if w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		wg.Wait()
		a.login.Close()
		if n := i.grants("refresh_token"); n != 1 {
			t.Errorf("access token expired: %t: %d refreshes, want 1", expired, n)
		}
		if !b.signedIn() {
			t.Error("signed out")
		}
		i.clock.Advance(time.Hour)
		if !b.signedIn() || i.grants("refresh_token") != 2 {
			t.Errorf("the next refresh token was not kept: %d refreshes", i.grants("refresh_token"))
		}
	}
}

// While the access token is good, nobody waits for its renewal; nor is anybody signed out because it fails.
func TestIssuerIsDownWhileRefreshing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	b := newBrowser(t, a)
	b.signIn()
	i.clock.Advance(59*time.Minute + 10*time.Second)
	hold, entered := make(chan struct{}), make(chan struct{}, 9)
	i.set(func() { i.hold, i.entered = hold, entered })
	for range 2 {
		if !b.signedIn() {
			t.Error("signed out while the tokens are renewed")
		}
	}
	<-entered
	i.set(func() { i.down, i.hold = true, nil })
	i.clock.Advance(5 * time.Second)
	close(hold)
	a.login.Close()
	// That one was renewed; the next is not.
	i.clock.Advance(59*time.Minute + 10*time.Second)
	before := i.turnedAway.Load()
	for range 5 {
		if !b.signedIn() {
			t.Error("signed out though the access token is good")
		}
		a.login.Close()
	}
	if n := i.turnedAway.Load() - before; n > 2 { // for its metadata, and for tokens
		t.Errorf("the issuer was asked %d times in a moment, want once for each thing", n)
	}
	i.clock.Advance(time.Hour)
	b.get("/me").want(t, 503, "not available")
	b.send("POST", "/do", "").want(t, 503, "")
	i.set(func() { i.down = false })
	i.clock.Advance(time.Minute)
	b.get("/me").want(t, 200, "ann")
}

// Without an audience the session does not stand on the access token.
func TestIssuerIsDownWithoutAudience(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, nil)
	b := newBrowser(t, a)
	b.signIn()
	i.set(func() { i.down = true })
	i.clock.Advance(2 * time.Hour)
	if !b.signedIn() {
		t.Error("signed out")
	}
	b.get("/token").want(t, 200, "false login: the issuer is not available")
	a.login.Close()
}

// When the issuer does not renew the tokens any more, the session ends.
func TestRefreshTokenIsRevoked(t *testing.T) {
	t.Parallel()
	for _, aud := range []string{"", audience} {
		i := newIssuer(t)
		a := newApp(t, i, func(c *login.Config) { c.Audience = aud })
		b := newBrowser(t, a)
		b.signIn()
		i.set(func() { clear(i.refresh) })
		i.clock.Advance(2 * time.Hour)
		b.step("/me")
		a.login.Close()
		if b.signedIn() || a.store.Len() != 0 {
			t.Errorf("audience %q: signed in still, %d sessions", aud, a.store.Len())
		}
		b.signIn() // and can sign in again
	}
}

// An access token ends when it says so, also if the issuer's answer promises more.
func TestAccessTokenEndsEarlier(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.noRefresh, i.accClaims = true, map[string]any{"exp": i.clock.Now().Add(10 * time.Minute).Unix()}
	b := newBrowser(t, newApp(t, i, func(c *login.Config) { c.Audience = audience }))
	b.signIn()
	i.clock.Advance(11 * time.Minute)
	if b.signedIn() {
		t.Error("signed in by a token that has expired")
	}
}

// Without a refresh token a session for an audience ends with its access token.
func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.noRefresh = true
	for aud, want := range map[string]bool{audience: false, "": true} {
		a := newApp(t, i, func(c *login.Config) { c.Audience = aud })
		b := newBrowser(t, a)
		b.signIn()
		i.clock.Advance(61 * time.Minute)
		if got := b.signedIn(); got != want {
			t.Errorf("audience %q: signed in %t, want %t", aud, got, want)
		}
		if want {
			b.get("/token").want(t, 200, "has expired")
		}
	}
}

// A sign-out wins over a renewal that is under way: the session does not come back, and its new token is given up.
func TestLogoutDuringRefresh(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	b := newBrowser(t, a)
	b.signIn()
	session := b.cookies("session-")[0]
	i.clock.Advance(59*time.Minute + 10*time.Second)
	hold, entered := make(chan struct{}), make(chan struct{}, 9)
	i.set(func() { i.hold, i.entered = hold, entered })
	b.get("/me")
	<-entered
	b.send("POST", "/logout", "")
	close(hold)
	a.login.Close()
	b.setCookie(session.Name, session.Value)
	if b.signedIn() || a.store.Len() != 0 {
		t.Error("the session came back")
	}
	if len(i.revoked) != 2 {
		t.Errorf("revoked %d refresh tokens, want the old one and the new one", len(i.revoked))
	}
}

// Two processes with one store use a refresh token once between them.
func TestRefreshInTwoProcesses(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	other := newLogin(t, login.Config{
		Issuer: i.URL, ClientID: clientID, ClientSecret: clientSecret, BaseURL: a.URL, Audience: audience,
		Store: a.store, Sealer: newSealer(t), Now: i.clock.Now,
	})
	b := newBrowser(t, a)
	b.signIn()
	i.clock.Advance(2 * time.Hour)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			r := httptest.NewRequest("GET", a.URL+"/do", nil)
			r.AddCookie(b.cookies("session-")[0])
			l := a.login
			if n%2 == 0 {
				l = other
			}
			if p, err := l.Authenticate(r); err != nil || p == nil {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
	wg.Wait()
	if n := i.grants("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// A process that died while it renewed the tokens holds nobody up for long.
func TestCrashDuringRefresh(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	b := newBrowser(t, a)
	b.signIn()
	i.clock.Advance(2 * time.Hour)
	r := httptest.NewRequest("GET", a.URL+"/do", nil)
	r.AddCookie(b.cookies("session-")[0])
	if err := a.login.LeaseElsewhere(r, i.clock.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if p, err := a.login.Authenticate(r.WithContext(ctx)); p != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("renewed under another's lease: %v, %v", p, err)
	}
	i.clock.Advance(15 * time.Second)
	if p, err := a.login.Authenticate(r); err != nil || p == nil {
		t.Errorf("%v, %v", p, err)
	}
	if n := i.grants("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// A renewed token of somebody else, or for another API, ends the session.
func TestRenewedTokensAreVerified(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*issuer){
		"ID token of another":              func(i *issuer) { i.idClaims = map[string]any{"sub": "bob"} },
		"access token of another":          func(i *issuer) { i.accClaims = map[string]any{"sub": "bob"} },
		"access token for another API":     func(i *issuer) { i.accClaims = map[string]any{"aud": "https://other.example.com"} },
		"access token of another issuer":   func(i *issuer) { i.accClaims = map[string]any{"iss": "https://evil.example"} },
		"access token that has expired":    func(i *issuer) { i.accClaims = map[string]any{"exp": 1} },
		"both tokens are of another":       func(i *issuer) { i.accClaims, i.idClaims = map[string]any{"sub": "bob"}, map[string]any{"sub": "bob"} },
		"access token without an audience": func(i *issuer) { i.accClaims = map[string]any{"aud": nil} },
	} {
		i := newIssuer(t)
		a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
		b := newBrowser(t, a)
		b.signIn()
		i.set(func() { change(i) })
		i.clock.Advance(2 * time.Hour)
		if b.signedIn() || a.store.Len() != 0 {
			t.Errorf("%s: signed in", name)
		}
	}
}

// Renewed tokens bring the rights of now, and a token whose keys cannot be had is looked at later.
func TestRenewedRights(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	b := newBrowser(t, a)
	b.signIn()
	i.set(func() {
		i.accClaims = map[string]any{"permissions": []string{"approve:files"}}
		i.idClaims = map[string]any{"name": "Ann Other"}
	})
	i.clock.Advance(2 * time.Hour)
	got := b.get("/me")
	if got.status != 200 || !strings.Contains(got.body, "approve:files") || strings.Contains(got.body, "read:files") || !strings.Contains(got.body, "Ann Other") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestEndSessions(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	one, two := newBrowser(t, a), newBrowser(t, a)
	one.signIn()
	two.signIn()
	for _, subject := range []string{"bob", "ann"} {
		if subject == "ann" && !(one.signedIn() && two.signedIn()) {
			t.Error("the sessions of another ended")
		}
		if err := a.login.EndSessions(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
	}
	if one.signedIn() || two.signedIn() {
		t.Error("a session lives on")
	}
	if err := a.login.EndSessions(t.Context(), ""); err == nil {
		t.Error("nobody's sessions were ended")
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	r := httptest.NewRequest("GET", a.URL+"/", nil)
	if p, err := a.login.Authenticate(r); p != nil || err != nil {
		t.Errorf("Authenticate: %v, %v", p, err)
	}
	if _, err := a.login.Token(r); !errors.Is(err, login.ErrNoSession) {
		t.Errorf("Token: %v", err)
	}
	if _, err := a.login.IDClaims(r); !errors.Is(err, login.ErrNoSession) {
		t.Errorf("IDClaims: %v", err)
	}
	b := newBrowser(t, a)
	b.signIn()
	r = httptest.NewRequest("POST", a.URL+"/", nil)
	r.AddCookie(b.cookies("session-")[0])
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if _, err := a.login.Token(r); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Token for another site: %v", err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	i := startIssuer()
	defer i.Close()
	l, err := login.New(login.Config{
		Issuer: i.URL, ClientID: clientID, ClientSecret: clientSecret, BaseURL: "http://localhost:8080", Audience: audience,
		Now: i.clock.Now, Logger: quiet,
	})
	if err != nil {
		b.Fatal(err)
	}
	begin := httptest.NewRecorder()
	l.ServeHTTP(begin, httptest.NewRequest("GET", "http://localhost:8080/login", nil))
	resp, err := http.DefaultTransport.RoundTrip(httptest.NewRequest("GET", begin.Header().Get("Location"), nil))
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	r := httptest.NewRequest("GET", resp.Header.Get("Location"), nil)
	r.AddCookie(begin.Result().Cookies()[0])
	end := httptest.NewRecorder()
	l.ServeHTTP(end, r)
	r = httptest.NewRequest("GET", "http://localhost:8080/", nil)
	for _, c := range end.Result().Cookies() {
		r.AddCookie(c)
	}
	b.ReportAllocs()
	for b.Loop() {
		if p, err := l.Authenticate(r); p == nil || err != nil {
			b.Fatal(p, err)
		}
	}
}
