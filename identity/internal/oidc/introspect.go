package oidc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
)

// introspection is an answer about a token (RFC 7662 section 2.2).
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  any    `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`
	Expires   any    `json:"exp,omitempty"`
	IssuedAt  any    `json:"iat,omitempty"`
	AuthTime  any    `json:"auth_time,omitempty"`
	// Permissions and Roles are those of the token.
	Permissions []string `json:"permissions,omitempty"`
	Roles       []string `json:"roles,omitempty"`
}

// Introspect implements op.Server (RFC 7662).
func (s *server) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) {
		c, err := s.p.authenticate(ctx, credentials{
			id: r.Data.ClientID, secret: r.Data.ClientSecret, assertion: r.Data.ClientAssertion,
		})
		if err != nil {
			return nil, err
		}
		if !c.authenticated {
			return nil, errClient
		}
		return s.p.introspect(ctx, c, r.Data.Token)
	})
}

// introspect says what a token means to a client that may know: the one that it was issued to, or one that its
// API names. To others it is as if it was none (RFC 7662 section 4).
func (p *Provider) introspect(ctx context.Context, c *client, token string) (*introspection, error) {
	none := &introspection{}
	_, f, err := familyOf(ctx, token)
	if err == nil {
		if f.ClientID != c.GetID() || !f.Revoked.IsZero() || !p.env.Now().Before(f.Expires) {
			return none, nil
		}
		if alive, err := p.alive(ctx, f.UserID); err != nil || !alive {
			return none, err
		}
		return &introspection{
			Active: true, Scope: strings.Join(f.Scopes, " "), ClientID: f.ClientID, Subject: f.UserID,
			Issuer: p.env.Issuer, TokenType: "refresh_token", Expires: f.Expires.Unix(), IssuedAt: f.Created.Unix(),
		}, nil
	}
	if !errors.Is(err, directory.ErrNotFound) {
		return nil, err
	}
	who, err := p.readAccess(ctx, token)
	if err != nil || who == nil {
		return none, err
	}
	entitled, err := p.mayIntrospect(ctx, c, who)
	if err != nil || !entitled {
		return none, err
	}
	if alive, err := p.alive(ctx, who.Subject); err != nil || !alive {
		return none, err
	}
	return &introspection{
		Active: true, Scope: text(who.Claims["scope"]), ClientID: who.ClientID, TokenType: "Bearer", Subject: who.Subject,
		Audience: who.Claims["aud"], Issuer: who.Issuer, ID: text(who.Claims["jti"]), Expires: who.Claims["exp"],
		IssuedAt: who.Claims["iat"], AuthTime: who.Claims["auth_time"], Permissions: who.Permissions, Roles: who.Roles,
	}, nil
}

// mayIntrospect reports whether a client may know what a token means.
func (p *Provider) mayIntrospect(ctx context.Context, c *client, who *auth.Principal) (bool, error) {
	if who.ClientID == c.GetID() {
		return true, nil
	}
	for _, audience := range audiencesOf(who) {
		api, err := p.target(ctx, audience)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if api != nil && slices.Contains(api.Introspectors, c.GetID()) {
			return true, nil
		}
	}
	return false, nil
}

// audiencesOf are the audiences of a token.
func audiencesOf(who *auth.Principal) []string {
	switch aud := who.Claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		var list []string
		for _, one := range aud {
			list = append(list, text(one))
		}
		return list
	}
	return nil
}

// alive reports whether the subject of a token of the provider is still there and not blocked.
func (p *Provider) alive(ctx context.Context, subject string) (bool, error) {
	if id, ok := strings.CutSuffix(subject, "@clients"); ok {
		_, err := application(ctx, id)
		if errors.Is(err, directory.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	user, err := activeUser(ctx, subject)
	if err != nil || user != nil {
		return user != nil, err
	}
	_, err = p.env.ManagedIdentityByObject(ctx, subject)
	if errors.Is(err, directory.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// UserInfo implements op.Server (OpenID Connect Core section 5.3).
func (s *server) UserInfo(ctx context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return s.p.userInfo(ctx, r.Data.AccessToken) })
}

// userInfo returns the claims of the user of a token that is good for the userinfo endpoint.
func (p *Provider) userInfo(ctx context.Context, token string) (map[string]any, error) {
	bad := refuse(invalidToken, "the access token is not valid")
	who, err := p.readAccess(ctx, token)
	if err != nil {
		return nil, err
	}
	if who == nil || !slices.Contains(audiencesOf(who), p.userinfo()) {
		return nil, bad
	}
	user, err := activeUser(ctx, who.Subject)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, bad
	}
	if !who.HasScope(scopeOpenID) {
		return nil, refuse(insufficientScope, "the scope openid is needed")
	}
	return userClaims(user, who.Scopes), nil
}
