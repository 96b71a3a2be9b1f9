package oidc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// application returns an application; directory.ErrNotFound when there is none.
func application(ctx context.Context, clientID string) (*directory.Application, error) {
	if clientID == "" || len(clientID) > directory.MaxID {
		return nil, directory.ErrNotFound
	}
	return directory.Applications.Get(ctx, directory.Key(clientID))
}

// managedIdentity returns a managed identity by its client id.
func managedIdentity(ctx context.Context, clientID string) (*directory.ManagedIdentity, error) {
	if clientID == "" || len(clientID) > directory.MaxID {
		return nil, directory.ErrNotFound
	}
	return directory.ManagedIdentities.Get(ctx, directory.Key(clientID))
}

// activeUser returns a user who may sign in; nil when there is none.
func activeUser(ctx context.Context, id string) (*directory.User, error) {
	if id == "" || len(id) > directory.MaxID {
		return nil, nil
	}
	user, err := directory.Users.Get(ctx, directory.Key(id))
	if errors.Is(err, directory.ErrNotFound) || err == nil && user.Blocked {
		return nil, nil
	}
	return user, err
}

// target returns the API that tokens are asked for. It is nil for no audience and for that of the userinfo
// endpoint.
func (p *Provider) target(ctx context.Context, audience string) (*directory.API, error) {
	if audience == "" || audience == p.userinfo() {
		return nil, nil
	}
	if len(audience) > directory.MaxIdentifier {
		return nil, directory.ErrNotFound
	}
	return p.env.APIByIdentifier(ctx, audience)
}

// The scopes of OpenID Connect.
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopePhone   = "phone"
	scopeOffline = "offline_access"
)

// isProtocolScope reports whether a scope is one of OpenID Connect, not a permission of an API.
func isProtocolScope(s string) bool {
	switch s {
	case scopeOpenID, scopeProfile, scopeEmail, scopePhone, scopeOffline:
		return true
	}
	return false
}

// knownScopes leaves the scopes that mean something for an application and an API, which may be
// nil. The others are ignored, and the answer says which were granted (RFC 6749 section 3.3).
func knownScopes(app *directory.Application, api *directory.API, scopes []string) []string {
	return keep(scopes, func(s string) bool {
		if s == scopeOffline {
			return slices.Contains(app.GrantTypes, grantRefresh) && (api == nil || api.AllowOfflineAccess)
		}
		return isProtocolScope(s) || api != nil && knows(api, s)
	})
}

// knows reports whether an API has a permission.
func knows(api *directory.API, name string) bool {
	return slices.ContainsFunc(api.Permissions, func(p directory.Permission) bool { return p.Value == name })
}

// keep returns the entries of a list for which ok is true.
func keep(list []string, ok func(string) bool) []string {
	var kept []string
	for _, one := range list {
		if ok(one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// defaultScope is the suffix by which Entra's clients name an API in a scope.
const defaultScope = "/.default"

// splitDefault finds the API that a scope of Entra's shape names: "API/.default".
func splitDefault(scopes []string) (audience string, rest []string, refused *refusal) {
	for _, one := range scopes {
		name, ok := strings.CutSuffix(one, defaultScope)
		switch {
		case !ok:
			rest = append(rest, one)
		case audience != "" || name == "":
			return "", nil, refuse(invalidTarget, "a token is for one audience only")
		default:
			audience = name
		}
	}
	return audience, rest, nil
}
