package managed

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// The paths.
const (
	// PathToken is the loopback endpoint. It must be served where only this machine reaches it, as far as that
	// can be: it looks at the peer of each request itself.
	PathToken = "/perdure/identity/token"

	// Tenant is the name of the one tenant.
	Tenant        = "default"
	pathTenant    = "/" + Tenant
	PathDiscovery = pathTenant + "/v2.0/.well-known/openid-configuration"
	PathKeys      = pathTenant + "/discovery/v2.0/keys"
	PathTenant    = pathTenant + "/oauth2/v2.0/token" // the token endpoint of the tenant
)

// Options are what the other parts of the provider do.
type Options struct {
	// Mint issues an access token to an identity, in the unit of work of ctx, and writes the audit log of it.
	// A *RefusedError says that the identity may not have it.
	Mint func(ctx context.Context, identity *directory.ManagedIdentity, audience string) (token string, expires time.Time, err error)
	// Token serves the token endpoint, Keys the public keys, whatever the path of the request is.
	Token, Keys http.Handler
	// PeerUser returns the id of the operating system's user whose process holds the peer's end of a connection
	// of this machine. Nil asks the operating system.
	PeerUser func(local, peer netip.AddrPort) (int, error)
}

// RefusedError says why an identity may not have a token. Its reason is fit for the caller.
type RefusedError struct{ Reason string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Reason }

// Endpoints are the endpoints of workloads.
type Endpoints struct {
	env      *directory.Env
	options  Options
	failures failures
}

// New returns the endpoints on what env knows.
func New(env *directory.Env, o Options) (*Endpoints, error) {
	if o.Mint == nil || o.Token == nil || o.Keys == nil {
		return nil, errors.New("managed identities need the token endpoint")
	}
	if o.PeerUser == nil {
		o.PeerUser = peerUser
	}
	return &Endpoints{env: env, options: o, failures: failures{now: env.Now}}, nil
}

// Patterns are the patterns of http.ServeMux for the tenant's endpoints.
func (e *Endpoints) Patterns() []string { return []string{PathDiscovery, PathKeys, PathTenant} }

// ServeHTTP serves the tenant's endpoints.
func (e *Endpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case PathDiscovery:
		e.serveDiscovery(w, r)
	case PathKeys:
		e.options.Keys.ServeHTTP(w, r)
	case PathTenant:
		e.serveTenant(w, r)
	default:
		http.NotFound(w, r)
	}
}
