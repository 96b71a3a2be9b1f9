package perdure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault"
)

// vaultTopic is what warnings of items that end are published as.
const vaultTopic = "vault/expiring"

// openVault makes the vault, if the app has one.
func (r *running) openVault(p *parts) (err error) {
	if r.config.Vault == nil {
		return nil
	}
	o := vault.Options{
		Config: r.config.Vault.WithDefaults(), Unit: r.inUnit, OnCommit: onCommit, Clock: r.clock, Keys: r.keys, Log: r.config.Logger,
		Self: r.self,
	}
	if p.hearsOfExpiry() {
		o.Expiring = r.publishExpiry
	}
	if r.provider != nil {
		o.Issuer, o.Directory = r.provider.Issuer(), vaultDirectory{r.provider}
	}
	if o.Listen != "" {
		if r.vaultServer, err = r.listenTLS("vault", "Vault.Listen", o.Listen); err != nil {
			return err
		}
		o.Port = r.vaultServer.port()
		if o.Authenticator, err = r.provider.Verifier(o.Resource(o.Port)); err != nil {
			return err
		}
	}
	if r.vault, err = vault.New(o); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r.env.Secret = r.secret
	if r.vaultServer == nil {
		return nil
	}
	r.vaultServer.handler = r.vaultHandler()
	r.services = append(r.services, r.vaultServer)
	return r.vaultServer.secure("Vault", o.CertFile, o.KeyFile, r.vault.Names()...)
}

// vaultHandler serves the vault, and where its clients get tokens: they insist on https, which the provider's own port may
// not have.
func (r *running) vaultHandler() http.Handler {
	tenant := r.provider.Tenant()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, identity.TenantPath) {
			tenant.ServeHTTP(w, req)
			return
		}
		r.vault.ServeHTTP(w, req)
	})
}

// vaultAdministration is what the operator of the machine can do with the vault and the key that opens it.
func (r *running) vaultAdministration() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /master", r.showMaster)
	mux.HandleFunc("POST /master/rotations", r.changeMaster)
	mux.HandleFunc("POST /master/offers", r.changeMaster)
	if r.vault == nil {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			problem.New(http.StatusNotFound, "the app has no vault (Config.Vault is nil)").Write(w)
		})
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, pattern := mux.Handler(req); pattern != "" {
			mux.ServeHTTP(w, req)
			return
		}
		r.vault.Administration().ServeHTTP(w, req)
	})
}

// onCommit runs f when the unit of ctx has committed.
func onCommit(ctx context.Context, f func()) {
	if u, err := unit.From(ctx); err == nil {
		u.OnCommit(f)
	}
}

// self is the app as the vault sees it: its managed identity, if it has one.
func (r *running) self(ctx context.Context) (*auth.Principal, error) {
	if r.provider == nil {
		return &auth.Principal{Subject: selfSubject, Name: r.config.Title}, nil
	}
	return r.provider.Self(ctx)
}

// selfSubject is the app that has no provider.
const selfSubject = "self"

// secret reads a secret by its reference, with the rights of the app.
func (r *running) secret(ctx context.Context, text string) (string, error) {
	ref, ok, err := vault.ParseRef(text)
	if err == nil && !ok {
		err = vault.ErrInvalid
	}
	if err != nil {
		return "", err
	}
	if r.vault == nil {
		return "", vault.ErrNoVault
	}
	return r.vault.Client().Value(ctx, ref)
}

// secretRef reads a reference to a secret; ok is false for a text that is none.
func (c Config) secretRef(text string) (ref vault.Ref, ok bool, err error) {
	ref, ok, err = vault.ParseRef(text)
	if ok && err == nil && c.Vault == nil {
		err = errors.New("the app has no vault: set Config.Vault")
	}
	return ref, ok, err
}

// bindSecret lets the tag of a field name a secret.
func (r *running) bindSecret(tag string) (read func(context.Context) (string, error), ok bool, err error) {
	ref, ok, err := r.config.secretRef(tag)
	if err != nil || !ok {
		return nil, ok, err
	}
	return func(ctx context.Context) (string, error) { return r.vault.Client().Value(ctx, ref) }, true, nil
}

// Vault is the app's vault as the app itself uses it: with the rights that its managed identity was given. It is nil while the
// app does not run, and for an app without Config.Vault.
func (a *App) Vault() *vault.Client {
	if r := a.running.Load(); r != nil && r.vault != nil {
		return r.vault.Client()
	}
	return nil
}

// vaultDirectory is the provider as the vault sees it.
type vaultDirectory struct{ p *identity.Provider }

// Member implements vault.Directory.
func (d vaultDirectory) Member(ctx context.Context, spec string) (subject, name string, err error) {
	m, err := d.p.Member(ctx, spec)
	if errors.Is(err, identity.ErrNoMember) {
		err = fmt.Errorf("%w: %w", vault.ErrNotFound, err)
	}
	return m.Subject, m.Name, err
}

// Roles implements vault.Directory.
func (d vaultDirectory) Roles(ctx context.Context, subject string) ([]string, error) {
	return d.p.RolesOf(ctx, subject)
}

// Admit implements vault.Directory.
func (d vaultDirectory) Admit(ctx context.Context, subject, audience string) error {
	return d.p.Admit(ctx, subject, audience)
}

// Publish implements vault.Directory.
func (d vaultDirectory) Publish(ctx context.Context, audience, name string) error {
	return d.p.PublishAPI(ctx, audience, name)
}

// OnExpiring runs fn for each secret, key and certificate of the app's vault that ends soon: 30, 7 and 1 days before. In may take
// the event, a vault.Expiring, by a field tagged body. Expressions may use {item.vault}, {item.kind} and {item.name}.
func OnExpiring[In, Out any](fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	return &expiringFunction{newEventFunction(vaultTopic, fn, opts...)}
}

// expiringFunction is a function that is triggered by warnings of the vault.
type expiringFunction struct{ eventFunction }

func (f *expiringFunction) resources() []resource.Resource { return nil }

func (f *expiringFunction) register(r *running, env binding.Env) error {
	if r.config.Vault == nil {
		return fmt.Errorf("function %s: the app has no vault: set Config.Vault", f.name)
	}
	plan, err := f.compile(env, nil, []string{"item.vault", "item.kind", "item.name"})
	if err != nil {
		return err
	}
	return r.dispatcher.Register(delivery.Function{
		Name: f.name, Topics: []string{vaultTopic}, Policy: f.policy,
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			var e vault.Expiring
			if err := json.Unmarshal(d.Event, &e); err != nil {
				return Permanent(err)
			}
			return plan.handle(ctx, d, nil, map[string]string{"item.vault": e.Vault, "item.kind": e.Kind, "item.name": e.Name})
		},
	})
}

// hearsOfExpiry reports whether anything is triggered by warnings of the vault.
func (p *parts) hearsOfExpiry() bool {
	for _, part := range p.events {
		if _, ok := part.(*expiringFunction); ok {
			return true
		}
	}
	return false
}

// publishExpiry publishes a warning in the unit of ctx.
func (r *running) publishExpiry(ctx context.Context, e vault.Expiring) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	event, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return r.dispatcher.Publish(u, vaultTopic, event)
}
