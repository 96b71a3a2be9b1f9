package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

// The kinds of tickets.
const (
	ticketVerify = "verify"
	ticketReset  = "reset"
)

// The lifetimes of tickets.
const (
	resetLifetime  = time.Hour
	verifyLifetime = 24 * time.Hour
	// MaxTicketLifetime is the longest lifetime that an administrator can ask for.
	MaxTicketLifetime = 30 * 24 * time.Hour
)

// ticket is a link that was sent to a user. Who has it has the user's mailbox. It is good once.
type ticket struct {
	ID      string `json:"id"` // SHA-256 of the secret in hexadecimal digits
	Kind    string `json:"kind"`
	UserID  string `json:"user_id"`
	Email   string `json:"email"`             // it was sent to; another address makes it void
	State   string `json:"state,omitempty"`   // the request to sign in that it interrupts
	Browser []byte `json:"browser,omitempty"` // digest of the cookie of who asked for it
	// Unproven is set for a link that was not sent to the address: to follow it proves nothing of it.
	Unproven bool      `json:"unproven,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
}

var (
	ticketsByUser = table.Index("user", func(t *ticket) string { return t.UserID })
	tickets       = table.Of("perdure.tickets", ticketsByUser, table.ExpiresAt(func(t *ticket) time.Time { return t.Expires }))
)

func ticketID(secret string) string {
	d := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(d[:])
}

// newTicket makes a ticket and returns its secret. It takes the place of an earlier one of its kind.
func (p *People) newTicket(ctx context.Context, t ticket, lifetime time.Duration) (secret string, err error) {
	for row, err := range tickets.ScanIndex(ctx, ticketsByUser.Equal(t.UserID), table.Limit(100)) {
		if err != nil {
			return "", err
		}
		if row.Value.Kind == t.Kind {
			if err := tickets.Delete(ctx, row.Key.String()); err != nil {
				return "", err
			}
		}
	}
	secret = directory.NewSecret()
	t.ID, t.Created = ticketID(secret), p.env.Now()
	t.Expires = t.Created.Add(lifetime)
	return secret, tickets.Insert(ctx, directory.Key(t.ID), &t)
}

// errTicket is the answer to every link that is not good, whatever the reason is.
var errTicket = &fault{http.StatusBadRequest, "This link is not valid", "The link has been used, was replaced by a newer one, or is too old. Please ask for another one."}

// readTicket returns a ticket and its user without using it up.
func (p *People) readTicket(ctx context.Context, kind, secret string) (*ticket, *directory.User, error) {
	if secret == "" || len(secret) > 128 {
		return nil, nil, errTicket
	}
	t, err := tickets.Get(ctx, directory.Key(ticketID(secret)))
	if errors.Is(err, directory.ErrNotFound) || err == nil && (t.Kind != kind || !p.env.Now().Before(t.Expires)) {
		return nil, nil, errTicket
	}
	if err != nil {
		return nil, nil, err
	}
	user, err := p.env.User(ctx, t.UserID)
	if errors.Is(err, directory.ErrNotFound) || err == nil && user.Email != t.Email {
		return nil, nil, errTicket
	}
	return t, user, err
}

// useTicket returns a ticket and its user, and uses it up.
func (p *People) useTicket(ctx context.Context, kind, secret string) (*ticket, *directory.User, error) {
	t, user, err := p.readTicket(ctx, kind, secret)
	if err != nil {
		return nil, nil, err
	}
	return t, user, tickets.Delete(ctx, directory.Key(t.ID))
}

// dropTickets makes a user's tickets void.
func dropTickets(ctx context.Context, userID string) error {
	for row, err := range tickets.ScanIndex(ctx, ticketsByUser.Equal(userID), table.Limit(1000)) {
		if err != nil {
			return err
		}
		if err := tickets.Delete(ctx, row.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

// VerificationLink returns a link by which a user proves the address, good for lifetime; 0 is a
// day. With send, it is also sent there. It works in the unit of work of ctx.
func (p *People) VerificationLink(ctx context.Context, userID string, lifetime time.Duration, send bool) (string, error) {
	user, err := p.env.User(ctx, userID)
	if err != nil {
		return "", err
	}
	secret, err := p.newTicket(ctx, ticket{Kind: ticketVerify, UserID: userID, Email: user.Email}, bounded(lifetime, verifyLifetime))
	if err != nil {
		return "", err
	}
	link := p.url("/u/verify", url.Values{"ticket": {secret}})
	if send {
		return link, p.mailVerification(ctx, user, link)
	}
	return link, nil
}

// ResetLink returns a link at which a user chooses a new password, good for lifetime; 0 is an hour. With
// proves, whoever follows it has proven the address: for a link that is sent there. It works in the
// unit of work of ctx.
func (p *People) ResetLink(ctx context.Context, userID string, lifetime time.Duration, proves bool) (string, error) {
	user, err := p.env.User(ctx, userID)
	if err != nil {
		return "", err
	}
	secret, err := p.newTicket(ctx, ticket{Kind: ticketReset, UserID: userID, Email: user.Email, Unproven: !proves}, bounded(lifetime, resetLifetime))
	return p.url("/u/reset/password", url.Values{"ticket": {secret}}), err
}

func bounded(lifetime, otherwise time.Duration) time.Duration {
	if lifetime <= 0 {
		return otherwise
	}
	return min(lifetime, MaxTicketLifetime)
}
