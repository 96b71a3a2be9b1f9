package people_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/people"
)

// Session fixation (CWE-384): an id that was planted in a browser is never one of a session, and the
// id of an earlier session ends with the next sign-in.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	name := directory.CookieName(a.Issuer, "session")
	planted := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	victim, attacker := a.browser(t), a.browser(t)
	victim.cookies[name], attacker.cookies[name] = planted, planted
	victim.login(ada, right).want(t, http.StatusOK, "Your account")
	if victim.cookies[name] == planted {
		t.Fatal("the planted id is that of the session")
	}
	attacker.get("/u/account").want(t, http.StatusOK, "Sign in")

	stolen := victim.cookies[name]
	victim.login(ada, right)
	attacker.cookies[name] = stolen
	attacker.get("/u/account").want(t, http.StatusOK, "Sign in")
	// The stored id does not sign in: it is a digest.
	attacker.cookies[name] = current(t, a, victim).ID
	attacker.get("/u/account").want(t, http.StatusOK, "Sign in")
}

// Cookies (RFC 6265bis): no script reads them, no other site's request carries them, no other host sets
// them.
func TestCookies(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.Issuer = "https://id.example/"
	a := appOn(t, w)
	a.member(t, ada)
	b := a.browser(t)
	p := b.get("/u/login")
	set := p.header.Values("Set-Cookie")
	p = b.send(p, "/u/login", "login", ada, "password", right)
	for _, c := range append(set, p.header.Values("Set-Cookie")...) {
		for _, want := range []string{"__Host-perdure_", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
			if !strings.Contains(c, want) || strings.Contains(c, "Domain=") {
				t.Errorf("cookie %q: want %s", c, want)
			}
		}
	}
	if len(p.header.Values("Set-Cookie")) != 1 {
		t.Errorf("cookies after signing in: %q", p.header.Values("Set-Cookie"))
	}
}

// CSRF (CWE-352): what a page of another site posts is refused, whatever it knows.
func TestCSRF(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b, attacker := a.browser(t), a.browser(t)
	b.login(ada, right)
	p := b.get("/u/account")
	own := attacker.get("/u/login").forms["/u/login"].Get("csrf")
	for name, c := range map[string]struct {
		csrf   string
		header [2]string
		want   int
	}{
		"right":                       {p.forms["/u/account/profile"].Get("csrf"), [2]string{"Sec-Fetch-Site", "same-origin"}, http.StatusSeeOther},
		"no token":                    {"", [2]string{"Sec-Fetch-Site", "same-origin"}, http.StatusForbidden},
		"a token of another browser":  {own, [2]string{"Sec-Fetch-Site", "same-origin"}, http.StatusForbidden},
		"from another site":           {p.forms["/u/account/profile"].Get("csrf"), [2]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"from a sibling":              {p.forms["/u/account/profile"].Get("csrf"), [2]string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"from an origin":              {p.forms["/u/account/profile"].Get("csrf"), [2]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"from the same host's others": {p.forms["/u/account/profile"].Get("csrf"), [2]string{"Origin", "http://localhost:9999"}, http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodPost, "/u/account/profile", strings.NewReader(url.Values{"csrf": {c.csrf}, "name": {name}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(c.header[0], c.header[1])
		if got := b.do(r).status; got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
	}
	if got := a.user(t, u.ID).Name; got != "right" {
		t.Errorf("the name is %q", got)
	}
	// A token in the address does not count, and GET changes nothing.
	r := httptest.NewRequest(http.MethodPost, "/u/account/profile?name=x&csrf="+url.QueryEscape(p.forms["/u/account/profile"].Get("csrf")), nil)
	if got := b.do(r).status; got != http.StatusForbidden {
		t.Errorf("a token in the address: status %d", got)
	}
	for _, path := range []string{"/u/account/totp/remove", "/u/account/sessions/revoke?id=others", "/u/account/profile?name=x"} {
		if got := b.get(path).status; got != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, got)
		}
	}
	b.get("/u/logout")
	b.get("/u/account").want(t, http.StatusOK, "Where you are signed in")
}

// Login CSRF (RFC 6749 section 10.12): a token from before the sign-in is worth nothing after it.
func TestTokenEndsWithTheSession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	b := a.browser(t)
	before := b.get("/u/login").forms["/u/login"].Get("csrf")
	b.login(ada, right)
	if p := b.post("/u/account/profile", url.Values{"csrf": {before}, "name": {"x"}}); p.status != http.StatusForbidden {
		t.Errorf("status %d", p.status)
	}
}

// A request to sign in goes on only in the browser that began it (code injection by way of
// another's browser, RFC 9700 section 4.7).
func TestRequestOfAnotherBrowser(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	attacker, victim := a.browser(t), a.browser(t)
	id := a.request(t, attacker)
	victim.get("/u/login?state="+id).want(t, http.StatusForbidden, "another browser")
	victim.submit(victim.get("/u/login"), "/u/login", "login", ada, "password", right, "state", id).want(t, http.StatusForbidden, "another browser")
	if a.authRequest(t, id).Done {
		t.Error("the victim's sign-in ended the attacker's request")
	}
	nobody := a.request(t, attacker, func(r *directory.AuthRequest) { r.BrowserDigest = nil })
	attacker.get("/u/login?state="+nobody).want(t, http.StatusForbidden, "another browser")
}

// Clickjacking and injection (CSP, CWE-1021): every answer has the headers.
func TestHeaders(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser(t)
	id := a.request(t, b)
	for _, path := range []string{"/u/login", "/u/login?state=" + id, "/u/signup", "/u/reset", "/u/verify?ticket=x", "/u/nothing", "/u/logout"} {
		p := b.get(path)
		policy := p.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self';", "style-src 'self';"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if strings.Contains(p.body, "<script>") || strings.Contains(p.body, "style=") || strings.Contains(p.body, "onclick") {
			t.Errorf("%s has inline script or style", path)
		}
		if got := strings.Contains(policy, "form-action 'self' https://shop.example;"); got != strings.Contains(path, "state=") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

// User enumeration (CWE-204, CWE-208): whether an account exists is told neither by the text nor by
// the work. Work is what argon2 did, not time.
func TestEnumeration(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	a.NewUser(t, "nopassword@example.com")
	hashes := func(fn func()) int64 {
		before := a.people.Hashed()
		fn()
		return a.people.Hashed() - before
	}
	say := func(p *page, email string) string {
		return strings.ReplaceAll(text(p.body), email, "ADDRESS") + strings.Join(p.header["Content-Security-Policy"], "")
	}
	for name, attempt := range map[string]func(b *browser, email string) *page{
		"login":  func(b *browser, email string) *page { return b.login(email, "wrong password") },
		"reset":  func(b *browser, email string) *page { return b.submit(b.get("/u/reset"), "/u/reset", "email", email) },
		"signup": func(b *browser, email string) *page { return b.signup(email, other) },
	} {
		var texts []string
		for i, email := range []string{ada, "nobody@example.com", "nopassword@example.com"} {
			b := a.browser(t)
			b.ip = "198.51.100." + fmt.Sprint(i+1)
			var p *page
			n := hashes(func() { p = attempt(b, email) })
			texts = append(texts, say(p, email))
			want := int64(1)
			if name == "reset" {
				want = 0
			}
			if n != want {
				t.Errorf("%s of %s: %d hashes, want %d", name, email, n, want)
			}
			if texts[i] != texts[0] {
				t.Errorf("%s of %s says %q, of another %q", name, email, texts[i], texts[0])
			}
		}
	}
	// An account that waits looks the same, even with the right password.
	b := a.browser(t)
	var first *page
	for i := range 10 {
		var p *page
		if n := hashes(func() { p = b.login(ada, "wrong password") }); n != 1 {
			t.Errorf("attempt %d: %d hashes", i, n)
		}
		if first == nil {
			first = p
		}
		if p.status != first.status || say(p, ada) != say(first, ada) {
			t.Errorf("attempt %d says %d %q", i, p.status, text(p.body))
		}
	}
	var p *page
	if n := hashes(func() { p = b.login(ada, right) }); n != 1 || p.status != first.status || say(p, ada) != say(first, ada) {
		t.Errorf("the right password while waiting: %d hashes, %d %q", n, p.status, text(p.body))
	}
}

// Brute force (CWE-307): guesses wait; the owner elsewhere does not; what waited once is let in
// again.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	owner, attacker := a.browser(t), a.browser(t)
	attacker.ip = "203.0.113.7"
	owner.login(ada, right).want(t, http.StatusOK, "Your account") // known from now on
	for range 20 {
		attacker.login(ada, "wrong password")
	}
	attacker.login(ada, right).want(t, http.StatusUnauthorized, "That did not work")
	owner.login(ada, right).want(t, http.StatusOK, "Your account")
	if m := a.Inbox.Last(ada); m == nil || m.Subject != "Failed attempts to sign in" || len(a.Inbox.Sent()) != 1 {
		t.Errorf("%d mails, the last is %+v", len(a.Inbox.Sent()), m)
	}
	if a.audited(t, directory.AuditBlocked) == 0 {
		t.Error("the audit log does not tell")
	}
	a.Clock.Advance(2 * time.Minute)
	attacker.login(ada, right).want(t, http.StatusOK, "Your account") // it is the owner's son, say
}

// Attackers with many addresses do not lock the owner out.
func TestDistributedBruteForce(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	owner := a.browser(t)
	owner.login(ada, right)
	guess := func(n int, password string) *page {
		attacker := a.browser(t)
		attacker.ip = fmt.Sprintf("203.0.113.%d", n)
		return attacker.login(ada, password)
	}
	for n := range 70 {
		guess(n, "wrong password")
	}
	guess(99, right).want(t, http.StatusUnauthorized, "That did not work") // unknown networks wait, even with luck
	owner.login(ada, right).want(t, http.StatusOK, "Your account")
	a.Clock.Advance(time.Minute)
	guess(98, right).want(t, http.StatusOK, "Your account")
}

// One address that tries many accounts waits (password spraying).
func TestSpraying(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	b := a.browser(t)
	b.ip = "203.0.113.9"
	status := 0
	for n := range 70 {
		p := b.login(fmt.Sprintf("user%d@example.com", n), "wrong password")
		status = p.status
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after 70 accounts the status is %d", status)
	}
	before := a.people.Hashed()
	p := b.login(ada, right)
	p.want(t, http.StatusTooManyRequests, "Too many attempts")
	if p.header.Get("Retry-After") == "" || a.people.Hashed() != before {
		t.Error("who waits is not told how long, or is worked for")
	}
	a.browser(t).login(ada, right).want(t, http.StatusOK, "Your account")
}

// Codes of six digits cannot be tried out.
func TestGuessingCodes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	secret, _ := b.addTOTP()
	attacker := a.browser(t)
	attacker.ip = "203.0.113.7"
	p := attacker.login(ada, right)
	a.Clock.Advance(30 * time.Second)
	for range 5 {
		attacker.submit(p, "/u/second", "code", "000000").want(t, http.StatusUnauthorized, "not right")
	}
	attacker.submit(p, "/u/second", "code", a.code(t, secret)).want(t, http.StatusTooManyRequests, "Too many attempts")
	if m := a.Inbox.Last(ada); m.Subject != "Somebody may know your password" {
		t.Errorf("the last mail is %q", m.Subject)
	}
	other := a.browser(t)
	other.submit(other.login(ada, right), "/u/second", "code", a.code(t, secret)).want(t, http.StatusOK, "Your account")
}

// Mail bombs: neither an address nor a network gets mail without end.
func TestMailBombs(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	for n := range 10 {
		b := a.browser(t)
		b.ip = fmt.Sprintf("203.0.113.%d", n)
		b.submit(b.get("/u/reset"), "/u/reset", "email", ada).want(t, http.StatusOK, "Look into your mail")
	}
	if n := len(a.Inbox.Sent()); n != 5 {
		t.Errorf("%d mails to one address", n)
	}
	b := a.browser(t)
	status := 0
	for n := range 25 {
		status = b.submit(b.get("/u/reset"), "/u/reset", "email", fmt.Sprintf("user%d@example.com", n)).status
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after 25 addresses the status is %d", status)
	}
}

// Open redirects (CWE-601).
func TestOpenRedirect(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	for next, want := range map[string]string{
		"/u/account":                            "/u/account",
		"/u/account?done=linked":                "/u/account?done=linked",
		"/u/device?user_code=BCDF-GHJK":         "/u/device?user_code=BCDF-GHJK",
		"https://evil.example/":                 "",
		"//evil.example/u/account":              "",
		"/\\evil.example":                       "",
		"/u/account\\..\\..\\evil":              "",
		"/u/../../evil":                         "",
		"/u//evil.example":                      "",
		"/u/%2e%2e/x":                           "",
		"/u/logout":                             "",
		"/u/login":                              "",
		"/authorize?client_id=x":                "",
		"javascript:alert(1)":                   "",
		"http:/u/account":                       "",
		"/u/account#x":                          "",
		"/u/account\r\nLocation: //x":           "",
		"\t//evil.example":                      "",
		"/u/device?" + strings.Repeat("a", 600): "",
	} {
		if got := people.SafeNext(next); got != want {
			t.Errorf("next %q goes to %q, want %q", next, got, want)
		}
		b := a.browser(t)
		p := b.send(b.get("/u/login?next="+url.QueryEscape(next)), "/u/login", "login", ada, "password", right)
		if got := p.header.Get("Location"); want != "" && got != want || want == "" && got != "/u/account" {
			t.Errorf("next %q: sent to %q", next, got)
		}
	}
}

// XSS (CWE-79): whatever is shown is text.
func TestXSS(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`
	a := newApp(t, func(o *people.Options) { o.Branding.Name = "Brand" + evil })
	b := a.browser(t)
	u := a.member(t, ada)
	a.Do(t, func(ctx context.Context) error {
		_, err := a.UpdateUser(ctx, directory.Command, u.ID, func(u *directory.User) error {
			u.Name = evil
			return nil
		})
		return err
	})
	a.Do(t, func(ctx context.Context) error {
		_, err := a.CreateConnection(ctx, directory.Command, &directory.Connection{
			Name: "upstream", DisplayName: evil, Strategy: directory.StrategyOIDC, ForAll: true,
			Options: directory.ConnectionOptions{Issuer: "https://upstream.example/", ClientID: "x"},
		})
		return err
	})
	client, _ := a.NewApplication(t, &directory.Application{Name: evil, Type: "spa", FirstParty: true})
	id := a.request(t, b, func(r *directory.AuthRequest) { r.ClientID, r.LoginHint = client.ClientID, evil })
	q := url.QueryEscape(evil)
	pages := []*page{
		b.get("/u/login?state=" + id), b.get("/u/login?state=" + q), b.get("/u/login?next=" + q),
		b.get("/u/signup?state=" + id), b.get("/u/verify?ticket=" + q), b.get("/u/reset/password?ticket=" + q),
		b.login(evil, evil), b.signup(evil, evil, "name", evil, "username", evil),
		b.signup("x@example.com", "short", "name", evil),
		b.submit(b.get("/u/reset"), "/u/reset", "email", evil),
	}
	b.login(ada, right)
	agent := httptest.NewRequest(http.MethodGet, "/u/account?done="+q, nil)
	agent.Header.Set("User-Agent", evil)
	pages = append(pages, b.do(agent), b.get("/u/logout"), b.submit(b.get("/u/account"), "/u/account/totp"))
	for _, p := range pages {
		if strings.Contains(p.body, "<script>") || strings.Contains(p.body, "<img src=x") {
			t.Errorf("%s: what came from outside is HTML:\n%s", p.path, p.body)
		}
	}
	for _, m := range a.Inbox.Sent() {
		if strings.Contains(m.HTML, "<script>") || strings.Contains(m.Subject, "\n") {
			t.Errorf("mail %q: what came from outside is HTML", m.Subject)
		}
	}
}

// Host header injection (CWE-644): links in mails are those of the issuer; nothing that whoever caused a
// mail has typed is in it.
func TestHostHeader(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	b := a.browser(t)
	form := b.get("/u/reset").forms["/u/reset"]
	form.Set("email", ada)
	r := httptest.NewRequest(http.MethodPost, "http://evil.example/u/reset", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("Forwarded", "host=evil.example")
	b.do(r)
	b.signup(eve, right, "name", "Visit https://evil.example now")
	for _, m := range a.Inbox.Sent() {
		if strings.Contains(m.Text+m.HTML+m.Subject, "evil.example") {
			t.Errorf("the mail to %s says %s", m.To, m.Text)
		}
		if !strings.Contains(m.Text, directorytest.Issuer+"u/") {
			t.Errorf("the mail to %s has no link of the issuer: %s", m.To, m.Text)
		}
	}
	if len(a.Inbox.Sent()) != 2 {
		t.Errorf("%d mails", len(a.Inbox.Sent()))
	}
}

// Account pre-hijacking: whoever made an account with another's address keeps nothing of it when the owner
// resets the password.
func TestPreHijacking(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	attacker := a.browser(t)
	attacker.signup(ada, right)
	attacker.login(ada, right).want(t, http.StatusOK, "Your account")
	d := newDevice()
	d.use(attacker, attacker.get("/u/account"), "/u/account/passkeys/challenge", "/u/account/passkeys")
	attacker.addTOTPOnly()
	owner := a.browser(t)
	owner.submit(owner.get("/u/reset"), "/u/reset", "email", ada)
	owner.submit(owner.get(a.link(t, ada)), "/u/reset/password", "password", other).want(t, http.StatusOK, "Your password is changed")
	attacker.get("/u/account").want(t, http.StatusOK, "Sign in")
	d.use(attacker, attacker.get("/u/login"), "/u/passkey/challenge", "/u/passkey").want(t, http.StatusUnauthorized, "did not work")
	owner.login(ada, other).want(t, http.StatusOK, "Your account") // and is not asked for the attacker's code
	if u := a.byEmail(t, ada); !u.EmailVerified || len(u.SecondFactors) != 0 {
		t.Errorf("user %+v", u)
	}
}

func (b *browser) addTOTPOnly() {
	b.t.Helper()
	p := b.submit(b.get("/u/account"), "/u/account/totp")
	b.submit(p, "/u/account/totp/confirm", "code", b.app.code(b.t, secretOf.FindStringSubmatch(p.body)[1])).want(b.t, http.StatusOK, "Your account")
}

// Huge input is refused before it is worked on.
func TestHugeInput(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser(t)
	csrf := b.get("/u/login").forms["/u/login"].Get("csrf")
	before := a.people.Hashed()
	p := b.post("/u/login", url.Values{"csrf": {csrf}, "login": {ada}, "password": {strings.Repeat("x", 1<<20)}})
	p.want(t, http.StatusBadRequest, "could not be read")
	if a.people.Hashed() != before {
		t.Error("a huge password is hashed")
	}
	b.post("/u/login", url.Values{"csrf": {csrf}, "login": {strings.Repeat("x", 100_000)}, "password": {"x"}}).want(t, http.StatusUnauthorized, "did not work")
	b.get("/u/login?state="+strings.Repeat("x", 5000)).want(t, http.StatusBadRequest, "not complete")
	if status := b.json("/dbconnections/signup", map[string]string{"email": strings.Repeat("x", 1<<20)}, nil); status != http.StatusBadRequest {
		t.Errorf("a huge call: status %d", status)
	}
}
