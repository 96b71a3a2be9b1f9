package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/managed"
	"github.com/perdure/perdure/identity/internal/oidc"
)

// TokenPath is the path of the loopback endpoint of managed identities.
const TokenPath = managed.PathToken

// TenantPath begins the paths of the tenant, which Entra's clients ask for tokens.
const TenantPath = "/" + managed.Tenant + "/"

// Tenant serves the tenant's endpoints, for a server that is reached by another name than the provider.
func (p *Provider) Tenant() http.Handler { return p.managed }

// systemMark is the row that says which managed identity is the app's own.
var systemMark = directory.Key2("system-identity", "app")

func (p *Provider) managedOptions() managed.Options {
	keys := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := r.Clone(r.Context())
		to.URL.Path, to.URL.RawPath = oidc.PathKeys, ""
		p.oidc.ServeHTTP(w, to)
	})
	return managed.Options{Mint: p.mint, Token: http.HandlerFunc(p.oidc.ServeToken), Keys: keys}
}

// tenantAudiences are the URLs of the tenant's token endpoint, by which the assertions of its clients name the provider.
func tenantAudiences(scheme string, hosts []string) []string {
	all := make([]string, len(hosts))
	for i, host := range hosts {
		all[i] = scheme + "://" + host + managed.PathTenant
	}
	return all
}

// mint issues a token to a managed identity.
func (p *Provider) mint(ctx context.Context, m *directory.ManagedIdentity, audience string) (string, time.Time, error) {
	token, expires, err := p.oidc.MintForIdentity(ctx, m, audience)
	if errors.Is(err, oidc.ErrRefused) {
		_, reason, _ := strings.Cut(err.Error(), ": ")
		err = &managed.RefusedError{Reason: reason}
	}
	return token, expires, err
}

// WorkloadTokens serves TokenPath: where programs of this machine ask for tokens of managed identities. It finds out
// itself who asks.
func (p *Provider) WorkloadTokens() http.Handler { return p.managed.TokenHandler() }

// withWorkloads adds to an administration what begins and ends workloads, below /workloads/.
func (p *Provider) withWorkloads(administration http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", administration)
	mux.Handle("/workloads/", p.managed.Workloads(p.options.WorkloadEndpoint, p.systemIdentity))
	return mux
}

// Token issues an access token to the app itself, to its system identity, for an API: the identifier must be one of
// the identity's resources.
func (p *Provider) Token(ctx context.Context, api string) (token string, expires time.Time, err error) {
	err = p.env.Unit(ctx, func(ctx context.Context) error {
		m, err := p.systemIdentity(ctx)
		if err != nil {
			return err
		}
		token, expires, err = p.mint(ctx, m, api)
		return err
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("identity: a token for %q: %w", api, err)
	}
	return token, expires, nil
}

// systemIdentity is the managed identity of the app itself.
func (p *Provider) systemIdentity(ctx context.Context) (*directory.ManagedIdentity, error) {
	mark, err := directory.Names.Get(ctx, systemMark)
	if err != nil {
		return nil, fmt.Errorf("system identity: %w", err)
	}
	return p.env.ManagedIdentity(ctx, mark.ID)
}

// seedSystem makes the managed identity of the app itself, named after it, which may ask for tokens for
// the app's own API and may do nothing there until it is given rights.
func (p *Provider) seedSystem(ctx context.Context) error {
	if _, err := p.systemIdentity(ctx); !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	wanted := &directory.ManagedIdentity{Name: shortened(p.options.API.Name), System: true, Resources: []string{p.options.API.Identifier}}
	m, err := p.env.CreateManagedIdentity(ctx, directory.Itself, wanted)
	if err != nil {
		return err
	}
	return directory.Names.Put(ctx, systemMark, &directory.Name{ID: m.ClientID})
}

// shortened cuts a name to the length that names of managed identities have at most.
func shortened(name string) string {
	const most = 128
	if utf8.RuneCountInString(name) > most {
		name = strings.TrimSpace(string([]rune(name)[:most]))
	}
	return name
}
