package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/managed"
	"github.com/perdure/perdure/identity/internal/management"
	"github.com/perdure/perdure/identity/internal/oidc"
	"github.com/perdure/perdure/identity/internal/people"
	"github.com/perdure/perdure/internal/clock"
)

// Options are what an app lends its provider.
type Options struct {
	// Config is filled by WithDefaults and valid.
	Config
	// Unit runs fn in a unit of work of the app.
	Unit func(ctx context.Context, fn func(ctx context.Context) error) error
	// Clock is the app's time.
	Clock clock.Clock
	// Keys seals what must not be readable at rest.
	Keys Keys
	// Log gets what an operator should know.
	Log *slog.Logger
	// Data is the folder that DemoFile is written to.
	Data string
	// Permissions are those that the policies of the app name.
	Permissions []string
	// Callback and AfterLogout are the URLs of the app's own sign-in; empty without it.
	Callback, AfterLogout string
	// OnDeleted, unless nil, is told in the unit in which a user, an application or a managed identity is deleted, whom
	// tokens name by subject.
	OnDeleted func(ctx context.Context, subject string) error
	// WorkloadEndpoint is the URL at which programs of this machine reach WorkloadTokens; empty if they do not.
	WorkloadEndpoint string
}

// Keys seals, and derives secrets that stay the same.
type Keys interface {
	directory.Sealer
	Derive(purpose string, n int) []byte
}

// Provider is the provider of one app. It is an http.Handler for Patterns.
type Provider struct {
	options  Options
	env      *directory.Env
	oidc     *oidc.Provider
	people   *people.People
	managed  *managed.Endpoints
	hosts    []string
	mux      *http.ServeMux
	patterns []string
	admin    http.Handler
	keys     keys
	verify   *Verifier // of tokens for the management API

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// New returns the provider, which reads and writes nothing before Start.
func New(o Options) (*Provider, error) {
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("identity: issuer: %w", err)
	}
	p := &Provider{options: o, hosts: hostsOf(issuer), mux: http.NewServeMux()}
	p.env = &directory.Env{
		Unit: o.Unit, Clock: o.Clock, Seal: o.Keys, Issuer: o.Issuer, Mail: o.Mail, Log: o.Log,
	}
	if o.OnDeleted != nil {
		p.env.OnUserDeleted = append(p.env.OnUserDeleted, o.OnDeleted)
		p.env.OnEnded = append(p.env.OnEnded, p.endedForGood)
	}
	p.keys.env = p.env
	if p.people, err = people.New(p.env, p.peopleOptions()); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	p.oidc, err = oidc.New(p.env, oidc.Options{
		Sessions: p.people, People: passwords{p.people}, Audiences: tenantAudiences(issuer.Scheme, p.hosts),
	})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if p.managed, err = managed.New(p.env, p.managedOptions()); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	p.verify, err = p.Verifier(management.Audience(o.Issuer))
	if err != nil {
		return nil, err
	}
	parts := p.managementParts()
	manage := management.New(p.env, p.verify, parts)
	p.admin = p.withWorkloads(p.administration(management.New(p.env, management.Administrator(), parts)))
	for _, part := range []interface {
		http.Handler
		Patterns() []string
	}{p.oidc, p.people, p.managed, manage} {
		for _, pattern := range part.Patterns() {
			p.mux.Handle(pattern, part)
			p.patterns = append(p.patterns, pattern)
		}
	}
	return p, nil
}

// endedForGood tells of those who have ended, but for users: they may be blocked for a while.
func (p *Provider) endedForGood(ctx context.Context, subject string) error {
	_, err := p.env.User(ctx, subject)
	if errors.Is(err, directory.ErrNotFound) {
		return p.options.OnDeleted(ctx, subject)
	}
	return err
}

// Note writes to the audit log, in the unit of work of ctx, what another part of the app has done to somebody.
func (p *Provider) Note(ctx context.Context, kind, subject, detail string) error {
	return p.env.Audit(ctx, directory.Itself.Entry(kind, subject, detail))
}

// Patterns are the patterns of http.ServeMux under which the provider is served.
func (p *Provider) Patterns() []string { return p.patterns }

// Hosts are the names, with port, under which the provider answers: that of the issuer, and on this machine
// the loopback addresses as well.
func (p *Provider) Hosts() []string { return p.hosts }

// ServeHTTP implements http.Handler. It answers requests for Hosts alone.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(p.hosts, r.Host) {
		http.Error(w, "This server does not answer to the host of the request.", http.StatusMisdirectedRequest)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// Administration is the management API for the operator of the machine, who has every right, and beside it what
// the command applies, exports and examines. It must not be served where others reach it.
func (p *Provider) Administration() http.Handler { return p.admin }

// hostsOf returns the names of an issuer.
func hostsOf(issuer *url.URL) []string {
	if issuer.Hostname() != "localhost" {
		return []string{issuer.Host}
	}
	var hosts []string
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		host := net.JoinHostPort(name, issuer.Port())
		hosts = append(hosts, strings.TrimSuffix(host, ":")) // without a port it is that of the scheme
	}
	return hosts
}

// Issuer is the issuer of the tokens.
func (p *Provider) Issuer() string { return p.options.Issuer }

// LoginClient returns the credentials of the app's own sign-in.
func (p *Provider) LoginClient() (id, secret string) { return loginClient, p.loginSecret() }

// maintainEvery is the time between two looks at what is due: keys to rotate, leftovers.
const maintainEvery = 5 * time.Minute

// Start makes what is there from the start, and keeps it in order until Stop.
func (p *Provider) Start(ctx context.Context) error {
	if err := p.seed(ctx); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	ctx, p.cancel = context.WithCancel(ctx)
	p.done.Go(func() { p.maintain(ctx) })
	return nil
}

// Stop ends its work in the background.
func (p *Provider) Stop(context.Context) error {
	if p.cancel != nil {
		p.cancel()
	}
	p.done.Wait()
	return p.people.Close()
}

// Idle returns at once: what is due is no work that anybody waits for.
func (p *Provider) Idle(context.Context) error { return nil }

func (p *Provider) maintain(ctx context.Context) {
	for {
		if err := p.env.Maintain(ctx); err != nil && ctx.Err() == nil {
			p.options.Log.Error("identity could not be maintained", "error", err)
		}
		t := p.options.Clock.NewTimer(maintainEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C():
		}
	}
}
