package people

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

func (p *People) resetPage(_ context.Context, q *request) (*answer, error) {
	if p.env.Mail == nil {
		return q.message("Forgot your password?", "This service cannot send mail. Please ask whoever runs it for a new password."), nil
	}
	return q.show("reset", &pages.Page{Title: "Forgot your password?"}), nil
}

// reset sends a link, if there is an account. The answer is the same if there is none.
func (p *People) reset(ctx context.Context, q *request) (*answer, error) {
	if p.env.Mail == nil {
		return p.resetPage(ctx, q)
	}
	email := strings.TrimSpace(q.form.Get("email"))
	if err := directory.CheckEmail("email", email); err != nil {
		a := q.show("reset", &pages.Page{Title: "Forgot your password?", Error: "That is no e-mail address."})
		a.status = http.StatusBadRequest
		return a, nil
	}
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.sendReset(ctx, q.network, t.databases(), email, q.state); err != nil {
		return nil, err
	}
	return q.message("Look into your mail", "If there is an account with the address "+email+", we have sent a link to it. It works once, within an hour."), nil
}

// sendReset sends the link for a new password to the user of an address, if there is one.
func (p *People) sendReset(ctx context.Context, network string, databases []*directory.Connection, email, state string) error {
	ok, err := p.mayMail(ctx, network, strings.ToLower(email))
	if err != nil || !ok {
		return err
	}
	for _, c := range databases {
		user, err := p.env.UserByEmail(ctx, c.Name, email)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		secret, err := p.newTicket(ctx, ticket{Kind: ticketReset, UserID: user.ID, Email: user.Email, State: state}, resetLifetime)
		if err != nil {
			return err
		}
		return p.mailReset(ctx, user, p.url("/u/reset/password", url.Values{"ticket": {secret}}))
	}
	return nil
}

func (p *People) newPasswordPage(ctx context.Context, q *request) (*answer, error) {
	secret := q.form.Get("ticket")
	_, user, err := p.readTicket(ctx, ticketReset, secret)
	if err != nil {
		return nil, err
	}
	c, err := p.env.ConnectionByName(ctx, user.Connection)
	if err != nil {
		return nil, err
	}
	return p.newPasswordForm(q, user, c, secret, ""), nil
}

func (p *People) newPasswordForm(q *request, user *directory.User, c *directory.Connection, secret, wrong string) *answer {
	a := q.show("newpassword", &pages.Page{Title: "Choose a new password", Error: wrong, Data: map[string]any{
		"Account": accountName(user), "Ticket": secret, "MinLength": minLength(c),
	}})
	if wrong != "" {
		a.status = http.StatusBadRequest
	}
	return a
}

// newPassword sets the password of the user of a ticket. Everything that could be somebody
// else's in the account ends: sessions, tokens, and, if the address was never proven before, the second factors,
// which whoever made the account may have planted (account pre-hijacking, CWE-287).
func (p *People) newPassword(q *request) (*answer, error) {
	secret, text := q.form.Get("ticket"), q.form.Get("password")
	var user *directory.User
	var c *directory.Connection
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if _, user, err = p.readTicket(ctx, ticketReset, secret); err != nil {
			return err
		}
		c, err = p.env.ConnectionByName(ctx, user.Connection)
		return err
	})
	if err != nil {
		return nil, err
	}
	normal, err := p.checkNew(c, text, personal(user)...)
	if errors.Is(err, ErrWeak) {
		return p.newPasswordForm(q, user, c, secret, weakness(err)), nil
	}
	if err != nil {
		return nil, err
	}
	hash, err := p.hasher.Hash(q.Context(), normal)
	if err != nil {
		return nil, err
	}
	var a *answer
	err = p.env.Unit(q.Context(), func(ctx context.Context) error {
		t, user, err := p.useTicket(ctx, ticketReset, secret)
		if err != nil {
			return err
		}
		if err := p.replacePassword(ctx, q, user, hash, !t.Unproven && user.Email != ""); err != nil {
			return err
		}
		link, err := p.goOn(ctx, q, t.State)
		if err != nil {
			return err
		}
		a = q.message("Your password is changed", "You were signed out everywhere. Sign in with your new password.")
		data, _ := a.page.Data.(map[string]any)
		data["Link"], data["LinkText"] = link, "Sign in"
		return nil
	})
	return a, err
}

func (p *People) replacePassword(ctx context.Context, q *request, user *directory.User, hash string, proven bool) error {
	if err := p.keepHash(ctx, user.ID, hash); err != nil {
		return err
	}
	if err := dropTickets(ctx, user.ID); err != nil {
		return err
	}
	if err := p.endSessions(ctx, user.ID, ""); err != nil {
		return err
	}
	if err := forgetNetworks(ctx, user.ID); err != nil {
		return err
	}
	if err := p.Unblock(ctx, user.ID); err != nil {
		return err
	}
	if proven && !user.EmailVerified {
		if err := factor.RemoveAll(ctx, user.ID); err != nil {
			return err
		}
		if err := p.unlinkAll(ctx, q, user); err != nil {
			return err
		}
	}
	_, err := p.env.TouchUser(ctx, user.ID, func(u *directory.User) error {
		if proven && !u.EmailVerified {
			u.SecondFactors = nil
			u.SetEmail(u.Email, true)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.env.Audit(ctx, q.actor(user.ID).Entry(directory.AuditPasswordReset, user.ID, "")); err != nil {
		return err
	}
	return p.mailNotice(ctx, user, "Your password was changed", "The password of your account was changed by a link for that. If it was not you, choose a new one now.")
}

// unlinkAll takes all accounts elsewhere from a user, but for the user's own.
func (p *People) unlinkAll(ctx context.Context, q *request, user *directory.User) error {
	for _, i := range user.Identities[min(1, len(user.Identities)):] {
		if _, err := p.env.UnlinkIdentity(ctx, q.actor(user.ID), user.ID, i.Connection, i.UserID); err != nil {
			return err
		}
	}
	return nil
}

// accountName is what a user knows the account by.
func accountName(u *directory.User) string {
	for _, name := range []string{u.Email, u.Username, u.Name} {
		if name != "" {
			return name
		}
	}
	return u.ID
}
