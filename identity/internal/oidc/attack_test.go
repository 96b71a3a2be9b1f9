package oidc_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/oidc"
)

// RFC 6749 sections 4.1.2 and 10.5: a code is good once, and one that comes again takes its tokens with it.
func TestCodeReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.code(t, w.request(w.web))
	tokens := w.exchange(t, code).good(t)
	if a := w.userinfo(t, tokens.text("access_token")); a.status != http.StatusOK {
		t.Fatalf("userinfo %d %s", a.status, a.body)
	}
	w.exchange(t, code).want(t, "invalid_grant")
	if a := w.userinfo(t, tokens.text("access_token")); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("userinfo with a token of a replayed code: %d %v", a.status, a.header)
	}
	w.refresh(t, tokens.text("refresh_token")).want(t, "invalid_grant")
	// Many at once get one answer.
	code = w.code(t, w.request(w.web))
	if n := w.parallel(t, 20, func() *answer { return w.exchange(t, code) }); n != 1 {
		t.Errorf("%d of 20 exchanges of one code got tokens, want 1", n)
	}
	// A minute is all it has.
	code = w.code(t, w.request(w.web))
	w.Clock.Advance(61 * time.Second)
	w.exchange(t, code).want(t, "invalid_grant")
}

// parallel runs a request n times at once and counts how often it got tokens.
func (w *world) parallel(t *testing.T, n int, fn func() *answer) (good int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wg.Go(func() {
			a := fn()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.status == http.StatusOK:
				good++
			case a.text("error") != "invalid_grant":
				t.Errorf("answer %d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	return good
}

// RFC 9700 section 4.5: a code that somebody has stolen or planted is of no use in another client or session.
func TestCodeInjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.code(t, w.request(w.web))
	// In another client. The code stays good: others cannot use it up.
	w.token(t, "grant_type", "authorization_code", "client_id", w.spa.ClientID, "code", code, "redirect_uri", callback, "code_verifier", verifier).want(t, "invalid_grant")
	// A failed authentication does not use it up either: x/oauth2 tries the second way then.
	w.exchange(t, code, "client_secret", "wrong").want(t, "invalid_client")
	w.exchange(t, code).good(t)
	// With another verifier: that is not who asked.
	code = w.code(t, w.request(w.web))
	w.exchange(t, code, "code_verifier", "another-verifier-of-at-least-forty-three-characters").want(t, "invalid_grant")
	w.exchange(t, code).want(t, "invalid_grant")
	// With another redirect URI of the client.
	code = w.code(t, w.request(w.web))
	w.exchange(t, code, "redirect_uri", "https://app.example/other?x=1").want(t, "invalid_grant")
	w.exchange(t, w.code(t, w.request(w.web)), "redirect_uri", "").want(t, "invalid_request")
}

// RFC 7636 and RFC 9700 section 4.8.2: nobody takes PKCE out of a flow.
func TestPKCEDowngrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	for _, c := range []struct {
		app  *directory.Application
		more []string
	}{
		{w.spa, []string{"code_challenge", "", "code_challenge_method", ""}},
		{w.spa, []string{"code_challenge", verifier, "code_challenge_method", "plain"}},
		{w.spa, []string{"code_challenge_method", ""}}, // plain by default
		{w.web, []string{"code_challenge_method", ""}},
		{w.web, []string{"code_challenge", ""}},
		{w.web, []string{"code_challenge", "short"}},
		{w.web, []string{"code_challenge", strings.Repeat("ä", 43)}},
	} {
		if a := b.get(t, "/authorize", w.request(c.app, c.more...)); a.query("error") != "invalid_request" {
			t.Errorf("%s %v: %v", c.app.Name, c.more, a.location)
		}
	}
	// A verifier for a code that has no challenge: somebody has taken that out of the request.
	w.exchange(t, w.code(t, w.request(w.web, "code_challenge", "", "code_challenge_method", ""))).want(t, "invalid_grant")
	w.exchange(t, w.code(t, w.request(w.web, "code_challenge", "", "code_challenge_method", "")), "code_verifier", "").good(t)
	// No verifier for one that has.
	w.exchange(t, w.code(t, w.request(w.web)), "code_verifier", "").want(t, "invalid_grant")
	w.exchange(t, w.code(t, w.request(w.web)), "code_verifier", challenge(verifier)).want(t, "invalid_grant")
}

// RFC 9700 section 4.14.2: a refresh token that comes again revokes its family; with a leeway, the one before
// the current may come for that long.
func TestRefreshReuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	second := w.refresh(t, first).good(t)
	w.refresh(t, first).want(t, "invalid_grant")
	w.refresh(t, second.text("refresh_token")).want(t, "invalid_grant")
	if a := w.userinfo(t, second.text("access_token")); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo with a token of a revoked family: %d", a.status)
	}
	var found bool
	w.Do(t, func(ctx context.Context) error {
		log, err := w.AuditLog(ctx, directory.AuditFilter{Types: []string{directory.AuditReuse}})
		found = len(log.Items) == 1 && log.Items[0].Actor == w.user.ID && log.Items[0].IP == "192.0.2.1"
		return err
	})
	if !found {
		t.Error("the audit log does not say so")
	}

	token := w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	if n := w.parallel(t, 50, func() *answer { return w.refresh(t, token) }); n != 1 {
		t.Errorf("%d of 50 got tokens, want the first alone", n)
	}

	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateApplication(ctx, directory.Command, w.web.ClientID, func(a *directory.Application) error { a.RefreshLeeway = 10; return nil })
		return err
	})
	token = w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	var next string
	if n := w.parallel(t, 50, func() *answer {
		a := w.refresh(t, token)
		w.mu.Lock()
		next = a.text("refresh_token")
		w.mu.Unlock()
		return a
	}); n != 50 {
		t.Errorf("%d of 50 got tokens within the leeway, want all", n)
	}
	w.Clock.Advance(10 * time.Second)
	w.refresh(t, token).good(t)
	w.Clock.Advance(time.Second)
	w.refresh(t, token).want(t, "invalid_grant")
	w.refresh(t, next).want(t, "invalid_grant")

	token = w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	third := w.refresh(t, w.refresh(t, token).good(t).text("refresh_token")).good(t)
	w.refresh(t, token).want(t, "invalid_grant") // two turns ago: no leeway for that
	w.refresh(t, third.text("refresh_token")).want(t, "invalid_grant")
}

// RFC 6749 section 10.4: a refresh token is bound to its client.
func TestRefreshTokenOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	w.token(t, "grant_type", "refresh_token", "client_id", w.spa.ClientID, "refresh_token", token).want(t, "invalid_grant")
	w.token(t, "grant_type", "refresh_token", "client_id", w.web.ClientID, "refresh_token", token).want(t, "invalid_client")
	w.refresh(t, token).good(t)
}

// RFC 6749 section 10.15, RFC 9700 section 4.1, CWE-601: the answer goes to an address that is registered byte for
// byte, and nobody is redirected anywhere else, with an error neither.
func TestRedirectTricks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	native, _ := w.NewApplication(t, &directory.Application{
		Name: "native", Type: directory.TypeNative, FirstParty: true,
		Callbacks: []string{"http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost:1/cb", "org.example.app:/cb", "https://app.example/cb"},
	})
	b := w.browser(t)
	b.signedIn(t)
	for _, c := range []struct {
		app  *directory.Application
		uris []string
		good bool
	}{
		{w.web, []string{
			"", "https://app.example/callback/", "https://app.example/callback?", "https://app.example/callback?x=1", "https://app.example/callback#",
			"https://app.example/callback#x", "https://app.example/Callback", "https://APP.example/callback", "HTTPS://app.example/callback",
			"https://app.example:443/callback", "https://app.example./callback", "https://app.example/./callback", "https://app.example/a/../callback",
			"https://app.example/callback/../../evil", "https://app.example//callback", "https://app.example/callback%2f..%2f", "https://app.example/%63allback",
			"https://app.example@evil.example/callback", "https://evil.example@app.example/callback", "https://app.example:pw@evil.example/callback",
			"https://evil.example/callback", "https://app.example.evil.example/callback", "https://evilapp.example/callback", "http://app.example/callback",
			"//app.example/callback", "/callback", "https:app.example/callback", "https:/app.example/callback", "https:///app.example/callback",
			`https://app.example\@evil.example/callback`, `https://evil.example\.app.example/callback`, "https://app.example/callback\n", "https://app.example/callback\t",
			" https://app.example/callback", "https://app.example/callback ", "https://app.example/callback\x00", "https://ａpp.example/callback", "https://app。example/callback",
			"javascript:alert(1)", "data:text/html,x", "https://[::ffff:127.0.0.1]/callback", "https://app.example/callback;x", "https://app.example/other", "https://app.example/other?x=1&y=2",
			"https://app.example/other?x=2", "https://app.example/callback,https://evil.example/", "https://*.example/callback", "http://127.0.0.1:8080/callback", strings.Repeat("a", 3000),
		}, false},
		{w.web, []string{callback, "https://app.example/other?x=1"}, true},
		{native, []string{
			"http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://[::1]:9999/cb", "http://localhost:5555/cb", "org.example.app:/cb", "https://app.example/cb",
		}, true},
		{native, []string{
			"http://127.0.0.1:/cb", "http://127.0.0.1:999999/cb", "http://127.0.0.1:80x/cb", "http://127.0.0.1:80/cb?x", "http://127.0.0.1:80/cb/", "http://127.0.0.1:80/CB", "http://127.0.0.1:80/cb#f",
			"http://127.0.0.2/cb", "http://0.0.0.0/cb", "http://127.1/cb", "http://0x7f000001/cb", "http://2130706433/cb", "http://[::ffff:127.0.0.1]/cb", "http://[::1%25lo]/cb", "http://[0:0:0:0:0:0:0:1]:80/cb",
			"http://localhost.evil.example/cb", "http://localhost@evil.example/cb", "http://127.0.0.1:80@evil.example/cb", "http://evil.example:80/cb", `http://127.0.0.1\@evil.example/cb`,
			"https://127.0.0.1/cb", "https://app.example:8443/cb", "org.example.app:/cb/x", "org.example.app://evil/cb", "org.example.other:/cb", "http://LOCALHOST:80/cb", "http://127.0.0.1:80//cb", "http://127.0.0.1:+80/cb",
		}, false},
	} {
		for _, uri := range c.uris {
			a := b.get(t, "/authorize", w.request(c.app, "audience", "", "scope", "openid", "redirect_uri", uri))
			if c.good != (a.status == http.StatusSeeOther && a.query("code") != "" && strings.HasPrefix(a.header.Get("Location"), uri)) {
				t.Errorf("%s to %.80q: %d %v, want good %v", c.app.Name, uri, a.status, a.location, c.good)
			}
			if !c.good && (a.status != http.StatusBadRequest || a.header.Get("Location") != "") {
				t.Errorf("%s to %.80q: %d %q, want an error page", c.app.Name, uri, a.status, a.header.Get("Location"))
			}
			named := strings.Contains(html.UnescapeString(a.body), "<code>"+uri[:min(len(uri), 300)])
			if !c.good && !named && uri != "" && !strings.Contains(uri, "\x00") {
				t.Errorf("%s to %.80q: the page does not name the address: %s", c.app.Name, uri, a.body)
			}
		}
	}
	for _, query := range []url.Values{
		{}, {"client_id": {"nobody"}, "redirect_uri": {"https://evil.example/"}}, {"redirect_uri": {callback}},
		{"client_id": {strings.Repeat("x", 5000)}, "redirect_uri": {callback}},
		{"client_id": {w.web.ClientID, w.web.ClientID}, "redirect_uri": {callback}},
		{"client_id": {w.web.ClientID}, "redirect_uri": {callback, "https://evil.example/"}},
	} {
		if a := b.get(t, "/authorize", query); a.status < 400 || a.header.Get("Location") != "" || strings.Contains(a.body, "evil.example") {
			t.Errorf("authorize %v: %d %q %s", query, a.status, a.header.Get("Location"), a.body)
		}
	}
}

// RFC 6749 section 10.12, login CSRF: a request to sign in goes on only in the browser that began it.
func TestCallbackOfAnotherBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	attacker, victim := w.browser(t), w.browser(t)
	id := attacker.get(t, "/authorize", w.request(w.web)).query("state")
	attacker.login(t, id)
	for name, b := range map[string]*browser{"without a cookie": victim, "with its own": func() *browser { victim.get(t, "/authorize", w.request(w.web)); return victim }()} {
		if a := b.get(t, "/authorize/callback", url.Values{"id": {id}}); a.status != http.StatusForbidden || a.query("code") != "" {
			t.Errorf("callback in another browser %s: %d %v", name, a.status, a.location)
		}
	}
	if a := attacker.get(t, "/authorize/callback", url.Values{"id": {id}}); a.query("code") == "" {
		t.Errorf("callback in the browser that began: %d %v", a.status, a.location)
	}
	// Once.
	if a := attacker.get(t, "/authorize/callback", url.Values{"id": {id}}); a.status != http.StatusBadRequest {
		t.Errorf("callback twice: %d %v", a.status, a.location)
	}
	// Before the user has signed in there is no code.
	id = attacker.get(t, "/authorize", w.request(w.web, "prompt", "login")).query("state")
	if a := attacker.get(t, "/authorize/callback", url.Values{"id": {id}}); a.query("code") != "" || a.location.Path != "/u/login" {
		t.Errorf("callback before the sign-in: %v", a.location)
	}
	// A session that was revoked in between gives none either.
	attacker.login(t, id)
	w.Do(t, func(ctx context.Context) error {
		req, err := directory.AuthRequests.Get(ctx, directory.Key(id))
		if err != nil {
			return err
		}
		return directory.Sessions.Delete(ctx, directory.Key(req.SessionID))
	})
	if a := attacker.get(t, "/authorize/callback", url.Values{"id": {id}}); a.query("code") != "" || a.location.Path != "/u/login" {
		t.Errorf("callback of a revoked session: %v", a.location)
	}
	for _, id := range []string{"", "nothing", strings.Repeat("x", 9999)} {
		if a := attacker.get(t, "/authorize/callback", url.Values{"id": {id}}); a.status != http.StatusBadRequest {
			t.Errorf("callback of %.20q: %d", id, a.status)
		}
	}
}

// RFC 6819 section 4.4.1.9, CWE-1021: no page is shown in a frame, and none runs a script that is not the provider's.
func TestClickjacking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	b.signedIn(t)
	for _, a := range []*answer{
		b.get(t, "/authorize", url.Values{}), b.get(t, "/authorize", w.request(w.web, "prompt", "consent")), b.get(t, "/oidc/logout", nil),
		b.get(t, "/authorize", w.request(w.web, "response_mode", "form_post")),
	} {
		policy := a.header.Get("Content-Security-Policy")
		if a.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src 'none'") || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers %v", a.header)
		}
	}
}

// RFC 8725 section 3.11, RFC 9068 section 5: each kind of token is good for its own purpose alone.
func TestTokenSubstitution(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	tokens := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	foreign := other.exchange(t, other.code(t, other.request(other.web))).good(t)
	api := w.exchange(t, w.code(t, w.request(w.web, "scope", "read"))).good(t) // no openid: for the API alone
	machine := w.token(t, "grant_type", "client_credentials", "client_id", w.web.ClientID, "client_secret", w.secret, "audience", apiName).good(t)
	header, rest, _ := strings.Cut(tokens.text("access_token"), ".")
	payload, _, _ := strings.Cut(rest, ".")
	for name, token := range map[string]string{
		"an ID token": tokens.text("id_token"), "a refresh token": tokens.text("refresh_token"), "another provider's": foreign.text("access_token"),
		"one for the API alone": api.text("access_token"), "one of an application": machine.text("access_token"),
		"alg none": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + payload + ".", "no signature": header + "." + payload + ".", "nonsense": "x.y.z", "a huge one": strings.Repeat("x", 60000),
	} {
		if a := w.userinfo(t, token); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo with %s: %d %s", name, a.status, a.body)
		}
	}
	for name, token := range map[string]string{"an access token": tokens.text("access_token"), "an ID token": tokens.text("id_token")} {
		if a := w.refresh(t, token); a.text("error") != "invalid_grant" {
			t.Errorf("refresh with %s: %s", name, a.body)
		}
	}
	if a := w.userinfo(t, ""); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("userinfo without a token: %d %v", a.status, a.header)
	}
	if a := w.browser(t).get(t, "/userinfo", url.Values{"access_token": {tokens.text("access_token")}}); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo with a token in the query (RFC 6750 section 5.3): %d", a.status)
	}
	if a := w.browser(t).post(t, "/userinfo", url.Values{"access_token": {tokens.text("access_token")}}); a.status != http.StatusOK {
		t.Errorf("userinfo with a token in the form: %d %s", a.status, a.body)
	}
}

// RFC 6749 section 3.1 and 2.3, CWE-770: what is doubled, in the wrong place or too large is refused.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.web.ClientID}, "client_secret": {w.secret}, "audience": {apiName}}
	send := func(method, query, kind, body string, basic ...string) *answer {
		r, err := http.NewRequestWithContext(t.Context(), method, issuer+"oauth/token"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		if len(basic) == 2 {
			r.SetBasicAuth(basic[0], basic[1])
		}
		res, err := b.Do(r)
		return read(t, res, err)
	}
	const urlencoded = "application/x-www-form-urlencoded"
	send("POST", "", urlencoded, form.Encode()).good(t)
	send("POST", "", urlencoded, with(maps(form), "client_id", "", "client_secret", "").Encode(), w.web.ClientID, w.secret).good(t)
	send("POST", "", urlencoded, form.Encode(), w.web.ClientID, w.secret).good(t)
	doubled := maps(form)
	doubled["scope"] = []string{"read", "write"}
	for _, c := range []struct {
		name   string
		answer *answer
		status int
	}{
		{"GET", send("GET", "?"+form.Encode(), "", ""), 405},
		{"PUT", send("PUT", "", urlencoded, form.Encode()), 405},
		{"secrets in the query", send("POST", "?"+form.Encode(), urlencoded, ""), 400},
		{"doubled", send("POST", "", urlencoded, doubled.Encode()), 400},
		{"two audiences", send("POST", "", urlencoded, form.Encode()+"&audience=x"), 400},
		{"two ways to authenticate", send("POST", "", urlencoded, form.Encode(), w.web.ClientID, "other"), 400},
		{"two clients", send("POST", "", urlencoded, form.Encode(), w.spa.ClientID, w.secret), 400},
		{"no type", send("POST", "", "", form.Encode()), 415},
		{"text", send("POST", "", "text/plain", form.Encode()), 415},
		{"multipart", send("POST", "", "multipart/form-data; boundary=x", form.Encode()), 415},
		{"too large", send("POST", "", urlencoded, form.Encode()+"&x="+strings.Repeat("x", 65<<10)), 413},
		{"a long query", send("POST", "?x="+strings.Repeat("x", 17<<10), urlencoded, form.Encode()), 414},
		{"many", send("POST", "", urlencoded, form.Encode()+func() string {
			var s strings.Builder
			for i := range 100 {
				fmt.Fprintf(&s, "&x%d=1", i)
			}
			return s.String()
		}()), 400},
		{"a zero byte", send("POST", "", urlencoded, form.Encode()+"&x=%00"), 400},
		{"bad escapes", send("POST", "", urlencoded, "grant_type=%zz"), 400},
		{"JSON doubled", send("POST", "", "application/json", `{"grant_type":"client_credentials","grant_type":"password"}`), 400},
		{"JSON nested", send("POST", "", "application/json", `{"grant_type":{"a":1}}`), 400},
		{"JSON deep", send("POST", "", "application/json", strings.Repeat(`{"a":`, 20000)), 413},
		{"JSON list", send("POST", "", "application/json", `["grant_type"]`), 400},
		{"JSON and more", send("POST", "", "application/json", `{} {}`), 400},
		{"JSON cut", send("POST", "", "application/json", `{"grant_type":"x"`), 400},
		{"unknown grant", send("POST", "", urlencoded, "grant_type=implicit"), 400},
		{"no grant", send("POST", "", urlencoded, "client_id=x"), 400},
		{"bad basic", send("POST", "", urlencoded, "grant_type=client_credentials", "%zz", "x"), 400},
	} {
		// Which of the two refusals of a large body comes first does not matter.
		if c.name == "JSON deep" && c.answer.status == 400 {
			continue
		}
		if c.answer.status != c.status || c.answer.text("error") == "" {
			t.Errorf("%s: %d %s, want %d", c.name, c.answer.status, c.answer.body, c.status)
		}
	}
	a := send("POST", "", urlencoded, "grant_type=client_credentials&audience="+url.QueryEscape(apiName), w.web.ClientID, "wrong")
	if a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic") || strings.Contains(a.body, "wrong") {
		t.Errorf("a wrong secret: %d %v %s", a.status, a.header, a.body)
	}
	unknown := send("POST", "", urlencoded, "grant_type=client_credentials&audience="+url.QueryEscape(apiName), "nobody", "wrong")
	if unknown.body != a.body || unknown.status != a.status {
		t.Errorf("an unknown client is told apart from a wrong secret (CWE-204): %s, %s", unknown.body, a.body)
	}
}

func maps(v url.Values) url.Values {
	c := url.Values{}
	for name, values := range v {
		c[name] = values
	}
	return c
}

// RFC 7662 section 4: what a token means is told to those alone whom it concerns.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, secret := w.NewApplication(t, &directory.Application{Name: "service", Type: directory.TypeNonInteractive})
	tokens := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	ask := func(id, secret, token string) *answer {
		return w.browser(t).post(t, "/oauth/introspect", url.Values{"client_id": {id}, "client_secret": {secret}, "token": {token}})
	}
	access := tokens.text("access_token")
	if a := ask(w.web.ClientID, w.secret, access); a.json("active") != true || a.text("sub") != w.user.ID || !strings.Contains(a.text("scope"), "read") {
		t.Errorf("the client's own: %s", a.body)
	}
	if a := ask(w.web.ClientID, w.secret, tokens.text("refresh_token")); a.json("active") != true || a.text("token_type") != "refresh_token" {
		t.Errorf("the client's own refresh token: %s", a.body)
	}
	for _, token := range []string{access, tokens.text("refresh_token"), "nothing", tokens.text("id_token")} {
		if a := ask(service.ClientID, secret, token); a.status != 200 || strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("another client's: %d %s", a.status, a.body)
		}
	}
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateAPI(ctx, directory.Command, w.api.ID, func(a *directory.API) error { a.Introspectors = []string{service.ClientID}; return nil })
		return err
	})
	if a := ask(service.ClientID, secret, access); a.json("active") != true || a.text("client_id") != w.web.ClientID {
		t.Errorf("for the API of the client: %s", a.body)
	}
	ask(w.spa.ClientID, "", access).want(t, "invalid_client")
	ask(w.web.ClientID, "wrong", access).want(t, "invalid_client")
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateUser(ctx, directory.Command, w.user.ID, func(u *directory.User) error { u.Blocked = true; return nil })
		return err
	})
	if a := ask(w.web.ClientID, w.secret, access); a.json("active") != false {
		t.Errorf("of a blocked user: %s", a.body)
	}
}

// RFC 7009: a client revokes its own tokens, and no others.
func TestRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	revoke := func(id, secret, token string) *answer {
		res, err := w.browser(t).Post(issuer+"oauth/revoke", "application/json", strings.NewReader(fmt.Sprintf(`{"client_id":%q,"client_secret":%q,"token":%q}`, id, secret, token)))
		return read(t, res, err)
	}
	for _, token := range []string{tokens.text("refresh_token"), tokens.text("access_token"), "nothing"} {
		if a := revoke(w.spa.ClientID, "", token); a.status != 200 {
			t.Errorf("revoke another client's: %d %s", a.status, a.body)
		}
	}
	if a := w.userinfo(t, tokens.text("access_token")); a.status != 200 {
		t.Errorf("another client has revoked the token: %d", a.status)
	}
	revoke(w.web.ClientID, "wrong", tokens.text("access_token")).want(t, "invalid_client")
	if a := revoke(w.web.ClientID, w.secret, tokens.text("access_token")); a.status != 200 {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	if a := w.userinfo(t, tokens.text("access_token")); a.status != 401 {
		t.Errorf("userinfo with a revoked token: %d", a.status)
	}
	again := w.refresh(t, tokens.text("refresh_token")).good(t)
	if a := revoke(w.web.ClientID, w.secret, again.text("refresh_token")); a.status != 200 {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	w.refresh(t, again.text("refresh_token")).want(t, "invalid_grant")
	if a := w.userinfo(t, again.text("access_token")); a.status != 401 {
		t.Errorf("userinfo with a token of a revoked sign-in: %d", a.status)
	}
	tokens = w.exchange(t, w.code(t, w.request(w.web))).good(t)
	w.Do(t, func(ctx context.Context) error { return w.provider.RevokeUser(ctx, w.user.ID, "") })
	w.refresh(t, tokens.text("refresh_token")).want(t, "invalid_grant")
	// Nothing of a user who is deleted is good.
	tokens = w.exchange(t, w.code(t, w.request(w.web))).good(t)
	w.Do(t, func(ctx context.Context) error { return w.DeleteUser(ctx, directory.Command, w.user.ID) })
	w.refresh(t, tokens.text("refresh_token")).want(t, "invalid_grant")
	if a := w.userinfo(t, tokens.text("access_token")); a.status != 401 {
		t.Errorf("userinfo of a deleted user: %d", a.status)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, origin, want string }{
		{"GET", "/.well-known/openid-configuration", "https://any.example", "*"},
		{"GET", "/.well-known/jwks.json", "https://any.example", "*"},
		{"OPTIONS", "/oauth/token", "https://app.example", "https://app.example"},
		{"POST", "/oauth/token", "https://app.example", "https://app.example"},
		{"OPTIONS", "/userinfo", "https://app.example", "https://app.example"},
		{"POST", "/oauth/token", "https://app.example.evil.example", ""},
		{"OPTIONS", "/oauth/token", "null", ""},
		{"OPTIONS", "/oauth/token", "http://app.example", ""},
		{"GET", "/authorize", "https://app.example", ""},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("Origin", c.origin)
		rec := httptest.NewRecorder()
		w.provider.ServeHTTP(rec, r)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != c.want || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s from %s: allowed %q, want %q", c.method, c.path, c.origin, got, c.want)
		}
	}
}

// panicky is what a bug in a part or in the library does.
type panicky struct{}

func (panicky) Current(*http.Request) (*directory.Session, error) { panic("a bug") }

func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := oidc.New(w.Env, oidc.Options{Sessions: panicky{}})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, httptest.NewRequest("GET", "/authorize?"+w.request(w.web).Encode(), nil))
	if rec.Code != http.StatusInternalServerError || strings.Contains(rec.Body.String(), "a bug") {
		t.Errorf("answer %d %s", rec.Code, rec.Body)
	}
}
