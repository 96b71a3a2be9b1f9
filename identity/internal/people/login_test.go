package people_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/people"
	"github.com/perdure/perdure/identity/internal/people/password"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, "wrong password").want(t, http.StatusUnauthorized, "That did not work")
	b.login("ADA@example.com", right).want(t, http.StatusOK, "Your account")
	got := a.user(t, u.ID)
	if got.LoginsCount != 1 || got.LastIP != "192.0.2.1" || !got.LastLogin.Equal(directorytest.Epoch) {
		t.Errorf("after signing in: %d logins, last from %q at %v", got.LoginsCount, got.LastIP, got.LastLogin)
	}
	if a.audited(t, directory.AuditLogin) != 1 || a.audited(t, directory.AuditLoginFailed) != 1 {
		t.Error("the audit log does not tell one login and one failure")
	}
	if p := b.submit(b.get("/u/logout"), "/u/logout"); !strings.Contains(p.body, "signed out") {
		t.Errorf("signing out says %s", text(p.body))
	}
	b.get("/u/account").want(t, http.StatusOK, "Sign in")
}

func TestLoginForAnApplication(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	id := a.request(t, b, func(r *directory.AuthRequest) { r.LoginHint = ada })
	p := b.get("/u/login?state=" + id)
	p.want(t, http.StatusOK, "to continue to Shop")
	if got := p.forms["/u/login"].Get("login"); got != ada {
		t.Errorf("the hint fills in %q", got)
	}
	p = b.send(p, "/u/login", "password", right)
	if got := p.header.Get("Location"); p.status != http.StatusSeeOther || got != "/authorize/callback?id="+id {
		t.Fatalf("status %d to %q", p.status, got)
	}
	r := a.authRequest(t, id)
	if !r.Done || r.UserID != u.ID || r.SessionID == "" || !r.AuthTime.Equal(directorytest.Epoch) || strings.Join(r.Methods, " ") != "pwd" {
		t.Errorf("the request is %+v", r)
	}
}

func TestLoginPages(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser(t)
	b.get("/u/login?state=nothing").want(t, http.StatusBadRequest, "has ended")
	b.get("/u/nothing").want(t, http.StatusNotFound, "no such page")
	signup := a.request(t, b, func(r *directory.AuthRequest) { r.ScreenHint = "signup" })
	p := b.get("/u/login?state=" + signup)
	p.want(t, http.StatusOK, "Sign up")
	if !strings.Contains(p.body, "form=login&amp;state="+signup) {
		t.Error("the page for signing up has no way to the one for signing in")
	}
	b.get("/u/login?form=login&state="+signup).want(t, http.StatusOK, "Forgot your password")
	a.connection(t, func(o *directory.ConnectionOptions) { o.DisableSignup = true })
	if p := b.get("/u/login"); strings.Contains(p.body, "/u/signup") {
		t.Error("where nobody may sign up the page offers it")
	}
	b.get("/u/signup").want(t, http.StatusForbidden, "cannot sign up")
}

func TestBlockedUser(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right).want(t, http.StatusOK, "Your account")
	block := func(blocked bool) {
		a.Do(t, func(ctx context.Context) error {
			_, err := a.UpdateUser(ctx, directory.Command, u.ID, func(u *directory.User) error {
				u.Blocked = blocked
				return nil
			})
			return err
		})
	}
	block(true)
	b.get("/u/account").want(t, http.StatusOK, "Sign in") // the session ends at once
	b.login(ada, right).want(t, http.StatusForbidden, "blocked")
	b.login(ada, "wrong password").want(t, http.StatusUnauthorized, "That did not work") // only the owner learns it
	block(false)
	b.login(ada, right).want(t, http.StatusOK, "Your account")
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	signedIn := func() bool { return strings.Contains(b.get("/u/account").body, "Where you are signed in") }
	for range 3 { // each within the three days, together seven days less an hour
		a.Clock.Advance(55*time.Hour + 40*time.Minute)
		if !signedIn() {
			t.Fatal("a session that is used ends early")
		}
	}
	a.Clock.Advance(2 * time.Hour)
	if signedIn() {
		t.Error("a session lasts longer than its lifetime")
	}
	b.login(ada, right)
	a.Clock.Advance(73 * time.Hour)
	if signedIn() {
		t.Error("a session that is not used does not end")
	}
}

func TestCurrentAndEndSession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	request := func(ctx context.Context) *http.Request {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/authorize", nil)
		for name, value := range b.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		return r
	}
	current := func() (s *directory.Session) {
		a.Do(t, func(ctx context.Context) (err error) {
			s, err = a.people.Current(request(ctx))
			return err
		})
		return s
	}
	if s := current(); s == nil || s.UserID != u.ID {
		t.Fatalf("session %+v", s)
	}
	w := httptest.NewRecorder()
	a.Do(t, func(ctx context.Context) error { return a.people.EndSession(ctx, w, request(ctx)) })
	if s := current(); s != nil {
		t.Error("an ended session goes on")
	}
	if c := w.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("cookies %v, want one that is removed", c)
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	check := func(connection, login, text string) (got *directory.User, err error) {
		a.Do(t, func(ctx context.Context) error {
			got, err = a.people.CheckPassword(ctx, connection, login, text, "192.0.2.9")
			return nil
		})
		return got, err
	}
	if got, err := check("", ada, right); err != nil || got.ID != u.ID {
		t.Errorf("right: %+v, %v", got, err)
	}
	for _, c := range [][3]string{{"", ada, "wrong"}, {"", eve, right}, {"nothing", ada, right}} {
		if _, err := check(c[0], c[1], c[2]); !errors.Is(err, people.ErrPassword) {
			t.Errorf("%v: %v, want ErrPassword", c, err)
		}
	}
	for range 10 {
		_, _ = check("", ada, "wrong")
	}
	if _, err := check("", ada, right); !errors.Is(err, people.ErrPassword) {
		t.Errorf("after too many attempts: %v", err)
	}
	a.Clock.Advance(2 * time.Hour)
	if _, err := check("", ada, right); err != nil {
		t.Errorf("after waiting: %v", err)
	}
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	ended := 0
	a := newApp(t, func(o *people.Options) {
		o.EndTokens = func(context.Context, string, string) error { ended++; return nil }
	})
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right).want(t, http.StatusOK, "Your account")
	ended = 0
	a.Do(t, func(ctx context.Context) error {
		if err := a.people.SetPassword(ctx, u.ID, "short"); !errors.Is(err, people.ErrWeak) {
			t.Errorf("a short one: %v", err)
		}
		if err := a.people.SetPassword(ctx, "perdure|nobody", other); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("nobody's: %v", err)
		}
		return a.people.SetPassword(ctx, u.ID, other)
	})
	if ended != 1 {
		t.Errorf("tokens were ended %d times", ended)
	}
	b.get("/u/account").want(t, http.StatusOK, "Sign in")
	b.login(ada, right).want(t, http.StatusUnauthorized, "That did not work")
	b.login(ada, other).want(t, http.StatusOK, "Your account")
}

// A password that was hashed with other parameters is hashed again by the one login that knows it.
func TestPasswordIsHashedAgain(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	appOn(t, w).member(t, ada)
	stronger := appOn(t, w, func(o *people.Options) { o.Hash = password.Params{Memory: 128, Time: 1, Threads: 1} })
	for _, want := range []int64{2, 1, 1} {
		before := stronger.people.Hashed()
		stronger.browser(t).login(ada, right).want(t, http.StatusOK, "Your account")
		if n := stronger.people.Hashed() - before; n != want {
			t.Errorf("%d hashes were computed, want %d", n, want)
		}
	}
}

func TestDeletedUserLeavesNothing(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	u := a.member(t, ada)
	b := a.browser(t)
	b.login(ada, right)
	a.Do(t, func(ctx context.Context) error { return a.DeleteUser(ctx, directory.Command, u.ID) })
	b.get("/u/account").want(t, http.StatusOK, "Sign in")
	a.Do(t, func(ctx context.Context) error {
		if n, err := people.RowsOf(ctx, u.ID); n != 0 || err != nil {
			t.Errorf("%d rows are left (%v)", n, err)
		}
		return nil
	})
}
