package login_test

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/auth/login"
)

// A sign-out ends the session here, its tokens, and the session at the issuer.
func TestLogout(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, func(c *login.Config) { c.AfterLogout = "/?bye=1" })
	b := newBrowser(t, a)
	b.signIn()
	session := b.cookies("session-")[0]
	policy := b.get("/logout").header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "form-action 'self' "+i.URL+";") {
		t.Errorf("policy %q: the form cannot lead to the issuer", policy)
	}
	b.stop = true
	got := b.send("POST", "/logout", "", "Sec-Fetch-Site", "same-origin")
	to, q := got.header.Get("Location"), query(t, got.header.Get("Location"))
	if got.status != 303 || !strings.HasPrefix(to, i.URL+"/end?") || q.Get("client_id") != clientID ||
		q.Get("post_logout_redirect_uri") != a.URL+"/?bye=1" || strings.Count(q.Get("id_token_hint"), ".") != 2 {
		t.Errorf("%d to %s", got.status, to)
	}
	b.stop = false
	if end := b.get(to); end.url.RequestURI() != "/?bye=1" || end.body != "home" {
		t.Errorf("the issuer sends the browser to %s", end.url)
	}
	b.setCookie(session.Name, session.Value)
	if b.signedIn() || a.store.Len() != 0 {
		t.Error("the cookie is good still")
	}
	if len(i.revoked) != 1 {
		t.Errorf("revoked %d refresh tokens, want 1", len(i.revoked))
	}
	// Again, without a session.
	if got := b.send("POST", "/logout", ""); got.status != 200 || got.url.Path != "/" || len(b.cookies("session-")) != 0 {
		t.Errorf("%d at %s", got.status, got.url)
	}
}

// Without the issuer, or one that has no page for it, the session ends here.
func TestLogoutHereAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*issuer){
		"no page":  func(i *issuer) { i.discovery = map[string]any{"end_session_endpoint": nil, "revocation_endpoint": nil} },
		"bad page": func(i *issuer) { i.discovery = map[string]any{"end_session_endpoint": "javascript:alert(1)"} },
	} {
		i := newIssuer(t)
		change(i)
		a := newApp(t, i, nil)
		b := newBrowser(t, a)
		b.signIn()
		if got := b.send("POST", "/logout", ""); got.url.String() != a.URL+"/" || b.signedIn() {
			t.Errorf("%s: at %s, signed in %t", name, got.url, b.signedIn())
		}
	}
	i := newIssuer(t)
	a := newApp(t, i, nil)
	b := newBrowser(t, a)
	b.signIn()
	i.set(func() { i.down = true })
	b.stop = true
	if got := b.send("POST", "/logout", ""); got.status != 303 || b.signedIn() {
		t.Errorf("issuer down: %d, signed in %t", got.status, b.signedIn())
	}
}

// An ID token that is too long for an address is left out.
func TestLogoutWithLargeIDToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.idClaims = map[string]any{"groups": strings.Repeat("g", 8000)}
	b := newBrowser(t, newApp(t, i, nil))
	b.signIn()
	b.stop = true
	q := query(t, b.send("POST", "/logout", "").header.Get("Location"))
	if q.Has("id_token_hint") || q.Get("client_id") != clientID {
		t.Errorf("%d bytes of hint", len(q.Get("id_token_hint")))
	}
}

// OpenID Connect Back-Channel Logout 1.0.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := newApp(t, i, nil)
	event := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	token := func(changes map[string]any) string {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.sign("logout+jwt", map[string]any{"aud": clientID, "jti": rand.Text(), "sid": "sid-1", "events": event}, changes)
	}
	i.mu.Lock()
	idToken := i.sign("JWT", map[string]any{"aud": clientID, "nonce": "n", "sid": "sid-1"}, nil)
	i.mu.Unlock()
	issuerSends := func(token string) int {
		return newBrowser(t, a).send("POST", "/login/backchannel", url.Values{"logout_token": {token}}.Encode()).status
	}
	b := newBrowser(t, a)
	b.signIn()
	for name, bad := range map[string]string{
		"none": "", "no token": "x", "too large": strings.Repeat("x", 70<<10), "ID token": idToken,
		"ID token with the event": token(map[string]any{"nonce": "n"}), "null nonce": token(map[string]any{"nonce": []byte(nil)}),
		"no event": token(map[string]any{"events": nil}), "another event": token(map[string]any{"events": map[string]any{"x": map[string]any{}}}),
		"event is no object": token(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": 1}}),
		"nobody":             token(map[string]any{"sub": nil, "sid": nil}), "no id": token(map[string]any{"jti": nil}),
		"another audience": token(map[string]any{"aud": "other"}), "another issuer": token(map[string]any{"iss": "https://evil.example"}),
		"expired": token(map[string]any{"exp": 1}), "old": token(map[string]any{"iat": 1}), "damaged": flip(token(nil)),
	} {
		if got := issuerSends(bad); got != 400 || !b.signedIn() {
			t.Errorf("%s: %d, signed in %t", name, got, b.signedIn())
		}
	}
	for name, tt := range map[string]struct {
		changes map[string]any
		ends    bool
	}{
		"another session": {map[string]any{"sid": "sid-2"}, false},
		"another subject": {map[string]any{"sid": nil, "sub": "bob"}, false},
		"both, one other": {map[string]any{"sub": "bob"}, false},
		"session":         {map[string]any{"sub": nil}, true},
		"subject":         {map[string]any{"sid": nil}, true},
		"both":            {nil, true},
	} {
		b.signIn()
		good := token(tt.changes)
		if got := issuerSends(good); got != 200 || b.signedIn() == tt.ends {
			t.Errorf("%s: %d, signed in %t", name, got, b.signedIn())
		}
		b.signIn()
		i.clock.Advance(time.Second)
		if got := issuerSends(good); got != 400 || !b.signedIn() {
			t.Errorf("%s, replayed: %d, signed in %t", name, got, b.signedIn())
		}
	}
}
