package people_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

func (b *browser) signup(email, password string, fields ...string) *page {
	b.t.Helper()
	return b.submit(b.get("/u/signup"), "/u/signup", append([]string{"email", email, "password", password}, fields...)...)
}

func TestSignup(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser(t)
	id := a.request(t, b)
	p := b.submit(b.get("/u/signup?state="+id), "/u/signup", "email", ada, "name", "Ada Lovelace", "password", right)
	p.want(t, http.StatusOK, "Look into your mail")
	u := a.byEmail(t, ada)
	if u.Name != "Ada Lovelace" || u.EmailVerified {
		t.Errorf("user %+v", u)
	}
	link := a.link(t, ada)
	for range 2 { // a program that follows links changes nothing
		p = b.get(link)
		p.want(t, http.StatusOK, "Is ada@example.com your address?")
	}
	if a.user(t, u.ID).EmailVerified {
		t.Fatal("to look at the link verifies the address")
	}
	p = b.submit(p, "/u/verify")
	p.want(t, http.StatusOK, "Your address is verified")
	if !strings.Contains(p.body, "state="+id) {
		t.Error("the way back to the application is lost")
	}
	if !a.user(t, u.ID).EmailVerified || a.audited(t, directory.AuditEmailVerified) != 1 || a.audited(t, directory.AuditSignup) != 1 {
		t.Error("the address is not verified, or the audit log does not tell")
	}
	b.get(link).want(t, http.StatusBadRequest, "not valid")
	b.login(ada, right).want(t, http.StatusOK, "Your account")
}

func TestSignupFaults(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser(t)
	for _, c := range []struct{ email, password, name, want string }{
		{"no address", right, "", "no e-mail address"},
		{ada, "short", "", "at least 10 characters"},
		{ada, "ada@example.com", "", "too close"},
		{ada, strings.Repeat("a", 300), "", "more than 256 bytes"},
		{ada, right, "A\u202eda", "invisible"},
	} {
		p := b.signup(c.email, c.password, "name", c.name)
		p.want(t, http.StatusBadRequest, c.want)
		if strings.Contains(p.body, `"`+c.password+`"`) && c.password != ada {
			t.Errorf("%q: the password is in the page", c.password)
		}
	}
	if len(a.Inbox.Sent()) != 0 {
		t.Error("mail was sent")
	}
}

func TestSignupWithUsername(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.connection(t, func(o *directory.ConnectionOptions) { o.RequiresUsername = true })
	b := a.browser(t)
	b.signup(ada, right, "username", "ada").want(t, http.StatusOK, "Look into your mail")
	b.signup(eve, right, "username", "ADA").want(t, http.StatusBadRequest, "That username is taken")
	b.login("Ada", right).want(t, http.StatusOK, "Your account")
}

func TestSignupWithoutMail(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.Mail = nil
	a := appOn(t, w)
	b := a.browser(t)
	b.signup(ada, right).want(t, http.StatusOK, "Your account")
	a.browser(t).signup(ada, other).want(t, http.StatusBadRequest, "cannot sign up with this address")
	a.browser(t).login(ada, right).want(t, http.StatusOK, "Your account")
	b.get("/u/reset").want(t, http.StatusOK, "cannot send mail")
}

func TestUnverifiedAddress(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.connection(t, func(o *directory.ConnectionOptions) { o.RequireVerifiedEmail = true })
	b := a.browser(t)
	b.signup(ada, right)
	b.login(ada, right).want(t, http.StatusOK, "Verify your address first")
	if n := len(a.Inbox.Sent()); n != 2 {
		t.Errorf("%d mails, want one for signing up and one for signing in", n)
	}
	b.submit(b.get(a.link(t, ada)), "/u/verify")
	b.login(ada, right).want(t, http.StatusOK, "Your account")
}

// Somebody signs up with a stranger's address; the stranger's click does not vouch for the account.
func TestStrangerDoesNotVerify(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.browser(t).signup(ada, right)
	stranger := a.browser(t)
	p := stranger.get(a.link(t, ada))
	p.want(t, http.StatusOK, "The password that you chose")
	p = stranger.submit(p, "/u/verify", "password", other)
	p.want(t, http.StatusUnauthorized, "not the password")
	if a.byEmail(t, ada).EmailVerified {
		t.Fatal("the address is verified")
	}
	// The same person with another device knows it.
	stranger.submit(p, "/u/verify", "password", right).want(t, http.StatusOK, "Your address is verified")
}

func TestReset(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	old := a.browser(t)
	old.login(ada, right).want(t, http.StatusOK, "Your account")
	b := a.browser(t)
	p := b.submit(b.get("/u/reset"), "/u/reset", "email", "Ada@Example.com")
	p.want(t, http.StatusOK, "Look into your mail")
	first := a.link(t, ada)
	b.submit(b.get("/u/reset"), "/u/reset", "email", ada)
	b.get(first).want(t, http.StatusBadRequest, "not valid") // the newer one counts
	link := a.link(t, ada)
	p = b.get(link)
	p.want(t, http.StatusOK, "Choose a new password")
	b.submit(p, "/u/reset/password", "password", "short").want(t, http.StatusBadRequest, "at least 10 characters")
	b.submit(p, "/u/reset/password", "password", other).want(t, http.StatusOK, "Your password is changed")
	b.submit(p, "/u/reset/password", "password", right).want(t, http.StatusBadRequest, "not valid")
	old.get("/u/account").want(t, http.StatusOK, "Sign in")
	b.login(ada, right).want(t, http.StatusUnauthorized, "That did not work")
	b.login(ada, other).want(t, http.StatusOK, "Your account")
	if m := a.Inbox.Last(ada); m.Subject != "Your password was changed" {
		t.Errorf("the last mail is %q", m.Subject)
	}
	if a.audited(t, directory.AuditPasswordReset) != 1 {
		t.Error("the audit log does not tell")
	}

	b.submit(b.get("/u/reset"), "/u/reset", "email", ada)
	late := a.link(t, ada)
	a.Clock.Advance(time.Hour)
	b.get(late).want(t, http.StatusBadRequest, "not valid")
	// A link to an address that the user has left is void.
	b.submit(b.get("/u/reset"), "/u/reset", "email", ada)
	a.Do(t, func(ctx context.Context) error {
		_, err := a.UpdateUser(ctx, directory.Command, u.ID, func(u *directory.User) error {
			u.SetEmail("new@example.com", true)
			return nil
		})
		return err
	})
	b.get(a.link(t, ada)).want(t, http.StatusBadRequest, "not valid")
}

func TestLinksOfAdministrators(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.NewUser(t, ada)
	var verify, reset string
	a.Do(t, func(ctx context.Context) (err error) {
		if verify, err = a.people.VerificationLink(ctx, u.ID, 48*time.Hour, true); err != nil {
			return err
		}
		reset, err = a.people.ResetLink(ctx, u.ID, 0, false)
		return err
	})
	if got := a.link(t, ada); directorytest.Issuer+got[1:] != verify {
		t.Errorf("link %q, mailed %q", verify, got)
	}
	a.Clock.Advance(59 * time.Minute)
	b := a.browser(t)
	path := strings.TrimPrefix(reset, directorytest.Issuer)
	b.submit(b.get("/"+path), "/u/reset/password", "password", right).want(t, http.StatusOK, "Your password is changed")
	b.login(ada, right).want(t, http.StatusOK, "Your account")
	b.get("/"+strings.TrimPrefix(verify, directorytest.Issuer)).want(t, http.StatusBadRequest, "not valid") // all links end with the password
}

func TestDBConnections(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	client, _ := a.NewApplication(t, &directory.Application{Name: "Shop", Type: "spa", FirstParty: true})
	b := a.browser(t)
	in := func(fields ...string) map[string]any {
		m := map[string]any{"client_id": client.ClientID, "connection": directory.DefaultConnection}
		for i := 0; i < len(fields); i += 2 {
			m[fields[i]] = fields[i+1]
		}
		return m
	}
	var out struct {
		ID       string `json:"_id"`
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		Code     string `json:"code"`
		Status   int    `json:"statusCode"`
		Given    string `json:"given_name"`
	}
	if status := b.json("/dbconnections/signup", in("email", ada, "password", right, "given_name", "Ada"), &out); status != http.StatusOK || out.ID == "" || strings.Contains(out.ID, "|") || out.Email != ada || out.Verified || out.Given != "Ada" {
		t.Errorf("signup: %d %+v", status, out)
	}
	a.link(t, ada)
	for code, body := range map[string]map[string]any{
		"invalid_signup":   in("email", ada, "password", right),
		"invalid_password": in("email", eve, "password", "short"),
		"invalid_request":  {"client_id": "nobody", "connection": directory.DefaultConnection, "email": eve, "password": right},
	} {
		out.Code = ""
		if status := b.json("/dbconnections/signup", body, &out); status != http.StatusBadRequest || out.Code != code || out.Status != 400 {
			t.Errorf("%s: %d %+v", code, status, out)
		}
	}
	mails := len(a.Inbox.Sent())
	for _, email := range []string{ada, eve} {
		if status := b.json("/dbconnections/change_password", in("email", email), nil); status != http.StatusOK {
			t.Errorf("change_password of %s: %d", email, status)
		}
	}
	if n := len(a.Inbox.Sent()) - mails; n != 1 {
		t.Errorf("%d mails, want one to who has an account", n)
	}
	a.connection(t, func(o *directory.ConnectionOptions) { o.DisableSignup = true })
	if status := b.json("/dbconnections/signup", in("email", eve, "password", right), &out); status != http.StatusBadRequest || out.Code != "signup_disabled" {
		t.Errorf("where nobody may sign up: %d %+v", status, out)
	}
}
