package login_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) {
		c.Audience, c.Connection, c.Params = audience, "staff", map[string]string{"organization": "o1"}
	})
	b := newBrowser(t, a)
	got := b.get("/me?x=1&y=%2F")
	if got.status != 200 || got.url.RequestURI() != "/me?x=1&y=%2F" {
		t.Fatalf("got %d %s at %s", got.status, got.body, got.url)
	}
	var who struct {
		Principal auth.Principal
		ID        map[string]any
	}
	if err := json.Unmarshal([]byte(got.body), &who); err != nil {
		t.Fatal(err)
	}
	if p := who.Principal; p.Subject != "ann" || p.Name != "Ann" || p.Issuer != i.URL || !p.HasPermission("read:files") || !p.HasScope("openid") {
		t.Errorf("principal %+v", p)
	}
	if who.ID["sid"] != "sid-1" || !strings.Contains(got.body, "12345678901234567890") {
		t.Errorf("claims %v: want them as the ID token has them", got.body)
	}
	for name, want := range map[string]string{
		"audience": audience, "connection": "staff", "organization": "o1", "scope": "openid profile email offline_access",
		"response_type": "code", "code_challenge_method": "S256", "redirect_uri": a.URL + "/login/callback", "client_id": clientID,
	} {
		if got := i.asked.Get(name); got != want {
			t.Errorf("authorize: %s = %q, want %q", name, got, want)
		}
	}
	if len(b.cookies("session-")) != 1 || len(b.cookies("login-")) != 0 {
		t.Errorf("cookies %v: want the session's alone", b.cookies(""))
	}
	if got.header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("Cache-Control %q of a person's page", got.header.Get("Cache-Control"))
	}
	b.get("/token").want(t, 200, "true <nil>")
}

// A secret that changes is asked for each time; as long as there is none nobody can sign in.
func TestSecretFunc(t *testing.T) {
	t.Parallel()
	secret := atomic.Pointer[string]{}
	a := newApp(t, newIssuer(t), func(c *login.Config) {
		c.ClientSecret = ""
		c.SecretFunc = func(context.Context) (string, error) {
			if s := secret.Load(); s != nil {
				return *s, nil
			}
			return "", errors.New("it is not there yet")
		}
	})
	if got := newBrowser(t, a).get("/me"); got.status == 200 {
		t.Errorf("signed in without the secret: %s", got.body)
	}
	right := clientSecret
	secret.Store(&right)
	newBrowser(t, a).get("/me").want(t, 200, "ann")
}

// Without an audience, the ID token says who it is; the access token may be anything.
func TestPrincipalOfIDToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.idClaims = map[string]any{"roles": []string{"b", "a", "a"}, "permissions": []string{"p"}, "name": nil, "email": "ann@example.com"}
	a := newApp(t, i, nil)
	b := newBrowser(t, a)
	b.signIn()
	var who struct{ Principal auth.Principal }
	if err := json.Unmarshal([]byte(b.get("/me").body), &who); err != nil {
		t.Fatal(err)
	}
	p := who.Principal
	if p.Name != "ann@example.com" || !p.HasRole("a") || !p.HasRole("b") || len(p.Roles) != 2 || !p.HasPermission("p") || !p.HasScope("profile") {
		t.Errorf("principal %+v", p)
	}
}

// An ID token need not have a name: then the issuer is asked for it. It is never that of the application.
func TestNameOfUserInfo(t *testing.T) {
	t.Parallel()
	for _, aud := range []string{"", audience} {
		for want, info := range map[string]map[string]any{
			"Ann Info": {"sub": "ann", "name": "Ann Info"},
			"ann":      {"sub": "bob", "name": "Bob"}, // another's (OpenID Connect Core section 5.3.4)
			"ann ":     nil,
		} {
			i := newIssuer(t)
			i.idClaims, i.userInfo = map[string]any{"name": nil}, info
			b := newBrowser(t, newApp(t, i, func(c *login.Config) { c.Audience = aud }))
			b.signIn()
			for range 2 { // before and after a renewal
				var who struct{ Principal auth.Principal }
				if err := json.Unmarshal([]byte(b.get("/me").body), &who); err != nil {
					t.Fatal(err)
				}
				if want = strings.TrimSpace(want); who.Principal.Name != want {
					t.Errorf("audience %q: name %q, want %q", aud, who.Principal.Name, want)
				}
				i.clock.Advance(2 * time.Hour)
			}
			b.app.login.Close()
		}
	}
}

// The cookies are out of reach of scripts, of other sites and, over https, of plain http and other hosts.
func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for base, want := range map[string]struct {
		prefix string
		secure bool
	}{
		"https://app.example.com": {"__Host-login-", true},
		"http://localhost:8080":   {"login-", false},
	} {
		l := newLogin(t, login.Config{Issuer: i.URL, ClientID: clientID, ClientSecret: clientSecret, BaseURL: base, Now: i.clock.Now})
		w := httptest.NewRecorder()
		l.ServeHTTP(w, httptest.NewRequest("GET", base+"/login", nil))
		cookies := w.Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%s: %d %s", base, w.Code, w.Body)
		}
		c := cookies[0]
		if !strings.HasPrefix(c.Name, want.prefix) || c.Secure != want.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: cookie %+v", base, c)
		}
		if !strings.HasPrefix(strings.TrimPrefix(l.SessionCookie(), "__Host-"), "session-") || strings.HasPrefix(l.SessionCookie(), "__Host-") != want.secure {
			t.Errorf("%s: session cookie %s", base, l.SessionCookie())
		}
	}
	// Ports of a host share their cookies: two applications must not.
	names := map[string]bool{}
	for _, c := range []login.Config{
		{BaseURL: "http://localhost:8080"}, {BaseURL: "http://localhost:8081"}, {BaseURL: "http://localhost:8080", Prefix: "/staff"},
	} {
		c.Issuer, c.ClientID = i.URL, clientID
		names[newLogin(t, c).SessionCookie()] = true
	}
	if len(names) != 3 {
		t.Errorf("names of session cookies %v: want three", names)
	}
}

// What a link to the login may say to the issuer.
func TestPassedParameters(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	b := newBrowser(t, a)
	for query, want := range map[string]string{
		"prompt=login":                           "prompt=login",
		"prompt=none":                            "",
		"prompt=x%0Ay":                           "",
		"login_hint=a%40example.com":             "login_hint=a%40example.com",
		"screen_hint=signup&ui_locales=de":       "screen_hint=signup&ui_locales=de",
		"audience=https://other&scope=root":      "",
		"redirect_uri=https://evil":              "",
		"login_hint=" + strings.Repeat("a", 257): "",
	} {
		location, err := url.Parse(b.step("/login?" + query).header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		got := location.Query()
		if got.Get("audience") != audience || got.Get("redirect_uri") != a.URL+"/login/callback" {
			t.Errorf("%s: %v", query, got)
		}
		for _, name := range []string{
			"audience", "redirect_uri", "client_id", "code_challenge", "code_challenge_method", "nonce", "response_type", "scope", "state",
		} {
			got.Del(name)
		}
		if got.Encode() != want {
			t.Errorf("%s: passed %q, want %q", query, got.Encode(), want)
		}
	}
}

// Several tabs sign in at once; the number of cookies is bounded.
func TestParallelTabs(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	b := newBrowser(t, a)
	first := b.step("/login?return_to=/me%3Ftab=1").header.Get("Location")
	second := b.step("/login?return_to=/me%3Ftab=2").header.Get("Location")
	for tab, location := range map[string]string{"2": second, "1": first} {
		got := b.get(b.authorize(location))
		if got.status != 200 || got.url.RawQuery != "tab="+tab {
			t.Errorf("tab %s: %d at %s", tab, got.status, got.url)
		}
	}
	for range 50 {
		a.issuer.clock.Advance(time.Second)
		b.step("/login?return_to=/" + strings.Repeat("a", 300))
		size := 0
		for _, c := range b.cookies("login-") {
			size += len(c.Value)
		}
		if n := len(b.cookies("login-")); n > 10 || size > 4096 {
			t.Fatalf("%d cookies with %d bytes of sign-ins under way", n, size)
		}
	}
	if n := len(b.cookies("login-")); n < 3 {
		t.Errorf("%d cookies of sign-ins under way, want those that there is room for", n)
	}
	if got := b.get(b.authorize(b.step("/login?return_to=/me").header.Get("Location"))); got.status != 200 {
		t.Errorf("the newest tab: %d %s", got.status, got.body)
	}
}

// A browser at another name of this machine is sent to the name that the cookies are for.
func TestOtherNameOfThisMachine(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, tt := range []struct{ base, asked, want string }{
		{"http://localhost:8080", "http://127.0.0.1:8080/login?return_to=/a", "http://localhost:8080/login?return_to=%2Fa"},
		{"http://localhost:8080", "http://[::1]:8080/login", "http://localhost:8080/login?"},
		{"http://localhost:8080", "http://localhost:8080/login", i.URL + "/authorize?"},
		{"http://localhost:8080", "http://evil.example:8080/login", i.URL + "/authorize?"},
		{"http://localhost:8080", "http://127.0.0.1:9090/login", i.URL + "/authorize?"},
		{"https://app.example.com", "http://127.0.0.1/login", i.URL + "/authorize?"}, // a proxy
	} {
		l := newLogin(t, login.Config{Issuer: i.URL, ClientID: clientID, BaseURL: tt.base, Now: i.clock.Now})
		w := httptest.NewRecorder()
		l.ServeHTTP(w, httptest.NewRequest("GET", tt.asked, nil))
		if got := w.Header().Get("Location"); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s, asked for %s: sent to %s, want %s", tt.base, tt.asked, got, tt.want)
		}
	}
}

// Who is no browser opening a page is answered with 401.
func TestRequireAnswers(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	b := newBrowser(t, a)
	b.stop = true
	for _, tt := range []struct {
		method  string
		headers []string
		status  int
	}{
		{"GET", nil, 302},
		{"HEAD", nil, 302},
		{"GET", []string{"Sec-Fetch-Mode", "navigate"}, 302},
		{"GET", []string{"Sec-Fetch-Mode", "cors"}, 401},
		{"GET", []string{"Accept", "application/json"}, 401},
		{"GET", []string{"Accept", "*/*"}, 401},
		{"GET", []string{"Authorization", "Bearer x"}, 401},
		{"POST", nil, 401},
		{"DELETE", nil, 401},
	} {
		got := b.send(tt.method, "/me", "", tt.headers...)
		if got.status != tt.status {
			t.Errorf("%s %v: %d, want %d", tt.method, tt.headers, got.status, tt.status)
		}
		if tt.status == 401 && (got.header.Get("WWW-Authenticate") == "" || !strings.Contains(got.header.Get("Content-Type"), "problem+json")) {
			t.Errorf("%s %v: %v", tt.method, tt.headers, got.header)
		}
	}
}

// Redirect leaves to the handler whom it lets in.
func TestRedirectLeavesTheDecision(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: i.URL, Audiences: []string{audience}, Now: i.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	guarded := a.login.Redirect(auth.Middleware(auth.First(verifier, a.login), auth.Permission("read:files"), http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(auth.From(r.Context()).Name)) })))
	i.mu.Lock()
	bearer := i.sign("at+jwt", map[string]any{"aud": audience, "client_id": "robot", "sub": "robot", "permissions": []string{"read:files"}}, nil)
	i.mu.Unlock()
	b := newBrowser(t, a)
	b.signIn()
	session := b.cookies("session-")[0]
	for _, tt := range []struct {
		name, header, value string
		status              int
		body                string
	}{
		{"browser", "Accept", "text/html", 302, ""},
		{"script", "Accept", "*/*", 401, "bearer token"},
		{"robot", "Authorization", "Bearer " + bearer, 200, "robot"},
		{"session", "Cookie", session.String(), 200, "Ann"},
	} {
		r := httptest.NewRequest("GET", a.URL+"/files", nil)
		r.Header.Set(tt.header, tt.value)
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, w.Code, w.Body, tt.status, tt.body)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := login.Config{Issuer: "https://issuer.example/", ClientID: "app", BaseURL: "https://app.example.com/"}
	if _, err := login.New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*login.Config){
		"ClientID is empty":       func(c *login.Config) { c.ClientID = "" },
		"Issuer is empty":         func(c *login.Config) { c.Issuer = "" },
		"Issuer":                  func(c *login.Config) { c.Issuer = "issuer.example" },
		"BaseURL is empty":        func(c *login.Config) { c.BaseURL = "" },
		"is plain http":           func(c *login.Config) { c.BaseURL = "http://app.example.com" },
		`"http://issuer.example"`: func(c *login.Config) { c.Issuer = "http://issuer.example" },
		"has a path":              func(c *login.Config) { c.BaseURL = "https://app.example.com/app" },
		"Prefix":                  func(c *login.Config) { c.Prefix = "staff" },
		`Prefix "//evil"`:         func(c *login.Config) { c.Prefix = "//evil" },
		"AfterLogout":             func(c *login.Config) { c.AfterLogout = "https://evil.example" },
		`cannot set "state"`:      func(c *login.Config) { c.Params = map[string]string{"state": "x"} },
		"without Config.Sealer":   func(c *login.Config) { c.Store = login.NewMemoryStore() },
		"is negative":             func(c *login.Config) { c.Lifetime = -1 },
	} {
		config := good
		change(&config)
		if _, err := login.New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The login starts without its issuer, says so, and works when the issuer comes.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.down = true
	a := newApp(t, i, nil)
	b := newBrowser(t, a)
	got := b.get("/login")
	got.want(t, 503, "cannot be reached at the moment")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	i.set(func() { i.down = false })
	b.get("/login").want(t, 503, "cannot be reached") // not asked again so soon
	i.clock.Advance(2 * time.Second)
	b.signIn()
}

// A discovery document of another issuer, or with endpoints that secrets must not go to, is none.
func TestDiscoveryIsChecked(t *testing.T) {
	t.Parallel()
	for _, change := range []map[string]any{
		{"issuer": "https://evil.example"},
		{"token_endpoint": "http://evil.example/token"},
		{"authorization_endpoint": "javascript:alert(1)"},
		{"jwks_uri": ""},
		{"filler": strings.Repeat("x", 2<<20)},
	} {
		i := newIssuer(t)
		i.discovery = change
		newBrowser(t, newApp(t, i, nil)).get("/login").want(t, 503, "cannot be reached")
	}
}
