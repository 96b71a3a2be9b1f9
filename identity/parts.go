package identity

import (
	"context"
	"errors"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/management"
	"github.com/perdure/perdure/identity/internal/oidc"
	"github.com/perdure/perdure/identity/internal/people"
)

// The parts of the provider do not know each other: each says what it needs, and what is
// here gives it to them.

func (p *Provider) peopleOptions() people.Options {
	o := p.options
	return people.Options{
		Branding:          people.Branding{Name: o.Branding.Name, LogoURL: o.Branding.LogoURL, Color: o.Branding.Color, CSSPath: o.Branding.CSSPath},
		BreachedPasswords: o.BreachedPasswords,
		Devices:           devices{p},
		EndTokens:         func(ctx context.Context, userID, but string) error { return p.oidc.RevokeOthers(ctx, userID, but) },
		EndTokensOf:       func(ctx context.Context, userID, id string) error { return p.oidc.RevokeUser(ctx, userID, id) },
	}
}

// devices are those that wait for a person who lets them in.
type devices struct{ p *Provider }

// Device implements people.Devices.
func (d devices) Device(ctx context.Context, userCode string, s *directory.Session) (*people.Device, error) {
	found, err := d.p.oidc.DeviceOf(ctx, userCode, s.UserID)
	if err != nil {
		return nil, unknownDevice(err)
	}
	return &people.Device{Code: found.Code, Client: found.Client.Name, Scopes: found.Scopes}, nil
}

// DecideDevice implements people.Devices.
func (d devices) DecideDevice(ctx context.Context, userCode string, s *directory.Session, allow bool) error {
	return unknownDevice(d.p.oidc.DecideDevice(ctx, userCode, s, allow))
}

func unknownDevice(err error) error {
	if errors.Is(err, oidc.ErrDevice) || errors.Is(err, oidc.ErrGuesses) {
		return directory.ErrNotFound
	}
	return err
}

// passwords checks those that applications ask for.
type passwords struct{ *people.People }

// CheckPassword implements oidc.People.
func (p passwords) CheckPassword(ctx context.Context, connection, login, password, ip string) (*directory.User, error) {
	u, err := p.People.CheckPassword(ctx, connection, login, password, ip)
	if errors.Is(err, people.ErrPassword) || errors.Is(err, people.ErrSecondFactor) {
		err = oidc.ErrPassword
	}
	return u, err
}

func (p *Provider) managementParts() management.Parts {
	return management.Parts{
		Passwords: newPasswords{p.people}, Tickets: tickets{p.people}, Factors: factors{p.people}, Blocks: blocks{p}, Tokens: p.oidc,
	}
}

// newPasswords are those that administrators give.
type newPasswords struct{ people *people.People }

// Set implements management.Passwords.
func (n newPasswords) Set(ctx context.Context, userID, password string) error {
	err := n.people.SetPassword(ctx, userID, password)
	if errors.Is(err, people.ErrWeak) {
		_, reason, _ := strings.Cut(err.Error(), people.ErrWeak.Error()+": ")
		return &management.PasswordError{Reason: reason}
	}
	return err
}

// tickets are links for users.
type tickets struct{ people *people.People }

// VerifyEmail implements management.Tickets.
func (t tickets) VerifyEmail(ctx context.Context, ticket management.Ticket, mail bool) (string, error) {
	return t.people.VerificationLink(ctx, ticket.UserID, ticket.TTL, mail)
}

// ChangePassword implements management.Tickets.
func (t tickets) ChangePassword(ctx context.Context, ticket management.Ticket) (string, error) {
	return t.people.ResetLink(ctx, ticket.UserID, ticket.TTL, ticket.VerifyEmail)
}

// factors are what users sign in with besides a password.
type factors struct{ people *people.People }

// List implements management.Factors.
func (f factors) List(ctx context.Context, userID string) ([]management.Factor, error) {
	found, err := f.people.Factors(ctx, userID)
	all := make([]management.Factor, len(found))
	for i, one := range found {
		kind := one.Kind
		if kind == people.FactorPasskey {
			kind = "passkey"
		}
		all[i] = management.Factor{ID: one.ID, Type: kind, Name: one.Name, CreatedAt: one.Created, LastUsed: one.LastUsed}
	}
	return all, err
}

// Delete implements management.Factors.
func (f factors) Delete(ctx context.Context, userID, id string) (bool, error) {
	return f.people.RemoveFactor(ctx, userID, id)
}

// blocks are the logins that have to wait after too many attempts.
type blocks struct{ p *Provider }

// List implements management.Blocks.
func (b blocks) List(ctx context.Context, userID string) ([]management.Block, error) {
	blocked, err := b.p.people.Blocked(ctx, userID)
	if err != nil || !blocked {
		return nil, err
	}
	u, err := b.p.env.User(ctx, userID)
	if err != nil {
		return nil, err
	}
	name := u.Email
	if name == "" {
		name = u.Username
	}
	return []management.Block{{Identifier: name}}, nil
}

// Remove implements management.Blocks.
func (b blocks) Remove(ctx context.Context, userID string) error {
	return b.p.people.Unblock(ctx, userID)
}
