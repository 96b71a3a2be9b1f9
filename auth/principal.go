package auth

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Principal is who sent a request, as the token or the session says that was verified.
// The zero value is nobody.
type Principal struct {
	// Subject is the id of the person, application or managed identity at the
	// issuer (claim "sub"). It never changes; with Issuer it is unique.
	Subject string `json:"sub"`
	// Issuer is who vouches for the principal (claim "iss").
	Issuer string `json:"iss"`
	// Name is what to call the principal: the claim that VerifierConfig.NameClaim
	// names, else the first of "name", "preferred_username", "nickname", "email"
	// that there is, else the client id of an application that acts for itself, else the subject.
	Name string `json:"name"`
	// ClientID is the application that the token was issued to (claim "client_id", "azp", "appid" or "cid").
	ClientID string `json:"client_id,omitempty"`
	// Permissions are what the principal may do at the audience of the token (claim
	// "permissions"), Scopes what the application may do for it (claim "scope" or "scp"), Roles
	// what it is (claim "roles"). They are sorted, and have no duplicates.
	Permissions []string `json:"permissions,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	// Expires is when the proof of all this ends; zero if it does not.
	Expires time.Time `json:"expires,omitzero"`
	// Claims are all claims of the token as JSON decodes them, numbers as json.Number.
	Claims map[string]any `json:"claims,omitempty"`
}

// ID returns the principal's id in one string: unique over all issuers.
func (p *Principal) ID() string { return p.Issuer + "#" + p.Subject }

// copy returns a principal of its own for a caller; what it refers to stays shared.
func (p *Principal) copy() *Principal {
	own := *p
	return &own
}

// HasPermission reports whether the principal has a permission.
func (p *Principal) HasPermission(name string) bool { return has(p.Permissions, name) }

// HasScope reports whether the principal has a scope.
func (p *Principal) HasScope(name string) bool { return has(p.Scopes, name) }

// HasRole reports whether the principal has a role.
func (p *Principal) HasRole(name string) bool { return has(p.Roles, name) }

// has does not rely on the order, which a principal made by hand may not have.
func has(names []string, name string) bool { return slices.Contains(names, name) }

// Authenticator finds out who sent a request. It returns nil and no error when the
// request has no credentials of the kind it looks for, and an error that matches
// ErrUnauthenticated when it has some that are not good. Other errors say that it could not be found out.
type Authenticator interface {
	Authenticate(r *http.Request) (*Principal, error)
}

// AuthenticatorFunc is an Authenticator.
type AuthenticatorFunc func(r *http.Request) (*Principal, error)

// Authenticate implements Authenticator.
func (f AuthenticatorFunc) Authenticate(r *http.Request) (*Principal, error) { return f(r) }

// First returns an Authenticator that asks several in their order until one knows the
// principal, or refuses the credentials.
func First(all ...Authenticator) Authenticator {
	return AuthenticatorFunc(func(r *http.Request) (*Principal, error) {
		for _, one := range all {
			if p, err := one.Authenticate(r); p != nil || err != nil {
				return p, err
			}
		}
		return nil, nil
	})
}

type contextKey struct{}

// With returns a context that carries a principal.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of a context, nil when there is none: what runs on behalf of
// nobody, such as a timer, or an anonymous request.
func From(ctx context.Context) *Principal {
	p, _ := ctx.Value(contextKey{}).(*Principal)
	return p
}
