package oidc

import (
	"context"
	"errors"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// ErrRefused is what the errors of MintForIdentity and MintForApplication match when the rights do not reach: their text
// says why, and is fit for the caller.
var ErrRefused = errors.New("refused")

// Is makes errors.Is(err, ErrRefused) true.
func (r *refusal) Is(target error) bool { return target == ErrRefused }

// MintForIdentity issues an access token to a managed identity, in the unit of work of ctx. The audience must be
// one of its resources.
func (p *Provider) MintForIdentity(ctx context.Context, identity *directory.ManagedIdentity, audience string) (token string, expires time.Time, err error) {
	return p.mintFor(ctx, &client{identity: identity, authenticated: true}, audience, nil)
}

// MintForApplication issues an access token to an application for itself, in the unit of work of ctx. It must
// have a grant for the audience; no scopes are all that it was granted.
func (p *Provider) MintForApplication(ctx context.Context, app *directory.Application, audience string, scopes []string) (token string, expires time.Time, err error) {
	return p.mintFor(ctx, &client{app: app, authenticated: true}, audience, scopes)
}

func (p *Provider) mintFor(ctx context.Context, c *client, audience string, scopes []string) (string, time.Time, error) {
	t, err := p.mint(ctx, c, audience, scopes, "client-credentials")
	if err != nil {
		return "", time.Time{}, err
	}
	expires := p.env.Now().Add(time.Duration(t.ExpiresIn) * time.Second).Truncate(time.Second)
	return t.AccessToken, expires, p.note(ctx, directory.AuditToken, c.subject(), c.GetID(), c.GetID(), audience)
}

// MintForUser issues an access token of a user for an API through an application, in the unit of work of ctx, without
// the user's presence: for demo accounts and tests. It has all scopes that the user has the right to.
func (p *Provider) MintForUser(ctx context.Context, app *directory.Application, user *directory.User, audience string) (token string, expires time.Time, err error) {
	api, err := p.target(ctx, audience)
	if err != nil {
		return "", time.Time{}, err
	}
	scopes := []string{scopeOpenID, scopeProfile, scopeEmail}
	if api != nil {
		for _, one := range api.Permissions {
			scopes = append(scopes, one.Value)
		}
	}
	t, err := p.userTokens(ctx, app, user, &signIn{Grant: newGrantID(), Audience: audience, Scopes: scopes})
	if err != nil {
		return "", time.Time{}, err
	}
	return t.AccessToken, p.env.Now().Add(time.Duration(t.ExpiresIn) * time.Second).Truncate(time.Second), nil
}
