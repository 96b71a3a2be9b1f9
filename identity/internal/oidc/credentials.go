package oidc

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
)

// ClientCredentialsExchange implements op.Server.
func (s *server) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) {
		c := clientOf(r.Client)
		if !c.authenticated {
			return nil, errClient
		}
		return s.p.clientTokens(ctx, c, r.Form, "client-credentials")
	})
}

// JWTProfile implements op.Server: the grant of an assertion that an application has signed about itself (RFC 7523
// section 2.1).
func (s *server) JWTProfile(ctx context.Context, r *op.Request[oidc.JWTProfileGrantRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return s.p.assertionTokens(ctx, r.Data.Assertion, r.Form) })
}

func (p *Provider) assertionTokens(ctx context.Context, assertion string, form url.Values) (*tokens, error) {
	bad := refuse(invalidGrant, "the assertion is not valid")
	claims, err := peek(assertion)
	if err != nil {
		return nil, bad
	}
	app, err := application(ctx, claims.Issuer)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	if refused, err := p.checkAssertion(ctx, app, assertion); refused != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return nil, refuse(invalidGrant, "the assertion is not valid: %s", refused.description)
	}
	if !slices.Contains(app.GrantTypes, grantJWT) {
		return nil, refuse(unauthorizedClient, "the application may not use this grant")
	}
	return p.clientTokens(ctx, &client{app: app, authenticated: true}, form, "jwt-bearer")
}

// clientTokens issues a token to a client for itself: by Auth0's audience, by resource (RFC 8707), or by a scope
// of Entra's shape. The grants of the client decide what it may do; without a scope it gets all of that. What Entra's
// clients add for users is ignored.
func (p *Provider) clientTokens(ctx context.Context, c *client, form url.Values, grantType string) (*tokens, error) {
	audience, refused := audienceOf(form)
	if refused != nil {
		return nil, refused
	}
	named, scopes, refused := splitDefault(words(form.Get("scope")))
	if refused != nil {
		return nil, refused
	}
	if named != "" && audience != "" && named != audience {
		return nil, refuse(invalidTarget, "a token is for one audience only")
	}
	if named != "" {
		audience = named
	}
	scopes = keep(scopes, func(s string) bool { return !isProtocolScope(s) })
	t, err := p.mint(ctx, c, audience, scopes, grantType)
	if err != nil {
		return nil, err
	}
	t.ExtExpiresIn = t.ExpiresIn
	return t, p.note(ctx, directory.AuditToken, c.subject(), c.GetID(), c.GetID(), audience)
}

// mint issues a token to a client for itself. No scopes are all that it has.
func (p *Provider) mint(ctx context.Context, c *client, audience string, scopes []string, grantType string) (*tokens, error) {
	if audience == "" {
		return nil, refuse(invalidRequest, "the audience is missing")
	}
	api, err := p.apiOf(ctx, audience)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, refuse(invalidTarget, "there is no API with that identifier")
	}
	if err != nil {
		return nil, err
	}
	a := &access{Subject: c.subject(), ClientID: c.GetID(), API: api, GrantType: grantType}
	var has []string
	if c.identity != nil {
		if !slices.Contains(c.identity.Resources, api.Identifier) {
			return nil, refuse(accessDenied, "the identity may not have tokens for this API")
		}
		if has, a.Roles, err = p.env.RightsAt(ctx, c.identity.Rights, api.Identifier); err != nil {
			return nil, err
		}
	} else {
		grant, err := p.env.GrantOf(ctx, c.app.ClientID, api.Identifier)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, &refusal{accessDenied, "the application has no grant for this API", 403}
		}
		if err != nil {
			return nil, err
		}
		has = keep(grant.Scope, func(s string) bool { return knows(api, s) })
	}
	a.Scopes = has
	if len(scopes) > 0 {
		for _, one := range scopes {
			if !slices.Contains(has, one) {
				return nil, refuse(invalidScope, "the scope %q is not granted", one)
			}
		}
		a.Scopes = scopes
	}
	if api.EnforcePolicies && api.TokenDialect == directory.DialectPermissions {
		a.Permissions = append([]string{}, a.Scopes...)
	}
	return p.accessToken(ctx, a)
}

// apiOf finds an API by the name that a client has for it: Entra's clients leave a slash at its end away, or have one
// more than the identifier.
func (p *Provider) apiOf(ctx context.Context, audience string) (*directory.API, error) {
	api, err := p.target(ctx, audience)
	if !errors.Is(err, directory.ErrNotFound) {
		if api == nil && err == nil {
			err = directory.ErrNotFound // the userinfo endpoint is for users
		}
		return api, err
	}
	if trimmed, ok := strings.CutSuffix(audience, "/"); ok {
		return p.target(ctx, trimmed)
	}
	return p.target(ctx, audience+"/")
}
