package oidc

import (
	"context"
	"errors"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
)

// accessTokenType is the type of access tokens (RFC 8693 section 3).
const accessTokenType = string(oidc.AccessTokenType)

// TokenExchange implements op.Server (RFC 8693).
func (s *server) TokenExchange(ctx context.Context, r *op.ClientRequest[oidc.TokenExchangeRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return s.p.exchange(ctx, clientOf(r.Client), r.Data) })
}

// exchange exchanges a token for one of another audience. It is either a token of another issuer, which stands for the client
// by a rule of trust; or an access token of the provider, which an application with a grant for the audience
// exchanges to act there for its subject.
func (p *Provider) exchange(ctx context.Context, c *client, data *oidc.TokenExchangeRequest) (*tokens, error) {
	if !c.authenticated {
		return nil, errClient
	}
	if data.ActorToken != "" {
		return nil, refuse(invalidRequest, "actor tokens are not supported")
	}
	if t := data.RequestedTokenType; t != "" && t != oidc.AccessTokenType && t != oidc.JWTTokenType {
		return nil, refuse(invalidRequest, "the requested_token_type must be that of access tokens")
	}
	names := slices.DeleteFunc(slices.Concat(data.Audience, data.Resource), func(s string) bool { return s == "" })
	slices.Sort(names)
	names = slices.Compact(names)
	named, scopes, refused := splitDefault(data.Scopes)
	if refused != nil {
		return nil, refused
	}
	if named != "" && !slices.Contains(names, named) {
		names = append(names, named)
	}
	if len(names) != 1 {
		return nil, refuse(invalidTarget, "exactly one audience is needed")
	}
	scopes = keep(scopes, func(s string) bool { return !isProtocolScope(s) && s != "" })
	var t *tokens
	var err error
	subject := c.subject()
	if c.foreign {
		t, err = p.mint(ctx, c, names[0], scopes, "token-exchange")
	} else {
		subject, t, err = p.actFor(ctx, c, data, names[0], scopes)
	}
	if err != nil {
		return nil, err
	}
	t.IssuedTokenType = accessTokenType
	return t, p.note(ctx, directory.AuditToken, subject, c.GetID(), c.GetID(), "exchanged for "+names[0])
}

// actFor issues a token by which an application acts for the user of an access token at another API. It gets what both the
// application was granted there and the user may do there.
func (p *Provider) actFor(ctx context.Context, c *client, data *oidc.TokenExchangeRequest, audience string, scopes []string) (string, *tokens, error) {
	bad := refuse(invalidRequest, "the subject_token is not valid")
	if c.app == nil || data.SubjectTokenType != oidc.AccessTokenType && data.SubjectTokenType != oidc.JWTTokenType {
		return "", nil, bad
	}
	who, err := p.readAccess(ctx, data.SubjectToken)
	if err != nil {
		return "", nil, err
	}
	if who == nil {
		return "", nil, bad
	}
	user, err := activeUser(ctx, who.Subject)
	if err != nil {
		return "", nil, err
	}
	if user == nil {
		return "", nil, bad
	}
	api, err := p.apiOf(ctx, audience)
	if errors.Is(err, directory.ErrNotFound) {
		return "", nil, refuse(invalidTarget, "there is no API with that identifier")
	}
	if err != nil {
		return "", nil, err
	}
	grant, err := p.env.GrantOf(ctx, c.app.ClientID, api.Identifier)
	if errors.Is(err, directory.ErrNotFound) {
		return "", nil, &refusal{accessDenied, "the application has no grant for this API", 403}
	}
	if err != nil {
		return "", nil, err
	}
	granted := keep(grant.Scope, func(s string) bool { return knows(api, s) })
	for _, one := range scopes {
		if !slices.Contains(granted, one) {
			return "", nil, refuse(invalidScope, "the scope %q is not granted", one)
		}
	}
	if len(scopes) == 0 {
		scopes = granted
	}
	permissions, roles, err := p.env.RightsAt(ctx, user.Rights, api.Identifier)
	if err != nil {
		return "", nil, err
	}
	permissions = keep(permissions, func(s string) bool { return slices.Contains(granted, s) })
	id := text(who.Claims["jti"])
	a := &access{
		Subject: user.ID, ClientID: c.GetID(), API: api, GrantType: "token-exchange", Grant: grantOfToken(id),
		Act: map[string]any{"sub": c.subject()},
	}
	if actor, ok := who.Claims["act"]; ok {
		a.Act["act"] = actor
	}
	a.Scopes = a.limit(scopes, permissions, roles)
	t, err := p.accessToken(ctx, a)
	return user.ID, t, err
}
