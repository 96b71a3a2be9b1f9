package identity_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/perdure/perdure/test/e2e/browser"
)

const (
	ada   = "ada@example.com"
	first = "correct horse battery"
	newer = "entirely different words"
)

// visitor is a person at a browser.
type visitor struct {
	*browser.Page
	t *testing.T
	s *site
}

func (v *visitor) submit(action string) {
	v.t.Helper()
	v.Click(fmt.Sprintf(`form[action=%q] button[type=submit]`, action))
}

// look keeps a picture of the page, which must not be wider than the window.
func (v *visitor) look(name string) {
	v.t.Helper()
	if browser.Eval[bool](v.Page, "document.documentElement.scrollWidth > window.innerWidth") {
		v.t.Errorf("%s: the page is wider than the window", name)
	}
	v.Keep(name)
}

// signIn signs in by password; the page for it must be open.
func (v *visitor) signIn(password string) {
	v.t.Helper()
	v.Fill("#login", ada)
	v.Fill("#password", password)
	v.submit("/u/login")
}

func (v *visitor) signOut() {
	v.t.Helper()
	v.Go(v.s.issuer + "u/account")
	v.Click("#logout")
	v.WaitText("You are signed out")
}

// A person's life with the provider, from the first visit of an application.
func TestPeople(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := &visitor{browser.Open(t, s.app+"/start"), t, s}
	v.Authenticator()

	v.WaitText("to continue to Shop")
	v.look("login")
	v.signIn("a password that is wrong")
	v.WaitText("That did not work")
	v.look("login-wrong")
	v.Click(`a[href^="/u/signup"]`)
	v.WaitText("At least 10 characters")
	v.Fill("#email", ada)
	v.Fill("#name", "Ada <b>Lovelace</b>")
	v.Fill("#password", first)
	v.look("signup")
	v.submit("/u/signup")
	v.WaitText("Look into your mail")
	v.look("mail-sent")
	v.Go(s.inbox.link(t, ada))
	v.WaitText("Is ada@example.com your address?")
	v.look("verify")
	v.submit("/u/verify")
	v.WaitText("Your address is verified")
	v.Click("a.button")
	v.WaitText("to continue to Shop") // the request of the application goes on
	v.signIn(first)
	v.WaitText("Welcome to the shop, ada@example.com.")
	v.Go(s.app + "/start") // single sign-on: no page asks again
	v.WaitText("Welcome to the shop, ada@example.com.")

	v.Go(s.issuer + "u/account")
	v.WaitText("this browser")
	if got := browser.Eval[string](v.Page, "document.querySelector('#name').value"); got != "Ada <b>Lovelace</b>" {
		t.Errorf("name %q", got)
	}
	v.look("account-new")
	v.Click("#add-totp")
	secret := v.Text("#secret")
	v.Wait("the QR code", "document.querySelector('.qr').naturalWidth > 0")
	v.look("totp")
	v.Fill("#code", code(t, secret, 0))
	v.submit("/u/account/totp/confirm")
	recovery := v.Text("#codes li:first-child")
	v.look("codes")
	v.Go(s.issuer + "u/account")
	v.Fill("#passkey-name", "My laptop")
	v.Click("#add-passkey button")
	v.WaitText("The passkey is added")
	v.WaitText("My laptop")
	v.look("account")

	v.signOut()
	v.look("signed-out")
	v.Go(s.issuer + "u/login")
	v.signIn(first)
	v.WaitText("Your account asks for a second step")
	v.look("second")
	v.Fill("#code", code(t, secret, 30*time.Second))
	v.submit("/u/second")
	v.WaitText("this browser")
	v.signOut()
	v.Go(s.app + "/start")
	v.submit("/u/passkey") // nothing is typed at all
	v.WaitText("Welcome to the shop, ada@example.com.")

	w := &visitor{browser.Open(t, s.issuer+"u/login"), t, s}
	w.signIn(first)
	w.Click(`a[href^="/u/recovery"]`)
	w.WaitText("Each works once")
	w.look("recovery")
	w.Fill("#code", strings.TrimSpace(recovery))
	w.submit("/u/recovery")
	w.WaitText("this browser")
	v.Go(s.issuer + "u/account")
	v.Wait("two sessions", `document.querySelectorAll('#sessions li').length === 2`)
	v.look("account-two-sessions")
	v.Click(`#sessions button.danger`)
	v.WaitText("The session has ended")
	v.Wait("one session", `document.querySelectorAll('#sessions li').length === 1`)
	w.Go(s.issuer + "u/account")
	w.WaitText("Forgot your password?")

	w.Click(`a[href^="/u/reset"]`)
	w.WaitText("we send you a link")
	w.look("reset")
	w.Fill("#email", ada)
	w.submit("/u/reset")
	w.WaitText("If there is an account")
	w.Go(s.inbox.link(t, ada))
	w.Fill("#password", newer)
	w.look("new-password")
	w.submit("/u/reset/password")
	w.WaitText("Your password is changed")
	v.Go(s.issuer + "u/account") // it has ended everywhere
	v.signIn(newer)
	v.WaitText("Your account asks for a second step")
	v.submit("/u/second/passkey")
	v.WaitText("this browser")

	v.Go(s.issuer + "u/logout")
	v.WaitText("Sign out?")
	v.look("logout")
	v.Go(s.issuer + "u/nothing")
	v.WaitText("There is no such page.")
	v.look("error")
	v.Quiet()
	w.Quiet()
}

func code(t *testing.T, secret string, ahead time.Duration) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, time.Now().Add(ahead))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The pages can be used on a phone, in the dark, and by keyboard.
func TestLooks(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := &visitor{browser.Open(t, s.issuer+"u/login"), t, s}
	v.Look(360, 740, "dark")
	v.WaitText("Sign in")
	v.look("login-phone-dark")
	if got := browser.Eval[string](v.Page, "document.activeElement.id"); got != "login" {
		t.Errorf("the focus is on %q", got)
	}
	for _, selector := range []string{"input:not([type=hidden])", "button", "a"} {
		nameless := browser.Eval[int](v.Page, fmt.Sprintf(`[...document.querySelectorAll(%q)].filter((e) => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.ariaLabel).length`, selector))
		if nameless > 0 {
			t.Errorf("%d of %s have no name for a screen reader", nameless, selector)
		}
	}
	v.signIn("a password that is wrong")
	v.WaitText("That did not work")
	if got := browser.Eval[string](v.Page, "document.getElementById(document.querySelector('#password').getAttribute('aria-describedby')).role"); got != "alert" {
		t.Errorf("the error is a %q", got)
	}
	v.look("wrong-phone-dark")
	v.Quiet()
}
