package vault

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/certificates"
	"github.com/perdure/perdure/vault/internal/guard"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rest"
	"github.com/perdure/perdure/vault/internal/rights"
	"github.com/perdure/perdure/vault/internal/secrets"
)

// Options are what an app lends its vault.
type Options struct {
	// Config is filled by WithDefaults and valid.
	Config
	// Unit runs fn in a unit of work of the app.
	Unit func(ctx context.Context, fn func(ctx context.Context) error) error
	// OnCommit runs f when the unit of ctx has committed.
	OnCommit func(ctx context.Context, f func())
	// Clock is the app's time.
	Clock clock.Clock
	// Keys seals what must not be readable at rest.
	Keys interface {
		Seal(purpose string, plain []byte) ([]byte, error)
		Open(purpose string, sealed []byte) ([]byte, error)
	}
	// Log gets what an operator should know.
	Log *slog.Logger
	// Issuer is that of the app's own provider, and Directory what it knows; empty and nil without one.
	Issuer    string
	Directory Directory
	// Authenticator finds out who sends requests to the REST interface, by a token for Resource. Nil without the interface.
	Authenticator auth.Authenticator
	// Port is the port of the REST interface, as clients reach it.
	Port string
	// Self is the app itself.
	Self func(ctx context.Context) (*auth.Principal, error)
	// Expiring publishes a warning in the unit of ctx. Nil when nobody wants to hear of them.
	Expiring func(ctx context.Context, e Expiring) error
}

// Vault is the vaults of one app. It is an http.Handler, the REST interface.
type Vault struct {
	options      Options
	env          *model.Env
	items        *items.Store
	secrets      *secrets.Service
	keys         *keys.Service
	certificates *certificates.Service
	rights       *rights.Rights
	audit        *audit.Log
	values       *values
	rest         http.Handler
	admin        http.Handler

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// New returns the vault, which reads and writes nothing before Start.
func New(o Options) (*Vault, error) {
	v := &Vault{options: o}
	v.env = &model.Env{
		Unit: o.Unit, Seal: o.Keys, OnCommit: o.OnCommit,
		Now: func() time.Time { return o.Clock.Now().UTC() },
	}
	v.values = newValues(v.env.Now, v.readAsSelf)
	v.items = items.New(v.env, items.Options{
		RecoverableDays: v.recoverableDays, PurgeProtected: v.purgeProtected, ReuseDeleted: v.reuseDeleted, Changed: v.changed,
	})
	v.rights = rights.New(v.env, rights.Options{Issuer: o.Issuer, Directory: v.members()})
	v.audit = audit.New(v.env, audit.Options{
		Issuer: o.Issuer, Every: o.Audit.Every, Retention: o.Audit.Retention, Sinks: v.sinks(), Clock: o.Clock, Log: o.Log,
	})
	g := guard.New(v.env, v.rights, v.audit)
	v.secrets = secrets.New(v.env, v.items, g)
	v.keys = keys.New(v.env, v.items, g, keys.Options{Notify: v.noticeKey})
	v.certificates = certificates.New(v.env, v.items, v.keys, g, certificates.Options{CRLURL: v.crlURL(), Notify: v.noticeCertificate})
	v.rest = rest.New(rest.Options{
		Secrets: v.secrets, Keys: v.keys, Certificates: v.certificates, Authenticator: o.Authenticator,
		Challenge: v.challenge, VaultOf: v.vaultOf, RecoverableDays: v.recoverableDays, PurgeProtected: v.purgeProtected, Log: o.Log,
	})
	v.admin = v.administration()
	return v, nil
}

// ServeHTTP serves the REST interface.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) { v.rest.ServeHTTP(w, r) }

// Administration serves what the operator of the machine can do: everything, and what the REST interface has no place for.
func (v *Vault) Administration() http.Handler { return v.admin }

// Resource is the audience of the tokens that the REST interface takes.
func (v *Vault) Resource() string { return v.options.Resource(v.options.Port) }

// changed forgets what is remembered of an item.
func (v *Vault) changed(id model.ID) {
	v.values.changed(id)
	v.keys.Forget(id)
}

func (v *Vault) recoverableDays(name string) int {
	if s := v.options.settings(name); s != nil {
		return s.RecoverableDays
	}
	return defaultRecoverableDays
}

func (v *Vault) purgeProtected(name string) bool {
	s := v.options.settings(name)
	return s != nil && s.PurgeProtection
}

func (v *Vault) reuseDeleted(name string) bool {
	s := v.options.settings(name)
	return s != nil && s.ReuseDeleted
}

// sinks are where the heads of the audit log go.
func (v *Vault) sinks() []audit.Sink {
	all := []audit.Sink{&audit.Logger{Log: v.options.Log}}
	if v.options.Audit.File != "" {
		all = append(all, &audit.File{Path: v.options.Audit.File})
	}
	if v.options.Audit.Webhook != "" {
		all = append(all, &audit.Webhook{URL: v.options.Audit.Webhook})
	}
	return all
}

// Start makes what is there from the start and begins to look for what is due.
func (v *Vault) Start(ctx context.Context) error {
	if err := v.audit.Start(ctx); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := v.seed(ctx); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	ctx, v.cancel = context.WithCancel(context.WithoutCancel(ctx))
	v.done.Go(func() { v.maintain(ctx) })
	return nil
}

// Stop ends its work in the background, and sends the last head of the audit log.
func (v *Vault) Stop(ctx context.Context) error {
	if v.cancel == nil {
		return nil
	}
	v.cancel()
	v.done.Wait()
	return v.audit.Stop(ctx)
}

// Idle returns at once: what is due is no work that anybody waits for.
func (v *Vault) Idle(context.Context) error { return nil }

// readAsSelf reads a secret as the app.
func (v *Vault) readAsSelf(ctx context.Context, id model.ID) (*model.Secret, error) {
	by, err := v.self(ctx)
	if err != nil {
		return nil, err
	}
	return v.secrets.Get(ctx, by, id)
}

func (v *Vault) self(ctx context.Context) (model.Caller, error) {
	who, err := v.options.Self(ctx)
	return model.Caller{Principal: who, Agent: "perdure"}, err
}
