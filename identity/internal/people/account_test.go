package people_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/pquerna/otp/totp"

	"github.com/perdure/perdure/identity/internal/directory"
)

var (
	secretOf = regexp.MustCompile(`id="secret">([A-Z2-7]+)<`)
	codeOf   = regexp.MustCompile(`<li><code>([0-9A-Z-]+)</code>`)
)

func (a *app) code(t testing.TB, secret string) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, a.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// addTOTP sets up an authenticator app and returns its secret and the recovery codes.
func (b *browser) addTOTP() (secret string, codes []string) {
	b.t.Helper()
	p := b.submit(b.get("/u/account"), "/u/account/totp")
	p.want(b.t, http.StatusOK, "Scan this picture")
	secret = secretOf.FindStringSubmatch(p.body)[1]
	b.submit(p, "/u/account/totp/confirm", "code", "000000").want(b.t, http.StatusBadRequest, "not right")
	p = b.submit(p, "/u/account/totp/confirm", "code", b.app.code(b.t, secret))
	p.want(b.t, http.StatusOK, "Your recovery codes")
	for _, m := range codeOf.FindAllStringSubmatch(p.body, -1) {
		codes = append(codes, m[1])
	}
	return secret, codes
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	secret, codes := b.addTOTP()
	if len(codes) != 10 || !slices.Equal(a.user(t, u.ID).SecondFactors, []string{"totp"}) {
		t.Fatalf("%d codes, factors %v", len(codes), a.user(t, u.ID).SecondFactors)
	}
	if m := a.Inbox.Last(ada); m == nil || !strings.Contains(m.Text, "authenticator app was added") {
		t.Errorf("the mail says %+v", m)
	}

	second := a.browser(t)
	id := a.request(t, second)
	p := second.submit(second.get("/u/login?state="+id), "/u/login", "login", ada, "password", right)
	p.want(t, http.StatusOK, "Your account asks for a second step")
	if second.cookies[directory.CookieName(a.Issuer, "session")] != "" || a.authRequest(t, id).Done {
		t.Fatal("half a sign-in has a session")
	}
	second.submit(p, "/u/second", "code", a.code(t, secret)).want(t, http.StatusUnauthorized, "used already")
	a.Clock.Advance(30 * time.Second)
	second.submit(p, "/u/second", "code", "123").want(t, http.StatusUnauthorized, "not right")
	p = second.send(p, "/u/second", "code", a.code(t, secret))
	if got := p.header.Get("Location"); got != "/authorize/callback?id="+id {
		t.Fatalf("status %d to %q", p.status, got)
	}
	if r := a.authRequest(t, id); !r.Done || !slices.Equal(r.Methods, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("the request is %+v", r)
	}

	third := a.browser(t)
	third.login(ada, right)
	p = third.get("/u/recovery")
	third.submit(p, "/u/recovery", "code", "AAAA-AAAA-AAAA-AAAA").want(t, http.StatusUnauthorized, "not right")
	third.submit(p, "/u/recovery", "code", strings.ToLower(codes[3])).want(t, http.StatusOK, "9 left")
	if m := a.Inbox.Last(ada); m.Subject != "A recovery code was used" {
		t.Errorf("the last mail is %q", m.Subject)
	}
	fourth := a.browser(t)
	fourth.login(ada, right)
	fourth.submit(fourth.get("/u/recovery"), "/u/recovery", "code", codes[3]).want(t, http.StatusUnauthorized, "used already")

	b.submit(b.get("/u/account"), "/u/account/totp/remove").want(t, http.StatusOK, "turned off")
	if f := a.user(t, u.ID).SecondFactors; len(f) != 0 {
		t.Errorf("factors %v are left", f)
	}
	a.browser(t).login(ada, right).want(t, http.StatusOK, "Your account")
}

// device is an authenticator with a passkey, in a browser with scripts.
type device struct {
	rp         virtualwebauthn.RelyingParty
	key        virtualwebauthn.Authenticator
	credential virtualwebauthn.Credential
}

func newDevice() *device {
	return &device{
		rp:         virtualwebauthn.RelyingParty{ID: "localhost", Name: "Perdure", Origin: "http://localhost:8080"},
		key:        virtualwebauthn.NewAuthenticator(),
		credential: virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2),
	}
}

// use does what the page's script does: it asks for a challenge, answers it and sends the form.
func (d *device) use(b *browser, p *page, challenge, action string, fields ...string) *page {
	b.t.Helper()
	asked := b.post(challenge, p.forms[action])
	if asked.status != http.StatusOK {
		return asked
	}
	var response string
	if strings.Contains(asked.body, `"user":`) {
		o, err := virtualwebauthn.ParseAttestationOptions(asked.body)
		if err != nil {
			b.t.Fatal(err)
		}
		d.key.Options.UserHandle = []byte(o.UserID)
		response = virtualwebauthn.CreateAttestationResponse(d.rp, d.key, d.credential, *o)
	} else {
		o, err := virtualwebauthn.ParseAssertionOptions(asked.body)
		if err != nil {
			b.t.Fatal(err)
		}
		d.credential.Counter++
		response = virtualwebauthn.CreateAssertionResponse(d.rp, d.key, d.credential, *o)
	}
	return b.submit(p, action, append(fields, "response", response)...)
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b, d := a.browser(t), newDevice()
	b.login(ada, right)
	d.use(b, b.get("/u/account"), "/u/account/passkeys/challenge", "/u/account/passkeys", "name", "My <b>phone</b>").
		want(t, http.StatusOK, "Your recovery codes")
	p := b.get("/u/account")
	p.want(t, http.StatusOK, "My <b>phone</b>")
	if !slices.Equal(a.user(t, u.ID).SecondFactors, []string{"webauthn"}) {
		t.Errorf("factors %v", a.user(t, u.ID).SecondFactors)
	}

	alone := a.browser(t)
	id := a.request(t, alone)
	d.use(alone, alone.get("/u/login?state="+id), "/u/passkey/challenge", "/u/passkey")
	if r := a.authRequest(t, id); !r.Done || r.UserID != u.ID || !slices.Equal(r.Methods, []string{"hwk", "mfa"}) {
		t.Errorf("the request is %+v", r)
	}

	second := a.browser(t)
	p = second.login(ada, right)
	p.want(t, http.StatusOK, "Use a passkey")
	newDevice().use(second, p, "/u/second/challenge", "/u/second/passkey").want(t, http.StatusUnauthorized, "did not work")
	d.use(second, p, "/u/second/challenge", "/u/second/passkey").want(t, http.StatusOK, "Your account")

	newDevice().use(alone, a.browser(t).get("/u/login"), "/u/passkey/challenge", "/u/passkey").want(t, http.StatusForbidden, "too old") // another browser's token
	stranger := a.browser(t)
	newDevice().use(stranger, stranger.get("/u/login"), "/u/passkey/challenge", "/u/passkey").want(t, http.StatusUnauthorized, "did not work")

	var out struct{ Error string }
	again := b.post("/u/account/passkeys/challenge", b.get("/u/account").forms["/u/account/passkeys"])
	if json.Unmarshal([]byte(again.body), &out) != nil || again.status != http.StatusOK || !strings.Contains(again.body, "excludeCredentials") {
		t.Errorf("the challenge for another passkey is %d %s", again.status, again.body)
	}
	b.submit(b.get("/u/account"), "/u/account/passkeys/remove").want(t, http.StatusOK, "The passkey is removed")
	d.use(stranger, stranger.get("/u/login"), "/u/passkey/challenge", "/u/passkey").want(t, http.StatusUnauthorized, "did not work")
}

func TestAccount(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b, elsewhere := a.browser(t), a.browser(t)
	b.login(ada, right)
	elsewhere.login(ada, right)

	b.submit(b.get("/u/account"), "/u/account/profile", "name", " Ada ").want(t, http.StatusOK, "Your profile is saved")
	if got := a.user(t, u.ID).Name; got != "Ada" {
		t.Errorf("name %q", got)
	}
	b.submit(b.get("/u/account"), "/u/account/profile", "name", strings.Repeat("x", 301)).want(t, http.StatusBadRequest, "cannot be used")

	p := b.get("/u/account")
	b.submit(p, "/u/account/password", "old", "wrong one", "new", other).want(t, http.StatusBadRequest, "current password is not right")
	b.submit(p, "/u/account/password", "old", right, "new", "short").want(t, http.StatusBadRequest, "at least 10 characters")
	b.submit(p, "/u/account/password", "old", right, "new", other).want(t, http.StatusOK, "Your password is changed")
	elsewhere.get("/u/account").want(t, http.StatusOK, "Sign in")
	b.get("/u/account").want(t, http.StatusOK, "Where you are signed in")

	elsewhere.login(ada, other).want(t, http.StatusOK, "Your account")
	var id string
	a.Do(t, func(ctx context.Context) error {
		for row, err := range directory.Sessions.ScanIndex(ctx, directory.SessionsByUser.Equal(u.ID)) {
			if err != nil {
				return err
			}
			if row.Value.ID != current(t, a, b).ID {
				id = row.Value.ID
			}
		}
		return nil
	})
	// Nobody ends somebody else's session.
	a.member(t, eve)
	foreign := a.browser(t)
	foreign.login(eve, right)
	foreign.submit(foreign.get("/u/account"), "/u/account/sessions/revoke", "id", id)
	elsewhere.get("/u/account").want(t, http.StatusOK, "Where you are signed in")
	b.submit(b.get("/u/account"), "/u/account/sessions/revoke", "id", id).want(t, http.StatusOK, "The session has ended")
	elsewhere.get("/u/account").want(t, http.StatusOK, "Sign in")

	elsewhere.login(ada, other)
	b.submit(b.get("/u/account"), "/u/account/sessions/revoke", "id", "others")
	elsewhere.get("/u/account").want(t, http.StatusOK, "Sign in")
	b.get("/u/account").want(t, http.StatusOK, "Where you are signed in")
}

func current(t testing.TB, a *app, b *browser) (s *directory.Session) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	a.Do(t, func(ctx context.Context) (err error) {
		s, err = a.people.Current(r.WithContext(ctx))
		return err
	})
	return s
}

// What changes how a user signs in wants that the user has signed in just now.
func TestStepUp(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	p := b.get("/u/account")
	a.Clock.Advance(16 * time.Minute)
	for _, action := range []string{"/u/account/totp"} {
		again := b.submit(p, action)
		again.want(t, http.StatusOK, "once more that it is you")
		if again.forms["/u/login"].Get("next") != "/u/account" {
			t.Errorf("%s: the way back is lost", action)
		}
	}
	asked := b.post("/u/account/passkeys/challenge", p.forms["/u/account/passkeys"])
	if asked.status != http.StatusForbidden || !strings.Contains(asked.body, "sign out and in again") {
		t.Errorf("a challenge: %d %s", asked.status, asked.body)
	}
	again := b.submit(p, "/u/account/totp")
	b.submit(again, "/u/login", "login", ada, "password", right).want(t, http.StatusOK, "Your account")
	b.submit(b.get("/u/account"), "/u/account/totp").want(t, http.StatusOK, "Scan this picture")
}

func TestFactorsOfAdministrators(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	b.addTOTP()
	a.Do(t, func(ctx context.Context) error {
		all, err := a.people.Factors(ctx, u.ID)
		if err != nil || len(all) != 2 || all[0].Kind != "totp" || all[1].Kind != "recovery-code" {
			t.Errorf("factors %+v, %v", all, err)
		}
		if removed, err := a.people.RemoveFactor(ctx, u.ID, "nothing"); removed || err != nil {
			t.Errorf("nothing is removed: %v, %v", removed, err)
		}
		removed, err := a.people.RemoveFactor(ctx, u.ID, "totp")
		if !removed {
			t.Error("nothing is removed")
		}
		return err
	})
	a.Do(t, func(ctx context.Context) error {
		all, err := a.people.Factors(ctx, u.ID)
		if len(all) != 0 {
			t.Errorf("factors %+v are left", all)
		}
		return err
	})
	if f := a.user(t, u.ID).SecondFactors; len(f) != 0 {
		t.Errorf("the user has %v", f)
	}
}
