package identity

import (
	"context"
	"fmt"
	"net/http"

	"github.com/perdure/perdure/auth"
)

// Verifier verifies the provider's access tokens for one audience, without the network. Unlike who only
// looks at a token's signature it knows which ones were revoked.
type Verifier struct {
	signed *auth.Verifier
	p      *Provider
}

var _ auth.Authenticator = (*Verifier)(nil)

// Verifier returns a verifier of the provider's access tokens for an audience.
func (p *Provider) Verifier(audience string) (*Verifier, error) {
	v, err := auth.NewVerifier(auth.VerifierConfig{
		Issuer: p.options.Issuer, Audiences: []string{audience}, Keys: &p.keys,
		Now: p.env.Now, RequireTypedTokens: true, Log: p.options.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &Verifier{v, p}, nil
}

// Verify returns whom an access token is about, as auth.Verifier does.
func (v *Verifier) Verify(ctx context.Context, token string) (*auth.Principal, error) {
	who, err := v.signed.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	switch revoked, err := v.p.revoked(ctx, who); {
	case err != nil:
		return nil, err
	case revoked:
		return nil, &auth.TokenError{Reason: "the token is not accepted: it was revoked"}
	}
	return who, nil
}

// revoked reports whether the token was revoked by which somebody is known.
func (p *Provider) revoked(ctx context.Context, who *auth.Principal) (revoked bool, err error) {
	id, _ := who.Claims["jti"].(string)
	err = p.env.Unit(ctx, func(ctx context.Context) (err error) {
		revoked, err = p.oidc.Revoked(ctx, who.Subject, id)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("identity: revoked tokens: %w", err)
	}
	return revoked, nil
}

// Unrevoked returns an authenticator that knows whom a knows, such as by a session, as long as the token
// behind it was not revoked: with that of a user who was blocked, or has a new password, a session ends.
func (p *Provider) Unrevoked(a auth.Authenticator) auth.Authenticator {
	return auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
		who, err := a.Authenticate(r)
		if who == nil || err != nil {
			return nil, err
		}
		revoked, err := p.revoked(r.Context(), who)
		if revoked || err != nil {
			return nil, err
		}
		return who, nil
	})
}

// Authenticate implements auth.Authenticator by the bearer token of a request.
func (v *Verifier) Authenticate(r *http.Request) (*auth.Principal, error) {
	token, err := auth.BearerToken(r.Header)
	if token == "" || err != nil {
		return nil, err
	}
	return v.Verify(r.Context(), token)
}
