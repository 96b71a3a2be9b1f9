package main

import (
	"context"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/perdure/perdure/auth"
)

// library is a verifier of tokens: it has no server and keeps nothing.
type library struct {
	ctx context.Context // as long as it works: for those that fetch keys in the background
	end context.CancelFunc
}

func (l *library) open(context.Context, string) error {
	l.ctx, l.end = context.WithCancel(context.Background())
	return nil
}

func (l *library) server() int { return 0 }

func (l *library) close() error {
	l.end()
	return nil
}

// rights are the claims that a caller is made from, for libraries that fill structs.
type rights struct {
	Scope       string   `json:"scope"`
	Permissions []string `json:"permissions"`
}

// perdureVerifier is Perdure's package auth.
type perdureVerifier struct {
	library
	deps     deps
	verifier *auth.Verifier
}

func (e *perdureVerifier) trust(_ context.Context, t trusted) (err error) {
	config := auth.VerifierConfig{
		Issuer: t.issuer, Audiences: []string{t.audience}, JWKSURL: t.keysURL, Algorithms: []string{t.algorithm},
	}
	if cached := e.deps.variant.Cached; cached == nil || !*cached {
		config.CacheSize = -1
	}
	e.verifier, err = auth.NewVerifier(config)
	return err
}

func (e *perdureVerifier) verify(ctx context.Context, token string) (caller, error) {
	p, err := e.verifier.Verify(ctx, token)
	if err != nil {
		return caller{}, err
	}
	return caller{p.Subject, p.Scopes, p.Permissions}, nil
}

// goOIDC is github.com/coreos/go-oidc, whose verifier of ID tokens takes any JWT of the issuer for the audience.
type goOIDC struct {
	library
	verifier *oidc.IDTokenVerifier
}

func newGoOIDC(deps) (engine, facts, error) {
	return &goOIDC{}, facts{version: moduleVersion("github.com/coreos/go-oidc/v3")}, nil
}

func (e *goOIDC) trust(_ context.Context, t trusted) error {
	e.verifier = oidc.NewVerifier(t.issuer, oidc.NewRemoteKeySet(e.ctx, t.keysURL), &oidc.Config{
		ClientID: t.audience, SupportedSigningAlgs: []string{t.algorithm},
	})
	return nil
}

func (e *goOIDC) verify(ctx context.Context, token string) (caller, error) {
	verified, err := e.verifier.Verify(ctx, token)
	if err != nil {
		return caller{}, err
	}
	var claims rights
	if err := verified.Claims(&claims); err != nil {
		return caller{}, err
	}
	return caller{verified.Subject, strings.Fields(claims.Scope), claims.Permissions}, nil
}

// jwx is github.com/lestrrat-go/jwx with its cache of keys.
type jwx struct {
	library
	issuer, audience string
	keys             jwk.Set
}

func newJWX(deps) (engine, facts, error) {
	return &jwx{}, facts{version: moduleVersion("github.com/lestrrat-go/jwx/v3")}, nil
}

func (e *jwx) trust(ctx context.Context, t trusted) error {
	cache, err := jwk.NewCache(e.ctx, httprc.NewClient())
	if err != nil {
		return err
	}
	if err := cache.Register(ctx, t.keysURL); err != nil {
		return err
	}
	e.issuer, e.audience = t.issuer, t.audience
	e.keys, err = cache.CachedSet(t.keysURL)
	return err
}

func (e *jwx) verify(_ context.Context, token string) (caller, error) {
	verified, err := jwxjwt.ParseString(token, jwxjwt.WithKeySet(e.keys), jwxjwt.WithIssuer(e.issuer),
		jwxjwt.WithAudience(e.audience), jwxjwt.WithRequiredClaim(jwxjwt.ExpirationKey))
	if err != nil {
		return caller{}, err
	}
	var c caller
	var scope string
	var permissions []any
	if err := verified.Get("scope", &scope); err != nil {
		return caller{}, err
	}
	if err := verified.Get("permissions", &permissions); err != nil {
		return caller{}, err
	}
	c.subject, _ = verified.Subject()
	c.scopes = strings.Fields(scope)
	for _, one := range permissions {
		if name, ok := one.(string); ok {
			c.permissions = append(c.permissions, name)
		}
	}
	return c, nil
}

// golangJWT is github.com/golang-jwt/jwt, with github.com/MicahParks/keyfunc for the keys.
type golangJWT struct {
	library
	keys   jwt.Keyfunc
	parser *jwt.Parser
}

func newGolangJWT(deps) (engine, facts, error) {
	return &golangJWT{}, facts{version: moduleVersion("github.com/golang-jwt/jwt/v5") + ", keyfunc " + moduleVersion("github.com/MicahParks/keyfunc/v3")}, nil
}

func (e *golangJWT) trust(_ context.Context, t trusted) error {
	keys, err := keyfunc.NewDefaultCtx(e.ctx, []string{t.keysURL})
	if err != nil {
		return err
	}
	e.keys = keys.Keyfunc
	e.parser = jwt.NewParser(jwt.WithValidMethods([]string{t.algorithm}), jwt.WithIssuer(t.issuer),
		jwt.WithAudience(t.audience), jwt.WithExpirationRequired())
	return nil
}

func (e *golangJWT) verify(_ context.Context, token string) (caller, error) {
	var claims struct {
		jwt.RegisteredClaims
		rights
	}
	if _, err := e.parser.ParseWithClaims(token, &claims, e.keys); err != nil {
		return caller{}, err
	}
	return caller{claims.Subject, strings.Fields(claims.Scope), claims.Permissions}, nil
}
