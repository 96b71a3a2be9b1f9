package people

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

// signups bounds how many accounts a network makes.
var signups = guard.Rule{Name: "signup-network", Free: 20, Delay: time.Minute, Max: time.Hour, Forget: time.Hour}

const (
	taken         = "You cannot sign up with this address or name. If you have an account, sign in."
	takenUsername = "That username is taken."
)

// signupConnection is the connection in which people sign up; nil when there is none.
func signupConnection(databases []*directory.Connection) *directory.Connection {
	for _, c := range databases {
		if !c.Options.DisableSignup {
			return c
		}
	}
	return nil
}

// newUser is what somebody signs up with.
type newUser struct{ email, username, name, password string }

func readNewUser(q *request) newUser {
	return newUser{
		email:    strings.TrimSpace(q.form.Get("email")),
		username: strings.TrimSpace(q.form.Get("username")),
		name:     strings.TrimSpace(q.form.Get("name")),
		password: q.form.Get("password"),
	}
}

var errNoSignup = &fault{http.StatusForbidden, "No sign-up", "You cannot sign up here yourself. Please ask whoever runs this service for an account."}

func (p *People) signupPage(ctx context.Context, q *request) (*answer, error) {
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	c := signupConnection(t.databases())
	if c == nil {
		return nil, errNoSignup
	}
	n := newUser{}
	if t.request != nil && directory.CheckEmail("", t.request.LoginHint) == nil {
		n.email = t.request.LoginHint
	}
	return p.signupForm(q, t, c, n, ""), nil
}

func (p *People) signupForm(q *request, t *target, c *directory.Connection, n newUser, wrong string) *answer {
	a := q.show("signup", &pages.Page{Title: "Sign up", Error: wrong, Data: map[string]any{
		"For": t.name(), "Email": clip(n.email, directory.MaxEmail), "Name": clip(n.name, 4*directory.MaxText), "Username": c.Options.RequiresUsername,
		"UsernameValue": clip(n.username, directory.MaxUsername), "MinLength": minLength(c),
	}})
	a.targets = t.formTargets()
	if wrong != "" {
		a.status = http.StatusBadRequest
	}
	return a
}

// signup makes an account. Where mail can be sent, the page's answer and its work are the same whether the
// address has an account: its owner learns it by mail.
func (p *People) signup(q *request) (*answer, error) {
	n := readNewUser(q)
	var t *target
	var c *directory.Connection
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if t, err = q.target(ctx); err != nil {
			return err
		}
		if c = signupConnection(t.databases()); c == nil {
			return errNoSignup
		}
		return p.takeSignup(ctx, q.network)
	})
	if err != nil {
		return nil, err
	}
	if wrong := n.fault(); wrong != "" {
		return p.signupForm(q, t, c, n, wrong), nil
	}
	normal, err := p.checkNew(c, n.password, n.email, n.username, n.name)
	if errors.Is(err, ErrWeak) {
		return p.signupForm(q, t, c, n, weakness(err)), nil
	}
	if err != nil {
		return nil, err
	}
	hash, err := p.hasher.Hash(q.Context(), normal)
	if err != nil {
		return nil, err
	}
	var a *answer
	err = p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		a, err = p.finishSignup(ctx, q, t, c, n, hash)
		return err
	})
	var field *directory.FieldError
	if errors.As(err, &field) {
		return p.signupForm(q, t, c, n, fieldText(field)), nil
	}
	return a, err
}

func (p *People) takeSignup(ctx context.Context, network string) error {
	wait, err := signups.Take(ctx, p.env.Now(), network)
	if err == nil && wait > 0 {
		return &tooMany{wait}
	}
	return err
}

// fault is what is wrong with the address; empty when nothing is.
func (n newUser) fault() string {
	if err := directory.CheckEmail("email", n.email); err != nil {
		return "That is no e-mail address."
	}
	return ""
}

func fieldText(e *directory.FieldError) string {
	switch e.Field {
	case "name":
		return "That name cannot be used: " + e.Detail + "."
	case "username":
		return "That username cannot be used: " + e.Detail + "."
	}
	return "That cannot be used: " + e.Detail + "."
}

// finishSignup makes the user of a sign-up, or tells the one who has the address.
func (p *People) finishSignup(ctx context.Context, q *request, t *target, c *directory.Connection, n newUser, hash string) (*answer, error) {
	if n.username != "" {
		_, err := p.env.UserByLogin(ctx, c.Name, n.username)
		if err == nil {
			return p.signupForm(q, t, c, n, takenUsername), nil
		}
		if !errors.Is(err, directory.ErrNotFound) {
			return nil, err
		}
	}
	user, isNew, err := p.register(ctx, q.actor(""), c, n, hash)
	if err != nil {
		return nil, err
	}
	if p.env.Mail == nil {
		if !isNew {
			return p.signupForm(q, t, c, n, taken), nil
		}
		return p.signIn(ctx, q, user.ID, []string{"pwd"})
	}
	if isNew {
		err = p.startVerification(ctx, q, user)
	} else if ok, may := p.mayMail(ctx, q.network, user.Email); may != nil {
		err = may
	} else if ok {
		err = p.mailTaken(ctx, user)
	}
	if err != nil {
		return nil, err
	}
	return q.message("Look into your mail", "We have sent a mail to "+n.email+". Follow the link in it to go on."), nil
}

// register makes a user with a password, or returns the one who has the address.
func (p *People) register(ctx context.Context, by directory.Actor, c *directory.Connection, n newUser, hash string) (user *directory.User, isNew bool, err error) {
	user, err = p.env.UserByEmail(ctx, c.Name, n.email)
	if err == nil {
		return user, false, nil
	}
	if !errors.Is(err, directory.ErrNotFound) {
		return nil, false, err
	}
	user, err = p.env.CreateUser(ctx, by, &directory.User{Connection: c.Name, Email: n.email, Username: n.username, Name: n.name})
	if err != nil {
		return nil, false, err
	}
	by.Subject = user.ID
	if err := p.env.Audit(ctx, by.Entry(directory.AuditSignup, user.ID, "")); err != nil {
		return nil, false, err
	}
	return user, true, p.keepHash(ctx, user.ID, hash)
}
