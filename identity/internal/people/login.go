package people

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

// wrongLogin is said whether the account is not there, waits or has another password.
const wrongLogin = "That did not work. Check the address and the password. After several wrong attempts the next one has to wait some minutes."

// loginData is what the page for signing in shows.
type loginData struct {
	For       string
	Login     string
	Password  bool
	Passkeys  bool
	Signup    bool
	Reset     bool // a password can be reset by mail
	Upstreams []upstreamLink
}

// upstreamLink leads to an issuer upstream.
type upstreamLink struct{ Name, Path string }

func (p *People) loginPage(ctx context.Context, q *request) (*answer, error) {
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	databases := t.databases()
	if t.request != nil && t.request.Connection != "" && len(t.connections) == 1 && len(databases) == 0 {
		return q.redirect("/u/connection/" + url.PathEscape(t.connections[0].Name)), nil
	}
	if t.request != nil && t.request.ScreenHint == "signup" && q.form.Get("form") == "" && signupConnection(databases) != nil {
		return q.redirect("/u/signup"), nil
	}
	login := ""
	if t.request != nil {
		login = clip(t.request.LoginHint, directory.MaxEmail)
	}
	a := p.loginForm(q, t, login)
	if t.request == nil {
		s, user, err := p.current(ctx, q.Request)
		if err != nil {
			return nil, err
		}
		if s != nil {
			a.page.Notice = "To go on, please show once more that it is you."
			if data, ok := a.page.Data.(*loginData); ok {
				data.Login = user.Email
			}
		}
	}
	return a, nil
}

func (p *People) loginForm(q *request, t *target, login string) *answer {
	databases := t.databases()
	data := &loginData{For: t.name(), Login: login, Password: len(databases) > 0, Passkeys: p.passkeys != nil, Reset: p.env.Mail != nil}
	data.Signup = signupConnection(databases) != nil
	for _, c := range t.connections {
		if c.Strategy == directory.StrategyOIDC {
			name := c.DisplayName
			if name == "" {
				name = c.Name
			}
			query := (&pages.Page{State: q.state, Next: q.next}).Query()
			data.Upstreams = append(data.Upstreams, upstreamLink{name, "/u/connection/" + url.PathEscape(c.Name) + query})
		}
	}
	a := q.show("login", &pages.Page{Title: "Sign in", Script: data.Passkeys, Data: data})
	a.targets = t.formTargets()
	return a
}

// login checks a password. The hash is computed between two units of work: the first counts the
// attempt, the second notes what became of it.
func (p *People) login(q *request) (*answer, error) {
	login, text := q.form.Get("login"), q.form.Get("password")
	var t *target
	var tried *attempt
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if t, err = q.target(ctx); err != nil {
			return err
		}
		if len(t.databases()) == 0 || len(login) > directory.MaxEmail {
			tried = nil
			return nil
		}
		tried, err = p.take(ctx, t.databases(), login, q.network)
		return err
	})
	if err != nil {
		return nil, err
	}
	if tried == nil {
		return p.wrong(q, t, clip(login, directory.MaxEmail)), nil
	}
	ok, rehashed, err := p.judge(q.Context(), tried, text)
	if err != nil {
		return nil, err
	}
	var a *answer
	err = p.env.Unit(q.Context(), func(ctx context.Context) error {
		by := q.actor("")
		if ok {
			by.Subject = tried.user.ID
		}
		if err := p.settle(ctx, tried, ok, rehashed, by); err != nil {
			return err
		}
		if !ok {
			a = p.wrong(q, t, login)
			return nil
		}
		a, err = p.passed(ctx, q, tried.user.ID, []string{"pwd"})
		return err
	})
	return a, err
}

func (p *People) wrong(q *request, t *target, login string) *answer {
	a := p.loginForm(q, t, login)
	a.page.Error = wrongLogin
	a.status = http.StatusUnauthorized
	return a
}

// passed goes on after a first factor: to the second one, or to the end.
func (p *People) passed(ctx context.Context, q *request, userID string, methods []string) (*answer, error) {
	factors, err := factorsOf(ctx, userID)
	if err != nil {
		return nil, err
	}
	if !factors.any() {
		return p.signIn(ctx, q, userID, methods)
	}
	now := p.env.Now()
	row := &halfway{UserID: userID, Methods: methods, Expires: now.Add(halfwayLifetime)}
	if err := halfways.Put(ctx, q.browserKey("second "+q.state), row); err != nil {
		return nil, err
	}
	return q.redirect("/u/second"), nil
}

// signIn ends a sign-in: with a new session, and on the way to what it was for.
func (p *People) signIn(ctx context.Context, q *request, userID string, methods []string) (*answer, error) {
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	user, err := p.env.User(ctx, userID)
	if err != nil {
		return nil, err
	}
	by, now := q.actor(user.ID), p.env.Now()
	if t.app != nil {
		by.Client = t.app.ClientID
	}
	if user.Blocked {
		if err := p.env.Audit(ctx, by.Entry(directory.AuditLoginFailed, user.ID, "the user is blocked")); err != nil {
			return nil, err
		}
		a := q.message("You cannot sign in", "Your account is blocked. Please ask whoever runs this service.")
		a.status = http.StatusForbidden
		return a, nil
	}
	if !mayUse(t, user) {
		if err := p.env.Audit(ctx, by.Entry(directory.AuditLoginFailed, user.ID, "the application does not offer the connection")); err != nil {
			return nil, err
		}
		a := q.message("You cannot sign in", "Your account is not for this application.")
		a.status = http.StatusForbidden
		return a, nil
	}
	if c := connectionOf(t, user); c != nil && c.Options.RequireVerifiedEmail && !user.EmailVerified {
		return p.unverified(ctx, q, user)
	}
	s, cookie, err := p.begin(ctx, q, user.ID, methods)
	if err != nil {
		return nil, err
	}
	if err := rememberNetwork(ctx, now, user.ID, q.network); err != nil {
		return nil, err
	}
	_, err = p.env.TouchUser(ctx, user.ID, func(u *directory.User) error {
		u.LastLogin, u.LastIP = now, q.ip
		u.LoginsCount++
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.env.Audit(ctx, by.Entry(directory.AuditLogin, user.ID, "")); err != nil {
		return nil, err
	}
	a := &answer{cookies: []*http.Cookie{cookie}, to: "/u/account"}
	if q.next != "" {
		a.to = q.next
	}
	if t.request != nil {
		r := t.request
		r.UserID, r.SessionID, r.AuthTime, r.Methods, r.Done = user.ID, s.ID, s.AuthTime, methods, true
		if err := directory.AuthRequests.Put(ctx, directory.Key(r.ID), r); err != nil {
			return nil, err
		}
		a.to = "/authorize/callback?" + url.Values{"id": {r.ID}}.Encode()
	}
	return a, nil
}

// mayUse reports whether one of the connections that are offered has the user.
func mayUse(t *target, user *directory.User) bool {
	for _, c := range t.connections {
		if c.Name == user.Connection {
			return true
		}
		for _, i := range user.Identities {
			if i.Connection == c.Name {
				return true
			}
		}
	}
	return false
}

func connectionOf(t *target, user *directory.User) *directory.Connection {
	for _, c := range t.connections {
		if c.Name == user.Connection {
			return c
		}
	}
	return nil
}

// recent reports whether a session began so lately that it may change what others sign in with.
func (p *People) recent(s *directory.Session) bool {
	return p.env.Now().Sub(s.AuthTime) <= 15*time.Minute
}
