package perdure

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/mail"
	"github.com/perdure/perdure/pgidentity/authority"
)

// openAccess makes what finds out who sends requests, unless the configuration brings it: the app's own
// provider, or the sign-in at another issuer.
func (r *running) openAccess(ctx context.Context, p *parts) error {
	if r.config.seals() {
		if err := r.openKeys(ctx); err != nil {
			return err
		}
	}
	var err error
	switch {
	case r.config.Identity != nil:
		err = r.openIdentity(p)
	case r.config.Login != nil:
		err = r.openForeignLogin()
	}
	if err != nil {
		return err
	}
	if err := r.openVault(p); err != nil {
		return err
	}
	// First, and stopped last: what else works may need a token or a secret.
	if r.vault != nil {
		r.services = append([]service{r.vault}, r.services...)
	}
	if r.provider != nil {
		r.services = append([]service{r.provider}, r.services...)
	}
	return r.openDatabases()
}

// identityMails is the queue of the mails that the provider sends, unless it was given an outbox.
const identityMails = "perdure-identity-mails"

// addIdentityMails lets the provider's mails leave after the commit of what caused them: somebody who asks
// must not see by the time it takes whether there is such an account.
func (r *running) addIdentityMails(p *parts) {
	if r.config.Identity == nil || r.config.Identity.Mail == nil {
		return
	}
	if _, ok := r.config.Identity.Mail.(*mail.Outbox); ok {
		return
	}
	outbox := mail.NewOutbox(identityMails)
	c := *r.config.Identity
	p.add(OnQueue(outbox.Queue(), outbox.Deliver(c.Mail)), nil)
	c.Mail = outbox
	r.config.Identity = &c
}

// openIdentity makes the app's own provider.
func (r *running) openIdentity(p *parts) (err error) {
	c := r.config.Identity.WithDefaults(r.config.Title)
	if err := r.listenIdentity(c); err != nil {
		return err
	}
	if c.Issuer == "" {
		if c.Issuer, err = r.issuer(c); err != nil {
			return err
		}
	}
	o := identity.Options{
		Config: c, Unit: r.inUnit, Clock: r.clock, Keys: r.keys, Log: r.config.Logger, Data: r.config.Data,
		Permissions: p.permissions(r.config), OnDeleted: r.memberDeleted,
	}
	if o.WorkloadEndpoint, err = r.listenWorkloads(); err != nil {
		return err
	}
	origin := r.origin()
	signIn := !c.NoLogin && origin != ""
	if signIn {
		o.Callback, o.AfterLogout = origin+"/login/callback", origin+"/"
	}
	if r.provider, err = identity.New(o); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if r.identityServer != nil {
		r.identityServer.handler = r.provider
		r.services = append(r.services, r.identityServer)
	}
	verifier, err := r.provider.Verifier(c.API.Identifier)
	if err != nil {
		return err
	}
	if signIn {
		id, secret := r.provider.LoginClient()
		err = r.openLogin(login.Config{
			Issuer: c.Issuer, ClientID: id, ClientSecret: secret, Audience: c.API.Identifier, Verifier: verifier,
			HTTPClient: &http.Client{Transport: handlerTransport{r.provider}},
		})
		if err != nil {
			return err
		}
	}
	if r.config.Auth == nil {
		r.config.Auth = verifier
		if signIn {
			r.config.Auth = auth.First(verifier, r.provider.Unrevoked(r.login))
		}
	}
	return nil
}

// memberDeleted takes the rights away, in the unit of ctx, of somebody who was deleted.
func (r *running) memberDeleted(ctx context.Context, subject string) error {
	onCommit(ctx, func() {
		r.background.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), sweepDatabases)
			defer cancel()
			if err := r.databases.RevokeIdentity(ctx, subject); err != nil {
				r.config.Logger.Warn("somebody who was deleted has still roles on a database server, and no certificate for them", "subject", subject, "error", err)
			}
		})
	})
	if r.vault == nil {
		return nil
	}
	return r.vault.Forget(ctx, subject)
}

// inUnit runs fn in a unit of work.
func (r *running) inUnit(ctx context.Context, fn func(ctx context.Context) error) error {
	return unit.Run(ctx, r.env, r.committer, unitAttempts, fn)
}

// origin is where browsers find the app; empty if it does not listen and has no host.
func (r *running) origin() string {
	if r.config.Origin != "" {
		return r.config.Origin
	}
	if r.listener == nil || r.config.exposed() {
		return ""
	}
	// A name: browsers keep passkeys and cookies for names, and the page and the provider must agree.
	_, port, err := net.SplitHostPort(r.listener.Addr().String())
	if err != nil {
		return ""
	}
	return "http://" + net.JoinHostPort(localhost, port)
}

// issuer is the URL of the provider when the configuration does not say.
func (r *running) issuer(c identity.Config) (string, error) {
	if r.identityServer != nil {
		return "https://" + net.JoinHostPort(localhost, r.identityServer.port()) + "/", nil
	}
	if origin := r.origin(); origin != "" {
		return origin + "/", nil
	}
	return "", fmt.Errorf("%w: Identity.Issuer is empty, and the app does not listen on a loopback address: say at which URL the provider is reached", ErrConfig)
}

// listenIdentity opens the provider's own port, if it has one.
func (r *running) listenIdentity(c identity.Config) (err error) {
	if c.Listen == "" {
		return nil
	}
	if r.identityServer, err = r.listenTLS("provider", "Identity.Listen", c.Listen); err != nil {
		return err
	}
	return r.identityServer.secure("Identity", c.CertFile, c.KeyFile)
}

// access are the handlers by which people sign in and programs get tokens, by pattern.
func (r *running) access() map[string]http.Handler {
	all := map[string]http.Handler{}
	if r.provider != nil && r.identityServer == nil {
		for _, path := range r.provider.Patterns() {
			addMethods(all, path, r.provider)
		}
	}
	if r.provider != nil {
		all["GET "+identity.TokenPath] = r.provider.WorkloadTokens()
		all["POST "+authority.PathCertificate] = r.databases.Certificates()
	}
	if r.login != nil {
		for _, pattern := range r.login.Patterns() {
			all[pattern] = r.login
		}
	}
	return all
}

// administration serves, on the socket in the data folder, the management of the provider and the vault as well: who
// can reach it has every right.
func (r *running) administration(next http.Handler) http.Handler {
	parts := map[string]http.Handler{
		"identity": http.HandlerFunc(noProvider), "databases": http.HandlerFunc(noProvider), "vault": r.vaultAdministration(),
		"gateway": r.gatewayAdministration(),
	}
	if r.provider != nil {
		parts["identity"], parts["databases"] = r.provider.Administration(), r.databases.Administration()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, control.Prefix), "/")
		if admin := parts[name]; admin != nil {
			http.StripPrefix(control.Prefix+name, admin).ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// noProvider answers who wants to administer a provider that is not there.
func noProvider(w http.ResponseWriter, _ *http.Request) {
	problem.New(http.StatusNotFound, "the app has no provider of its own: it knows no users or applications (Config.Identity is nil)").Write(w)
}
