package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
)

// Sessions knows who is signed in at the provider.
type Sessions interface {
	// Current returns the session of the browser that sent r; nil without one. It is called in the
	// unit of work of r's context.
	Current(r *http.Request) (*directory.Session, error)
}

// ender is a Sessions that signs a browser out itself, with its cookie and the entry in the audit log.
type ender interface {
	EndSession(ctx context.Context, w http.ResponseWriter, r *http.Request) error
}

// People checks passwords for the password grant.
type People interface {
	// CheckPassword returns the user of a connection whose password it is; ErrPassword when it is none.
	// It is called in a unit of work, which commits also then: attempts can be counted.
	CheckPassword(ctx context.Context, connection, login, password, ip string) (*directory.User, error)
}

// ErrPassword is for People: there is no such user, the password is not theirs, or they may
// not sign in. Which of these it was is not said.
var ErrPassword = errors.New("wrong user name or password")

// Options are what the protocol needs from the other parts.
type Options struct {
	// Sessions must be given.
	Sessions Sessions
	// People enables the password grant, for applications of the first party that have it. Nil refuses it.
	People People
	// LoginPath and DevicePath are the pages to which browsers are sent; default "/u/login" and
	// "/u/device".
	LoginPath, DevicePath string
	// Audiences are further values of "aud" by which a client's assertion names the provider, besides the
	// issuer and the token endpoint: other URLs of the token endpoint.
	Audiences []string
	// HTTPClient fetches the keys of trusted issuers; nil is a client with timeouts.
	HTTPClient *http.Client
	// ClientIP finds the address of who sent a request; nil takes that of the connection.
	ClientIP func(*http.Request) string
}

// The paths of the protocol.
const (
	PathDiscovery  = "/.well-known/openid-configuration"
	PathKeys       = "/.well-known/jwks.json"
	PathAuthorize  = "/authorize"
	PathCallback   = "/authorize/callback"
	PathToken      = "/oauth/token"
	PathRevoke     = "/oauth/revoke"
	PathIntrospect = "/oauth/introspect"
	PathDevice     = "/oauth/device/code"
	PathUserinfo   = "/userinfo"
	PathLogout     = "/oidc/logout"
	PathLogoutV2   = "/v2/logout"
)

// Provider is an http.Handler for the endpoints of the protocol. It is safe for concurrent use.
type Provider struct {
	env     *directory.Env
	options Options
	library http.Handler
	locks   locks
	origins origins
	own     *auth.Verifier // of the provider's own access tokens, in a unit of work
	trusted verifiers
}

// New returns a provider on what env knows. It adds to env.OnUserDeleted what deletes a user's grants, and to
// env.OnEnded what revokes tokens.
func New(env *directory.Env, options Options) (*Provider, error) {
	if env == nil || !strings.HasSuffix(env.Issuer, "/") {
		return nil, errors.New("the issuer's URL must end in a slash")
	}
	if options.Sessions == nil {
		return nil, errors.New("sessions are needed")
	}
	if options.LoginPath == "" {
		options.LoginPath = "/u/login"
	}
	if options.DevicePath == "" {
		options.DevicePath = "/u/device"
	}
	p := &Provider{env: env, options: options}
	var err error
	p.own, err = auth.NewVerifier(auth.VerifierConfig{
		Issuer: env.Issuer, AnyAudience: true, Keys: auth.KeySourceFunc(p.ownKeys), Leeway: -1, RequireTypedTokens: true, Now: env.Now,
	})
	if err != nil {
		return nil, err
	}
	p.library = op.RegisterServer(&server{p: p}, op.Endpoints{
		Token:               op.NewEndpoint(PathToken),
		Introspection:       op.NewEndpoint(PathIntrospect),
		Userinfo:            op.NewEndpoint(PathUserinfo),
		Revocation:          op.NewEndpoint(PathRevoke),
		JwksURI:             op.NewEndpoint(PathKeys),
		DeviceAuthorization: op.NewEndpoint(PathDevice),
	}, op.WithServerCORSOptions(nil), op.WithFallbackLogger(slog.New(slog.DiscardHandler)))
	env.OnUserDeleted = append(env.OnUserDeleted, p.forgetUser)
	env.OnEnded = append(env.OnEnded, func(ctx context.Context, subject string) error { return p.RevokeUser(ctx, subject, "") })
	return p, nil
}

// Patterns are the patterns of http.ServeMux under which the provider is served.
func (p *Provider) Patterns() []string {
	return []string{
		PathDiscovery, PathKeys, PathAuthorize, PathCallback, PathToken, PathRevoke, PathIntrospect,
		PathDevice, PathUserinfo, PathLogout, PathLogoutV2,
	}
}

// url is the URL of one of the provider's paths.
func (p *Provider) url(path string) string { return p.env.Issuer + strings.TrimPrefix(path, "/") }

// userinfo is the audience of tokens that are good for the userinfo endpoint.
func (p *Provider) userinfo() string { return p.url(PathUserinfo) }
