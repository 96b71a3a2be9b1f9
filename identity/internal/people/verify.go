package people

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

// The rules for what sends mail.
var (
	mailsByUser    = guard.Rule{Name: "mail-address", Free: 5, Delay: 15 * time.Minute, Max: 4 * time.Hour, Forget: 24 * time.Hour}
	mailsByNetwork = guard.Rule{Name: "mail-network", Free: 20, Delay: time.Minute, Max: time.Hour, Forget: time.Hour}
)

// mayMail counts a mail to an address that a network has asked for. A network that asks too often is told
// so; that an address gets no more is not.
func (p *People) mayMail(ctx context.Context, network, address string) (bool, error) {
	now := p.env.Now()
	wait, err := mailsByNetwork.Take(ctx, now, network)
	if err != nil {
		return false, err
	}
	if wait > 0 {
		return false, &tooMany{wait}
	}
	wait, err = mailsByUser.Take(ctx, now, address)
	return wait == 0, err
}

// verifyPage shows a form: a program that follows the links of mails changes nothing.
func (p *People) verifyPage(ctx context.Context, q *request) (*answer, error) {
	secret := q.form.Get("ticket")
	t, user, err := p.readTicket(ctx, ticketVerify, secret)
	if err != nil {
		return nil, err
	}
	return p.verifyForm(q, t, user, secret, ""), nil
}

func (p *People) verifyForm(q *request, t *ticket, user *directory.User, secret, wrong string) *answer {
	a := q.show("confirm", &pages.Page{Title: "Verify your address", Error: wrong, Data: map[string]any{
		"Text": "Is " + user.Email + " your address?", "Action": "/u/verify", "Ticket": secret, "Button": "Yes, verify it",
		"Password": p.isForeign(q, t),
	}})
	if wrong != "" {
		a.status = http.StatusUnauthorized
	}
	return a
}

// isForeign reports whether a link came to another browser than the one that asked for it. Then its
// password is asked for as well: otherwise somebody could sign up with a stranger's address, and the stranger's
// click would vouch for an account whose password is somebody else's (account pre-hijacking).
func (p *People) isForeign(q *request, t *ticket) bool {
	return len(t.Browser) > 0 && !directory.CheckBrowser(q.Request, p.env.Issuer, t.Browser)
}

func (p *People) verify(q *request) (*answer, error) {
	secret := q.form.Get("ticket")
	var t *ticket
	var user *directory.User
	var tried *attempt
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		tried = nil
		if t, user, err = p.readTicket(ctx, ticketVerify, secret); err != nil || !p.isForeign(q, t) {
			return err
		}
		c, err := p.env.ConnectionByName(ctx, user.Connection)
		if err != nil {
			return err
		}
		tried, err = p.take(ctx, []*directory.Connection{c}, user.Email, q.network)
		return err
	})
	if err != nil {
		return nil, err
	}
	ok, rehashed := true, ""
	if tried != nil {
		if ok, rehashed, err = p.judge(q.Context(), tried, q.form.Get("password")); err != nil {
			return nil, err
		}
	}
	var a *answer
	err = p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if tried != nil {
			if err := p.settle(ctx, tried, ok, rehashed, q.actor("")); err != nil {
				return err
			}
		}
		if !ok {
			a = p.verifyForm(q, t, user, secret, "That is not the password that was chosen when signing up. After several wrong attempts the next one has to wait some minutes.")
			return nil
		}
		a, err = p.verified(ctx, q, secret)
		return err
	})
	return a, err
}

// verified uses up a ticket.
func (p *People) verified(ctx context.Context, q *request, secret string) (*answer, error) {
	t, user, err := p.useTicket(ctx, ticketVerify, secret)
	if err != nil {
		return nil, err
	}
	_, err = p.env.TouchUser(ctx, user.ID, func(u *directory.User) error {
		u.SetEmail(u.Email, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.env.Audit(ctx, q.actor(user.ID).Entry(directory.AuditEmailVerified, user.ID, "")); err != nil {
		return nil, err
	}
	link, err := p.goOn(ctx, q, t.State)
	if err != nil {
		return nil, err
	}
	a := q.message("Your address is verified", "Thank you. You can sign in now.")
	data, _ := a.page.Data.(map[string]any)
	data["Link"], data["LinkText"] = link, "Continue"
	return a, nil
}

// goOn is where a user goes after a ticket: back to the request to sign in, if it is this browser's
// and still there.
func (p *People) goOn(ctx context.Context, q *request, state string) (string, error) {
	if state == "" {
		return "/u/account", nil
	}
	r, err := directory.AuthRequests.Get(ctx, directory.Key(state))
	if errors.Is(err, directory.ErrNotFound) || err == nil && !directory.CheckBrowser(q.Request, p.env.Issuer, r.BrowserDigest) {
		return "/u/account", nil
	}
	return "/u/login?" + url.Values{"state": {state}, "form": {"login"}}.Encode(), err
}

// unverified sends the mail and asks the user to look for it.
func (p *People) unverified(ctx context.Context, q *request, user *directory.User) (*answer, error) {
	if p.env.Mail == nil || user.Email == "" {
		return q.message("Your address is not verified", "Please ask whoever runs this service."), nil
	}
	if err := p.startVerification(ctx, q, user); err != nil {
		return nil, err
	}
	return q.message("Verify your address first", "We have sent a mail to "+user.Email+". Follow the link in it, then sign in again."), nil
}

func (p *People) startVerification(ctx context.Context, q *request, user *directory.User) error {
	ok, err := p.mayMail(ctx, q.network, user.Email)
	if err != nil || !ok {
		return err
	}
	secret, err := p.newTicket(ctx, ticket{Kind: ticketVerify, UserID: user.ID, Email: user.Email, State: q.state, Browser: q.browser}, verifyLifetime)
	if err != nil {
		return err
	}
	return p.mailVerification(ctx, user, p.url("/u/verify", url.Values{"ticket": {secret}}))
}
