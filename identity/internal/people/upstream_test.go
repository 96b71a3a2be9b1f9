package people_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// connect makes a connection to an issuer upstream.
func (a *app) connect(t *testing.T, name string, u *upstream, change ...func(*directory.Connection)) {
	t.Helper()
	c := &directory.Connection{
		Name: name, DisplayName: "The " + name, Strategy: directory.StrategyOIDC, ForAll: true,
		Options: directory.ConnectionOptions{Issuer: u.URL, ClientID: "client"},
	}
	for _, f := range change {
		f(c)
	}
	a.Do(t, func(ctx context.Context) error {
		row, err := a.CreateConnection(ctx, directory.Command, c)
		if err != nil {
			return err
		}
		return a.SetConnectionSecret(ctx, directory.Command, row.ID, "secret")
	})
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := newUpstream(t, a.Clock.Now)
	a.connect(t, "company", u)
	u.claims = map[string]any{"sub": "7", "email": ada, "email_verified": "true", "name": "Ada", "picture": "javascript:alert(1)"}
	b := a.browser(t)
	id := a.request(t, b, func(r *directory.AuthRequest) { r.Prompt, r.LoginHint = []string{"login"}, ada })
	p := b.get("/u/login?state=" + id)
	if !strings.Contains(p.body, `href="/u/connection/company?state=`+id+`"`) || !strings.Contains(p.body, "Continue with The company") {
		t.Fatalf("the page does not offer the connection: %s", p.body)
	}
	p = u.visit(b, b.get("/u/connection/company?state="+id))
	if got := p.header.Get("Location"); got != "/authorize/callback?id="+id {
		t.Fatalf("status %d to %q: %s", p.status, got, text(p.body))
	}
	r := a.authRequest(t, id)
	if !r.Done || !slices.Equal(r.Methods, []string{"fed"}) {
		t.Errorf("the request is %+v", r)
	}
	for name, want := range map[string]string{"prompt": "login", "login_hint": ada, "scope": "openid profile email", "redirect_uri": a.Issuer + "u/callback/company"} {
		if got := u.asked.Get(name); got != want {
			t.Errorf("the issuer was asked with %s=%q, want %q", name, got, want)
		}
	}
	user := a.user(t, r.UserID)
	if user.Email != ada || !user.EmailVerified || user.Name != "Ada" || user.Picture != "" || user.Connection != "company" {
		t.Errorf("user %+v", user)
	}

	u.claims["name"], u.claims["email_verified"] = "Ada L.", false
	again := a.browser(t)
	u.visit(again, again.get("/u/connection/company")).want(t, http.StatusOK, "Your account")
	if got := a.user(t, user.ID); got.Name != "Ada L." || got.LoginsCount != 2 || got.EmailVerified {
		t.Errorf("user %+v", got)
	}
	direct := a.request(t, b, func(r *directory.AuthRequest) { r.Connection = "company" })
	if p := b.get("/u/login?state=" + direct); !strings.HasPrefix(p.header.Get("Location"), u.URL) {
		t.Errorf("a request for the connection goes to %q", p.header.Get("Location"))
	}
}

func TestUpstreamLinking(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		link              string
		here, there       bool // verified
		disabled          bool
		status            int
		says              string
		linked, isAnother bool
	}{
		"never":               {"", true, true, false, http.StatusForbidden, "You have an account already", false, false},
		"verified":            {"verified", true, true, false, http.StatusOK, "Your account", true, false},
		"not verified here":   {"verified", false, true, false, http.StatusForbidden, "You have an account already", false, false},
		"not verified there":  {"verified", true, false, false, http.StatusOK, "Your account", false, true},
		"nobody may sign up":  {"verified", true, false, true, http.StatusForbidden, "cannot sign up", false, false},
		"but known ones link": {"verified", true, true, true, http.StatusOK, "Your account", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			up := newUpstream(t, a.Clock.Now)
			a.connect(t, "company", up, func(o *directory.Connection) { o.Options.Link, o.Options.DisableSignup = c.link, c.disabled })
			up.claims = map[string]any{"sub": "7", "email": "ADA@example.com", "email_verified": c.there}
			u := a.member(t, ada)
			a.Do(t, func(ctx context.Context) error {
				_, err := a.UpdateUser(ctx, directory.Command, u.ID, func(u *directory.User) error {
					u.SetEmail(ada, c.here)
					return nil
				})
				return err
			})
			b := a.browser(t)
			up.visit(b, b.get("/u/connection/company")).want(t, c.status, c.says)
			if got := len(a.user(t, u.ID).Identities) == 2; got != c.linked {
				t.Errorf("linked %v", got)
			}
			if s := current(t, a, b); c.status == http.StatusOK && (s.UserID != u.ID) != c.isAnother {
				t.Errorf("signed in as %q, the one here is %q", s.UserID, u.ID)
			}
		})
	}
}

func TestLinkOnTheAccountsPage(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	up := newUpstream(t, a.Clock.Now)
	a.connect(t, "company", up)
	up.claims = map[string]any{"sub": "7", "email": "ada@company.example", "email_verified": true}
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	p := b.get("/u/account")
	_, rest, found := strings.Cut(p.body, `href="/u/connection/company?link=`)
	token, _, _ := strings.Cut(rest, `"`)
	if !found {
		t.Fatal("the page offers no link")
	}
	b.get("/u/connection/company?link=wrong").want(t, http.StatusForbidden, "did not come from here")
	up.visit(b, b.get("/u/connection/company?link="+token)).want(t, http.StatusOK, "The account is linked")
	if n := len(a.user(t, u.ID).Identities); n != 2 {
		t.Fatalf("%d identities", n)
	}
	other := a.browser(t)
	up.visit(other, other.get("/u/connection/company")).want(t, http.StatusOK, ada)
	b.submit(b.get("/u/account"), "/u/account/unlink").want(t, http.StatusOK, "The account is unlinked")
	if n := len(a.user(t, u.ID).Identities); n != 1 {
		t.Errorf("%d identities", n)
	}
	b.submit(b.get("/u/account"), "/u/account/profile") // the page still works
	// Who has linked it elsewhere keeps it.
	other.get("/u/logout")
	stranger := a.browser(t)
	up.visit(stranger, stranger.get("/u/connection/company")).want(t, http.StatusOK, "ada@company.example")
	up.visit(b, b.get("/u/connection/company?link="+token)).want(t, http.StatusBadRequest, "linked already")
}

// A user of the upstream has the own second factor asked for.
func TestUpstreamAndSecondFactor(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	up := newUpstream(t, a.Clock.Now)
	a.connect(t, "company", up, func(c *directory.Connection) { c.Options.Link = directory.LinkVerified })
	up.claims = map[string]any{"sub": "7", "email": ada, "email_verified": true}
	a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	b.addTOTP()
	other := a.browser(t)
	up.visit(other, other.get("/u/connection/company")).want(t, http.StatusOK, "second step")
}

// Each line is something an issuer, or whoever stands between, could do (OpenID Connect Core section
// 3.1.3.7, RFC 9207, RFC 9700).
func TestUpstreamAttacks(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for name, do := range map[string]func(u *upstream){
		"nonce of another sign-in": func(u *upstream) { u.change = set("nonce", "other") },
		"no nonce":                 func(u *upstream) { u.change = func(c map[string]any) { delete(c, "nonce") } },
		"another issuer's token":   func(u *upstream) { u.change = set("iss", "https://evil.example") },
		"another client's token":   func(u *upstream) { u.change = set("aud", "other") },
		"several audiences":        func(u *upstream) { u.change = set("aud", []string{"client", "other"}) },
		"expired":                  func(u *upstream) { u.change = set("exp", 1) },
		"unsigned": func(u *upstream) {
			u.sign = func(c map[string]any) (string, bool) {
				return encode(map[string]string{"alg": "none"}) + "." + encode(c) + ".", true
			}
		},
		"forged": func(u *upstream) {
			u.sign = func(c map[string]any) (string, bool) {
				return encode(map[string]string{"alg": "RS256", "kid": "1"}) + "." + encode(c) + "." + encode("forged"), true
			}
		},
		"no token":                  func(u *upstream) { u.sign = func(map[string]any) (string, bool) { return "", true } },
		"answer of another issuer":  func(u *upstream) { u.answer = func(v url.Values) { v.Set("iss", "https://evil.example") } },
		"answer of no issuer":       func(u *upstream) { u.answer = func(v url.Values) { v.Del("iss") } },
		"code of somebody else":     func(u *upstream) { u.answer = func(v url.Values) { v.Set("code", "stolen") } },
		"state that was not given":  func(u *upstream) { u.answer = func(v url.Values) { v.Set("state", "other") } },
		"error instead of a code":   func(u *upstream) { u.answer = func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") } },
		"no subject":                func(u *upstream) { u.change = func(c map[string]any) { delete(c, "sub") } },
		"a subject without measure": func(u *upstream) { u.change = set("sub", strings.Repeat("x", 10_000)) },
		"an answer without measure": func(u *upstream) { u.change = set("x", strings.Repeat("x", 2<<20)) },
		"HTML as description": func(u *upstream) {
			u.answer = func(v url.Values) { v.Del("code"); v.Set("error_description", "<script>alert(1)</script>") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			up := newUpstream(t, a.Clock.Now)
			a.connect(t, "company", up)
			up.claims = map[string]any{"sub": "7", "email": ada, "email_verified": true}
			do(up)
			b := a.browser(t)
			p := up.visit(b, b.get("/u/connection/company"))
			if b.cookies[directory.CookieName(a.Issuer, "session")] != "" || strings.Contains(p.body, "<script>") {
				t.Fatalf("%d %s", p.status, text(p.body))
			}
			if p.status == http.StatusInternalServerError {
				t.Errorf("it is our fault: %s", text(p.body))
			}
		})
	}
}

// An answer is good once, in the browser that asked, for the connection it was asked of, and soon.
func TestUpstreamAnswers(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	up := newUpstream(t, a.Clock.Now)
	a.connect(t, "company", up)
	a.connect(t, "other", up)
	up.claims = map[string]any{"sub": "7"}
	b := a.browser(t)
	var answer string
	start := func() {
		p := b.get("/u/connection/company")
		stranger := a.browser(t)
		refused := up.visit(stranger, p) // login CSRF: the attacker's answer in the victim's browser
		refused.want(t, http.StatusBadRequest, "another browser")
		answer = refused.path
	}
	start()
	b.get(strings.Replace(answer, "/callback/company", "/callback/other", 1)).want(t, http.StatusBadRequest, "something else")
	start()
	a.Clock.Advance(16 * time.Minute)
	b.get(answer).want(t, http.StatusBadRequest, "took too long")
	start()
	b.get(answer).want(t, http.StatusOK, "Your account")
	b.get(answer).want(t, http.StatusBadRequest, "took too long")
	b.get("/u/connection/nothing").want(t, http.StatusNotFound, "cannot sign in that way")
	b.get("/u/connection/"+directory.DefaultConnection).want(t, http.StatusNotFound, "cannot sign in that way")
	up.Close()
	fresh := newApp(t)
	fresh.connect(t, "gone", up)
	fresh.browser(t).get("/u/connection/gone").want(t, http.StatusBadGateway, "did not answer as it should")
}
