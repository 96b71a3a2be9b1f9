package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
)

// The grant types.
const (
	grantCode     = directory.GrantCode
	grantRefresh  = directory.GrantRefresh
	grantClient   = directory.GrantClient
	grantDevice   = directory.GrantDevice
	grantExchange = directory.GrantExchange
	grantJWT      = directory.GrantAssertion
	grantPassword = directory.GrantPassword
	// grantPasswordRealm is Auth0's password grant that names the connection.
	grantPasswordRealm = "http://auth0.com/oauth/grant-type/password-realm"
)

// client is who sends a request to an endpoint for clients: an application, or a managed identity whose
// workload has a token of another issuer. It implements op.Client.
type client struct {
	app      *directory.Application
	identity *directory.ManagedIdentity
	// authenticated says that it has shown who it is. A public client has not.
	authenticated bool
	// foreign says that a token of another issuer has shown it.
	foreign bool
}

// clientOf returns what VerifyClient made.
func clientOf(c op.Client) *client {
	if own, ok := c.(*client); ok {
		return own
	}
	return &client{}
}

// subject is how tokens name the client.
func (c *client) subject() string {
	if c.identity != nil {
		return c.identity.ID
	}
	return c.app.ClientID + "@clients"
}

// GetID implements op.Client.
func (c *client) GetID() string {
	if c.identity != nil {
		return c.identity.ClientID
	}
	return c.app.ClientID
}

// AuthMethod implements op.Client.
func (c *client) AuthMethod() oidc.AuthMethod {
	if !c.authenticated {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodPost
}

// GrantTypes implements op.Client.
func (c *client) GrantTypes() []oidc.GrantType {
	if c.identity != nil {
		return []oidc.GrantType{oidc.GrantTypeClientCredentials, oidc.GrantTypeTokenExchange}
	}
	types := make([]oidc.GrantType, len(c.app.GrantTypes))
	for i, one := range c.app.GrantTypes {
		types[i] = oidc.GrantType(one)
	}
	if c.foreign && slices.Contains(c.app.GrantTypes, grantClient) {
		types = append(types, oidc.GrantTypeTokenExchange)
	}
	return types
}

// The other methods of op.Client are for endpoints of the library that are not used.

// RedirectURIs implements op.Client.
func (c *client) RedirectURIs() []string { return nil }

// PostLogoutRedirectURIs implements op.Client.
func (c *client) PostLogoutRedirectURIs() []string { return nil }

// ApplicationType implements op.Client.
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }

// ResponseTypes implements op.Client.
func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// LoginURL implements op.Client.
func (c *client) LoginURL(string) string { return "" }

// AccessTokenType implements op.Client.
func (c *client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// IDTokenLifetime implements op.Client.
func (c *client) IDTokenLifetime() time.Duration { return defaultIDTokenLifetime }

// DevMode implements op.Client.
func (c *client) DevMode() bool { return false }

// RestrictAdditionalIdTokenScopes implements op.Client.
func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// RestrictAdditionalAccessTokenScopes implements op.Client.
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// IsScopeAllowed implements op.Client.
func (c *client) IsScopeAllowed(string) bool { return false }

// IDTokenUserinfoClaimsAssertion implements op.Client.
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return true }

// ClockSkew implements op.Client.
func (c *client) ClockSkew() time.Duration { return 0 }

// credentials are what a client shows.
type credentials struct {
	id, secret, assertion string
	// device says that it asks for a device code, for which applications that have a secret may ask without: x/oauth2
	// sends none, and the code is of no use without.
	device bool
	// subjectToken says that it exchanges a token of another issuer, which shows who it is.
	subjectToken bool
}

// errClient is the same for every reason: who guesses learns nothing.
var errClient = refuse(invalidClient, "the client is not known or has not authenticated itself as it must")

// authenticate finds out which client sends a request. Whether it is unknown or its secret wrong takes the
// same work.
func (p *Provider) authenticate(ctx context.Context, c credentials) (*client, error) {
	foreign := requestOf(ctx).foreign
	if c.assertion != "" {
		if foreign != nil && foreign.assertion {
			return p.foreignClient(ctx, c.id, foreign)
		}
		return p.assertedClient(ctx, c.id, c.assertion)
	}
	app, err := application(ctx, c.id)
	if errors.Is(err, directory.ErrNotFound) {
		if c.subjectToken && foreign != nil && c.secret == "" {
			return p.foreignClient(ctx, c.id, foreign)
		}
		sum := sha256.Sum256([]byte(c.secret))
		subtle.ConstantTimeCompare(sum[:], make([]byte, len(sum)))
		return nil, errClient
	}
	if err != nil {
		return nil, err
	}
	switch {
	case c.secret != "" && app.AuthMethod != directory.MethodPrivateKey:
		// Either way of sending a secret is good for whoever has one.
		if !p.env.CheckSecret(app, c.secret) {
			return nil, errClient
		}
		return &client{app: app, authenticated: true}, nil
	case c.subjectToken && foreign != nil && c.secret == "":
		return p.foreignClient(ctx, c.id, foreign)
	case c.secret == "" && (isPublic(app) || c.device):
		return &client{app: app}, nil
	}
	return nil, errClient
}
