package oidc

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

// family is the refresh tokens that follow one another from one sign-in on.
type family struct {
	ID        string    `json:"id"` // the grant's
	ClientID  string    `json:"client_id"`
	UserID    string    `json:"user_id"`
	SessionID string    `json:"session_id,omitempty"`
	Audience  string    `json:"audience,omitempty"`
	Scopes    []string  `json:"scopes"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	Methods   []string  `json:"amr,omitempty"`
	// Turn counts the rotations; Rotated is when the last one was.
	Turn    int       `json:"turn"`
	Rotated time.Time `json:"rotated"`
	Created time.Time `json:"created"`
	Revoked time.Time `json:"revoked,omitzero"`
	Expires time.Time `json:"expires"`
}

// refreshToken is one token of a family. It is remembered as long as the family, so that it is noticed
// when it comes again.
type refreshToken struct {
	Family  string    `json:"family"`
	Turn    int       `json:"turn"`
	Idle    time.Time `json:"idle"` // until when it may be unused
	Expires time.Time `json:"expires"`
}

// familiesByUser finds the families of a user.
var familiesByUser = table.Index("user", func(f *family) string { return f.UserID })

// families are by id; refreshTokens by the digest of the token.
var (
	families      = table.Of("perdure.refresh-families", familiesByUser, table.ExpiresAt(func(f *family) time.Time { return f.Expires }))
	refreshTokens = table.Of("perdure.refresh-tokens", table.ExpiresAt(func(t *refreshToken) time.Time { return t.Expires }))
)

// The lifetimes of families for which the application says none.
const (
	defaultRefreshLifetime = 30 * 24 * time.Hour
	defaultRefreshIdle     = 15 * 24 * time.Hour
)

func seconds(n int, otherwise time.Duration) time.Duration {
	if n > 0 {
		return time.Duration(n) * time.Second
	}
	return otherwise
}

// beginFamily makes the first refresh token of a sign-in.
func (p *Provider) beginFamily(ctx context.Context, app *directory.Application, user *directory.User, in *signIn) (string, error) {
	now := p.env.Now()
	f := &family{
		ID: in.Grant, ClientID: app.ClientID, UserID: user.ID, SessionID: in.SessionID, Audience: in.Audience, Scopes: in.Scopes,
		AuthTime: in.AuthTime, Methods: in.Methods, Rotated: now, Created: now,
		Expires: now.Add(seconds(app.RefreshLifetime, defaultRefreshLifetime)),
	}
	if err := families.Insert(ctx, directory.Key(f.ID), f); err != nil {
		return "", err
	}
	return p.nextRefreshToken(ctx, app, f)
}

// nextRefreshToken makes a token for the turn at which the family is.
func (p *Provider) nextRefreshToken(ctx context.Context, app *directory.Application, f *family) (string, error) {
	text := directory.NewSecret()
	return text, refreshTokens.Insert(ctx, directory.Key(digest(text)), &refreshToken{
		Family: f.ID, Turn: f.Turn, Idle: p.env.Now().Add(seconds(app.RefreshIdle, defaultRefreshIdle)), Expires: f.Expires,
	})
}

// familyOf finds a refresh token and its family; directory.ErrNotFound when either is gone.
func familyOf(ctx context.Context, token string) (*refreshToken, *family, error) {
	if token == "" || len(token) > 128 {
		return nil, nil, directory.ErrNotFound
	}
	row, err := refreshTokens.Get(ctx, directory.Key(digest(token)))
	if err != nil {
		return nil, nil, err
	}
	f, err := families.Get(ctx, directory.Key(row.Family))
	return row, f, err
}

// RefreshToken implements op.Server.
func (s *server) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) {
		audience, refused := audienceOf(r.Form)
		if refused != nil {
			return nil, refused
		}
		return s.p.refresh(ctx, clientOf(r.Client), r.Data.RefreshToken, audience, words(r.Form.Get("scope")))
	})
}

// refresh issues new tokens for a refresh token, which is used up (RFC 9700 section 4.14.2). A token
// that was used before revokes the family: two parties have it, and only one of them should. With
// a leeway, the token before the current one may still come for a moment, from a client that did not hear the
// answer or has several threads.
func (p *Provider) refresh(ctx context.Context, c *client, token, audience string, scopes []string) (*tokens, error) {
	bad := refuse(invalidGrant, "the refresh token is not valid")
	row, f, err := familyOf(ctx, token)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	now := p.env.Now()
	if c.app == nil || f.ClientID != c.app.ClientID || !f.Revoked.IsZero() || !now.Before(f.Expires) {
		return nil, bad
	}
	current := row.Turn == f.Turn
	leeway := time.Duration(c.app.RefreshLeeway) * time.Second
	if !current && (leeway <= 0 || row.Turn != f.Turn-1 || now.Sub(f.Rotated) > leeway) {
		if err := p.revokeGrant(ctx, f.ID); err != nil {
			return nil, err
		}
		if err := p.note(ctx, directory.AuditReuse, f.UserID, f.ID, f.ClientID, "a refresh token came again: its family is revoked"); err != nil {
			return nil, err
		}
		return nil, bad
	}
	if current && !now.Before(row.Idle) {
		return nil, bad
	}
	user, err := activeUser(ctx, f.UserID)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, bad
	}
	if audience != "" && audience != f.Audience {
		return nil, refuse(invalidTarget, "the refresh token is for another audience")
	}
	api, err := p.target(ctx, f.Audience)
	if errors.Is(err, directory.ErrNotFound) || err == nil && api != nil && !api.AllowOfflineAccess {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	narrow := scopes
	if len(scopes) > 0 {
		// Clients send again what they asked for at first: what meant nothing then means nothing now.
		narrow = append([]string{}, knownScopes(c.app, api, scopes)...)
	}
	for _, scope := range narrow {
		if !slices.Contains(f.Scopes, scope) {
			return nil, refuse(invalidScope, "the scope %q was not granted", scope)
		}
	}
	if current {
		f.Turn, f.Rotated = f.Turn+1, now
		if err := families.Put(ctx, directory.Key(f.ID), f); err != nil {
			return nil, err
		}
	}
	next, err := p.nextRefreshToken(ctx, c.app, f)
	if err != nil {
		return nil, err
	}
	return p.userTokens(ctx, c.app, user, &signIn{
		Grant: f.ID, Audience: f.Audience, Scopes: f.Scopes, AuthTime: f.AuthTime, Methods: f.Methods, SessionID: f.SessionID,
		Refresh: next, Narrow: narrow,
	})
}
