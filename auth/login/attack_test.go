package login_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/auth/login"
)

// Login CSRF (RFC 6749 section 10.12, CWE-352): an answer counts in the browser alone that asked for it, once.
func TestStateIsBoundToTheBrowser(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	attacker, victim := newBrowser(t, a), newBrowser(t, a)
	callback := attacker.toCallback()
	refused := func(what string, b *browser, target string) {
		t.Helper()
		if got := b.get(target); got.status != 400 || b.signedIn() {
			t.Errorf("%s: %d %s, signed in: %t", what, got.status, got.body, b.signedIn())
		}
	}
	refused("state of another browser", victim, callback)
	victim.toCallback() // has a sign-in of its own under way
	refused("state of another browser", victim, callback)
	refused("no state", victim, without(t, callback, "state"))
	refused("empty state", victim, with(t, callback, "state", ""))
	refused("unknown state", victim, with(t, callback, "state", strings.Repeat("A", 34)))
	refused("malformed state", victim, with(t, callback, "state", "../;="))
	refused("long state", victim, with(t, callback, "state", strings.Repeat("A", 5000)))

	// Nor does the cookie of another sign-in, planted under the name of this one.
	planted := newBrowser(t, a)
	planted.toCallback()
	planted.setCookie(a.login.PendingName(query(t, callback).Get("state")), planted.cookies("login-")[0].Value)
	refused("cookie of another sign-in", planted, callback)

	if got := attacker.get(callback); got.status != 200 {
		t.Fatalf("the right browser: %d %s", got.status, got.body)
	}
	if got := attacker.get(callback); got.status != 400 {
		t.Errorf("state replayed (RFC 6749 section 10.5): %d", got.status)
	}
	if n := a.issuer.grants("authorization_code"); n != 1 {
		t.Errorf("%d codes were redeemed, want the good one alone", n)
	}
}

// A sign-in that was begun long ago does not count.
func TestStateExpires(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	b := newBrowser(t, a)
	callback := b.toCallback()
	a.issuer.clock.Advance(31 * time.Minute)
	if got := b.get(callback); got.status != 400 || b.signedIn() {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Code injection (RFC 9700 section 4.5): a code of another sign-in does not pass PKCE, nor an ID token its nonce.
func TestCodeInjection(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, nil)
	attacker, victim := newBrowser(t, a), newBrowser(t, a)
	stolen := query(t, victim.toCallback()).Get("code")
	got := attacker.get(with(t, attacker.toCallback(), "code", stolen))
	if got.status != 400 || attacker.signedIn() {
		t.Errorf("code of another sign-in: %d %s", got.status, got.body)
	}
	for name, claims := range map[string]map[string]any{
		"another nonce": {"nonce": "x"}, "no nonce": {"nonce": nil},
		"another audience": {"aud": "other"}, "issued to another": {"azp": "other"}, "several audiences, issued to nobody": {"aud": []string{clientID, "other"}},
		"another issuer": {"iss": "https://evil.example"}, "expired": {"exp": i.clock.Now().Add(-time.Minute).Unix()},
		"another access token": {"at_hash": "AAAA"}, "no subject": {"sub": nil},
	} {
		i.set(func() { i.idClaims = claims })
		b := newBrowser(t, a)
		if got := b.get(b.toCallback()); got.status != 400 || b.signedIn() {
			t.Errorf("ID token with %s: %d %s", name, got.status, got.body)
		}
	}
	if a.store.Len() != 0 {
		t.Errorf("%d sessions", a.store.Len())
	}
}

// The access token must be for this API, about the same person as the ID token.
func TestAccessTokenIsVerified(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	for name, claims := range map[string]map[string]any{
		"another audience": {"aud": "https://other.example.com"}, "another subject": {"sub": "bob"}, "expired": {"exp": i.clock.Now().Add(-time.Hour).Unix()},
	} {
		i.set(func() { i.accClaims = claims })
		b := newBrowser(t, a)
		if got := b.get(b.toCallback()); got.status != 400 || b.signedIn() {
			t.Errorf("access token with %s: %d %s", name, got.status, got.body)
		}
	}
}

// Mix-up (RFC 9207, RFC 9700 section 4.4): the answer must say that it is this issuer's, before anything of it counts.
func TestMixUp(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, nil)
	for name, answer := range map[string]url.Values{
		"another issuer":               {"iss": {"https://evil.example"}},
		"no issuer":                    {"iss": {}},
		"empty issuer":                 {"iss": {""}},
		"two issuers":                  {"iss": {i.URL, "https://evil.example"}},
		"issuer with a slash":          {"iss": {i.URL + "/"}},
		"two states":                   {"state": {"a", "b"}},
		"two codes":                    {"code": {"a", "b"}},
		"error of another":             {"iss": {"https://evil.example"}, "error": {"access_denied"}, "error_description": {"call 555-1234"}},
		"no code":                      {"code": {}},
		"empty code beside everything": {"code": {""}},
	} {
		i.set(func() { i.answer = answer })
		b := newBrowser(t, a)
		got := b.get(b.toCallback())
		if got.status != 400 || b.signedIn() || strings.Contains(got.body, "555-1234") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if n := i.grants("authorization_code"); n != 0 {
		t.Errorf("%d codes were sent to the token endpoint, want none", n)
	}
	// An issuer that does not send it need not, but what it sends must be right.
	i.set(func() {
		i.discovery, i.answer = map[string]any{"authorization_response_iss_parameter_supported": nil}, url.Values{"iss": {}}
	})
	a = newApp(t, i, nil)
	newBrowser(t, a).signIn()
	i.set(func() { i.answer = url.Values{"iss": {"https://evil.example"}} })
	b := newBrowser(t, a)
	b.get(b.toCallback()).want(t, 400, "could not be completed")
}

// Whoever cancels is told so, in plain text.
func TestErrorsOfTheIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, nil)
	for _, tt := range []struct {
		answer url.Values
		status int
		text   string
	}{
		{url.Values{"error": {"access_denied"}}, 403, "cancelled"},
		{url.Values{"error": {"server_error"}}, 503, "try again"},
		{url.Values{"error": {"<script>"}, "error_description": {`<img src=x onerror=alert(1)>"'`}}, 400, "&lt;img src=x"},
	} {
		i.set(func() { i.answer = tt.answer })
		b := newBrowser(t, a)
		got := b.get(b.authorize(b.step("/login?return_to=/me%3Fa=%22b").header.Get("Location")))
		got.want(t, tt.status, tt.text)
		if strings.Contains(got.body, "<img") || strings.Contains(got.body, "<script") || b.signedIn() {
			t.Errorf("%v: %s", tt.answer, got.body)
		}
		if !strings.Contains(got.body, `href="/login?return_to=%2Fme%3Fa%3D%22b"`) {
			t.Errorf("no link to try again: %s", got.body)
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("Content-Security-Policy %q", policy)
		}
		_, style, _ := strings.Cut(got.body, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("Content-Security-Policy %q does not allow the page's style", policy)
		}
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers %v", got.header)
		}
	}
	// Without a state of this browser nothing of the query is shown (content spoofing, CWE-451).
	got := newBrowser(t, a).get("/login/callback?error=access_denied&error_description=call+555-1234&state=" + strings.Repeat("A", 34))
	if got.status != 400 || strings.Contains(got.body, "555-1234") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Session fixation (CWE-384): the cookie is new at each sign-in, and the session before ends.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	attacker, victim := newBrowser(t, a), newBrowser(t, a)
	attacker.signIn()
	planted := attacker.cookies("session-")[0]
	victim.setCookie(planted.Name, planted.Value)
	victim.signIn()
	now := victim.cookies("session-")
	if len(now) != 1 || now[0].Value == planted.Value {
		t.Fatalf("the cookie of before the sign-in is good after it: %v", now)
	}
	if attacker.signedIn() {
		t.Error("the planted session lives on")
	}
	if !victim.signedIn() || a.store.Len() != 1 {
		t.Errorf("signed in: %t, %d sessions", victim.signedIn(), a.store.Len())
	}
	// A value that nobody gave out is no session.
	b := newBrowser(t, a)
	b.setCookie(planted.Name, strings.Repeat("A", 26))
	b.signIn()
	if b.cookies("session-")[0].Value == strings.Repeat("A", 26) {
		t.Error("a made-up cookie became a session")
	}
}

// CSRF (CWE-352): another site, also another port of this host, cannot act with the session or end it.
func TestCrossSiteRequests(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	b := newBrowser(t, a)
	b.signIn()
	for _, tt := range []struct {
		method, name, value string
		status              int
	}{
		{"POST", "Sec-Fetch-Site", "same-origin", 200},
		{"POST", "Sec-Fetch-Site", "none", 200},
		{"POST", "Sec-Fetch-Site", "cross-site", 401},
		{"POST", "Sec-Fetch-Site", "same-site", 401},
		{"PUT", "Sec-Fetch-Site", "same-site", 401},
		{"DELETE", "Origin", "https://evil.example", 401},
		{"POST", "Origin", "null", 401},
		{"POST", "Origin", "http://127.0.0.1:1", 401},
		{"POST", "Origin", a.URL, 200},
		{"POST", "X-Nothing", "", 200}, // no browser
		{"GET", "Sec-Fetch-Site", "cross-site", 200},
	} {
		if got := b.send(tt.method, "/do", "", tt.name, tt.value); got.status != tt.status {
			t.Errorf("%s with %s %s: %d %s, want %d", tt.method, tt.name, tt.value, got.status, got.body, tt.status)
		}
		if got := b.send(tt.method, "/me", "", tt.name, tt.value); tt.status == 401 && got.status != 401 {
			t.Errorf("Require: %s with %s %s: %d", tt.method, tt.name, tt.value, got.status)
		}
	}
	// Cross-site WebSocket hijacking (CWE-1385).
	for origin, want := range map[string]int{"https://evil.example": 401, a.URL: 200} {
		r := httptest.NewRequest("GET", a.URL+"/do", nil)
		r.AddCookie(b.cookies("session-")[0])
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		a.handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("WebSocket from %s: %d, want %d", origin, w.Code, want)
		}
	}
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		b.send("POST", "/logout", "", name, value).want(t, 403, "still signed in")
	}
	b.get("/logout").want(t, 200, `<form method="post" action="/logout">`)
	if !b.signedIn() {
		t.Error("another site, or a link, ended the session")
	}
}

// Cookies that were changed, cut, made too long or given twice are no session and no sign-in under way, and do no harm.
func TestTamperedCookies(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	b := newBrowser(t, a)
	b.signIn()
	good := b.cookies("session-")[0]
	for _, value := range []string{
		"", "x", good.Value[:25], good.Value + "A", strings.ToLower(good.Value), flip(good.Value), strings.Repeat("A", 26), strings.Repeat("A", 7000),
	} {
		b.setCookie(good.Name, value)
		if b.signedIn() {
			t.Errorf("signed in with %.40q", value)
		}
		b.get("/").want(t, 200, "home")
		b.send("POST", "/do", "").want(t, 401, "")
	}
	// Cookie tossing: of two, which is the right one cannot be told.
	r := httptest.NewRequest("GET", a.URL+"/me", nil)
	r.Header.Set("Cookie", good.String()+"; "+good.Name+"=x")
	if a.login.HasSession(r) {
		t.Error("one of two cookies was taken")
	}
	b.setCookie(good.Name, good.Value)
	if !b.signedIn() {
		t.Error("the good cookie does not count any more")
	}

	callback := b.toCallback()
	pending := b.cookies("login-")[0]
	for _, value := range []string{"", "x", pending.Value[:len(pending.Value)-1], flip(pending.Value), strings.Repeat("A", 5000), good.Value} {
		fresh := newBrowser(t, a)
		fresh.setCookie(pending.Name, value)
		if got := fresh.get(callback); got.status != 400 || fresh.signedIn() {
			t.Errorf("sign-in with the cookie %.40q: %d", value, got.status)
		}
	}
}

// Codes and secrets do not follow a redirect of the token endpoint (RFC 9700 section 4.12).
func TestTokenEndpointRedirects(t *testing.T) {
	t.Parallel()
	stolen := make(chan string, 9)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen <- r.PostFormValue("code") + r.Header.Get("Authorization")
	}))
	t.Cleanup(thief.Close)
	i := newIssuer(t)
	redirects := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirects.Close)
	i.discovery = map[string]any{"token_endpoint": redirects.URL}
	b := newBrowser(t, newApp(t, i, nil))
	b.get(b.toCallback()).want(t, 503, "try again")
	select {
	case what := <-stolen:
		t.Errorf("the redirect got %q", what)
	default:
	}
}

// Nothing in the store opens the sessions, and a record cannot be passed off as another's.
func TestStoreKnowsNothing(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	ann, eve := newBrowser(t, a), newBrowser(t, a)
	ann.signIn()
	records := a.store.Records()
	var annKey string
	for key, record := range records {
		annKey = key
		text := key + record.Subject + record.SID + string(record.Sealed)
		for _, secret := range append(a.issuer.secrets, "ann", "Ann", "sid-1", ann.cookies("session-")[0].Value) {
			if strings.Contains(text, secret) {
				t.Errorf("the store has %q", secret)
			}
		}
	}
	eve.signIn()
	for key, record := range a.store.Records() {
		if key != annKey { // somebody with the store puts ann's session on eve's cookie
			stolen := records[annKey]
			stolen.Version = record.Version
			if err := a.store.Put(t.Context(), key, stolen); err != nil {
				t.Fatal(err)
			}
		}
	}
	if eve.signedIn() {
		t.Error("a record under another key is a session")
	}
	if !ann.signedIn() {
		t.Error("ann's session is gone")
	}
}

// Tokens, codes' verifiers and secrets never reach a browser or the log.
func TestTokensStayHere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.Audience = audience })
	b := newBrowser(t, a)
	b.signIn()
	b.get("/token")
	i.clock.Advance(59*time.Minute + 30*time.Second)
	b.get("/me")
	a.login.Close() // waits for the renewal
	i.clock.Advance(time.Minute)
	b.get("/token").want(t, 200, "true <nil>")
	i.set(func() { i.answer = url.Values{"code": {"bad"}} })
	b.get(b.toCallback())
	session := b.cookies("session-")[0].Value
	b.send("POST", "/logout", "", "Sec-Fetch-Site", "same-origin")
	if i.grants("refresh_token") == 0 {
		t.Fatal("nothing was renewed")
	}
	seen, log := b.seen.String(), a.log.String()
	for _, secret := range append(i.secrets, clientSecret, url.QueryEscape(clientSecret)) {
		if strings.Contains(seen, secret) {
			t.Errorf("the browser saw %.30q", secret)
		}
		if strings.Contains(log, secret) {
			t.Errorf("the log has %.30q", secret)
		}
	}
	if strings.Contains(log, session) || strings.Contains(log, i.asked.Get("state")) || !strings.Contains(log, "signed in") {
		t.Errorf("log: %s", log)
	}
}

func query(t *testing.T, target string) url.Values {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func with(t *testing.T, target, name, value string) string {
	t.Helper()
	q := query(t, target)
	q.Set(name, value)
	return strings.Split(target, "?")[0] + "?" + q.Encode()
}

func without(t *testing.T, target, name string) string {
	t.Helper()
	q := query(t, target)
	q.Del(name)
	return strings.Split(target, "?")[0] + "?" + q.Encode()
}

// flip changes one character.
func flip(value string) string {
	c := "A"
	if value[5] == 'A' {
		c = "B"
	}
	return value[:5] + c + value[6:]
}

var _ http.RoundTripper = (*browser)(nil)
