package perdure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/pgidentity/authority"
)

// gatewayPart is the app's gateway, with what it listens on.
type gatewayPart struct {
	*gateway.Gateway
	r           *running
	config      gateway.Config
	plain, tls  net.Listener // nil where it does not listen
	admin       net.Listener
	server      *http.Server // of the Admin API
	certificate atomic.Pointer[func(*tls.ClientHelloInfo) (*tls.Certificate, error)]
	cancel      context.CancelFunc // of what reads the certificate from the vault
}

// listenGateway opens the gateway's ports.
func (r *running) listenGateway() error {
	if r.config.Gateway == nil {
		return nil
	}
	g := &gatewayPart{r: r, config: *r.config.Gateway}
	r.gateway = g
	for _, l := range []struct {
		to             *net.Listener
		field, address string
	}{{&g.plain, "Gateway.Listen", g.config.Listen}, {&g.tls, "Gateway.ListenTLS", g.config.ListenTLS}, {&g.admin, "Gateway.Admin", g.config.Admin}} {
		if l.address == "" || l.address == gateway.None {
			continue
		}
		opened, err := listen(l.address)
		if err != nil {
			return fmt.Errorf("perdure: listen on %s (%s): %w", l.address, l.field, err)
		}
		*l.to = opened
	}
	return nil
}

// closeListeners closes the ports of a gateway that was never made.
func (g *gatewayPart) closeListeners() error {
	var errs []error
	for _, l := range []net.Listener{g.plain, g.tls, g.admin} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// gatewayHosts are the hosts by which the app is reached through its gateway on this machine.
func (r *running) gatewayHosts() (hosts []string) {
	if r.gateway == nil {
		return nil
	}
	for _, l := range []net.Listener{r.gateway.plain, r.gateway.tls} {
		if l == nil {
			continue
		}
		if local, err := httpapi.LocalHosts(l.Addr().String()); err == nil {
			hosts = append(hosts, local...)
		}
	}
	return hosts
}

// openGateway makes the gateway, in front of the app's own handler.
func (r *running) openGateway(p *parts) (err error) {
	g := r.gateway
	if g == nil {
		return nil
	}
	o := gateway.Options{
		Config: g.config, App: behindGateway(r.handler), Fallback: g.getCertificate, Clock: r.clock, Log: r.config.Logger, Fail: r.fail,
	}
	if len(p.functions)+len(p.handlers) == 0 && r.provider == nil && r.login == nil {
		o.App = nil // so that a service that leads to it is an error
	}
	if g.plain != nil {
		o.Listeners = each(g.plain)
	}
	if g.tls != nil {
		o.ListenersTLS = each(g.tls)
	}
	if r.observer.Traces() {
		o.Traces = r.observer.traces
	}
	if r.control != nil {
		o.Secrets = r.seesSecrets
	}
	if g.admin != nil && r.guard == nil {
		return fmt.Errorf("%w: Gateway.Admin needs the data folder, which has the token that opens it: leave Store out", ErrConfig)
	}
	if err := g.localCertificate(); err != nil {
		return err
	}
	if g.Gateway, err = gateway.New(o); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r.services = append(r.services, g)
	return nil
}

// seesSecrets reports whether somebody who may read what is managed may see credentials as well: with the token of the data folder,
// or the permission to manage.
func (r *running) seesSecrets(req *http.Request) bool {
	if !r.config.authenticates() {
		return true
	}
	return control.Managing().Decide(req.Context(), auth.From(req.Context()), nil).Verdict == auth.Allowed
}

// ownCertificate reports whether the gateway needs a certificate of the local authority: it has none of its own, and only this
// machine can reach it.
func (c Config) ownCertificate() bool {
	g := c.Gateway
	return g != nil && g.ListensTLS() && g.CertFile == "" && g.Certificate == "" && !g.Exposed()
}

// localCertificate has the local authority sign a certificate for this machine's names.
func (g *gatewayPart) localCertificate() error {
	if !g.r.config.ownCertificate() {
		return nil
	}
	ca, err := keystore.OpenCA(g.r.keys)
	if err != nil {
		return fmt.Errorf("perdure: local certificates: %w", err)
	}
	config, err := ca.TLSConfig()
	if err != nil {
		return fmt.Errorf("perdure: local certificates: %w", err)
	}
	g.certificate.Store(&config.GetCertificate)
	g.r.caFile = filepath.Join(g.r.config.Data, keystore.AuthorityCertificate)
	return nil
}

// getCertificate returns the certificate for names that no declaration has one for.
func (g *gatewayPart) getCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if get := g.certificate.Load(); get != nil {
		return (*get)(hello)
	}
	return nil, nil
}

// certificateRetry is the time between attempts to read a certificate that is not in the vault yet.
const certificateRetry = 5 * time.Second

// followCertificate shows the certificate of the vault, each version while it is the current one. It may have to be made first.
func (g *gatewayPart) followCertificate(ctx context.Context) {
	ref, _, _ := g.r.config.secretRef(g.config.Certificate) // it was checked
	said := ""
	for {
		get, stop, err := g.r.vault.Client().GetCertificate(ctx, ref)
		if err == nil {
			g.certificate.Store(&get)
			g.r.config.Logger.Info("the gateway's certificate is that of the vault", "name", g.config.Certificate)
			<-ctx.Done()
			stop()
			return
		}
		if err.Error() != said && ctx.Err() == nil {
			said = err.Error()
			g.r.config.Logger.Error("the gateway has no certificate for names that the files have none for, and tries again: make it by"+
				" perdure vault certificates create, and give the app the role certificate-user", "name", g.config.Certificate, "error", err)
		}
		timer := g.r.clock.NewTimer(certificateRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}

// Start implements service. What the vault has can be read now.
func (g *gatewayPart) Start(ctx context.Context) error {
	if g.config.Certificate != "" {
		ctx, g.cancel = context.WithCancel(ctx)
		g.r.background.Go(func() { g.followCertificate(ctx) })
	}
	if g.admin != nil {
		g.server = &http.Server{
			Handler: g.r.guard(g.AdminAPI()), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
			ErrorLog: slog.NewLogLogger(g.r.config.Logger.Handler(), slog.LevelDebug),
		}
		for _, l := range each(g.admin) {
			g.r.background.Go(func() {
				if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					g.r.fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
				}
			})
		}
	}
	if err := g.Gateway.Start(ctx); err != nil {
		return err
	}
	args := []any{"files", strings.Join(g.config.Files, " ")}
	if g.plain != nil {
		args = append(args, "url", "http://"+g.plain.Addr().String())
	}
	if g.tls != nil {
		args = append(args, "tls", "https://"+g.tls.Addr().String())
	}
	g.r.config.Logger.Info("the gateway is ready", args...)
	return nil
}

// Stop implements service.
func (g *gatewayPart) Stop(ctx context.Context) error {
	errs := []error{g.Gateway.Stop(ctx)}
	if g.server != nil {
		errs = append(errs, g.server.Shutdown(ctx))
	} else if g.admin != nil {
		errs = append(errs, g.admin.Close())
	}
	if g.cancel != nil {
		g.cancel()
	}
	return errors.Join(errs...)
}

// notThroughGateway are the paths that only this machine's own programs ask for, on the app's own port.
var notThroughGateway = []string{identity.TokenPath, authority.PathCertificate, metricsPath}

// behindGateway is the app as its gateway asks it: without what manages it.
func behindGateway(app http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, control.Prefix) || slices.Contains(notThroughGateway, req.URL.Path) {
			problem.New(http.StatusNotFound, "nothing is here").Write(w)
			return
		}
		app.ServeHTTP(w, req)
	})
}

// validateGateway names what is wrong with the gateway's settings.
func (c Config) validateGateway() error {
	if c.Gateway == nil {
		return nil
	}
	errs := []error{c.Gateway.Validate()}
	if c.Gateway.Certificate != "" {
		if _, _, err := c.secretRef(c.Gateway.Certificate); err != nil {
			errs = append(errs, fmt.Errorf("Gateway.Certificate: %w", err))
		}
	}
	return errors.Join(errs...)
}

// exposedAddress is the setting by which others than this machine reach the app, and what it is.
func (c Config) exposedAddress() string {
	if c.exposed() {
		return fmt.Sprintf("Listen %q", c.Listen)
	}
	return fmt.Sprintf("Gateway.Listen %q or Gateway.ListenTLS %q", c.Gateway.Listen, c.Gateway.ListenTLS)
}

// authenticator finds out who sends requests. Those that the gateway hands over have been asked already, but what the app's own
// provider says, the app verifies itself: it knows what was revoked, and which tokens are for it.
func (r *running) authenticator() auth.Authenticator {
	own := r.config.Auth
	if r.config.Gateway == nil {
		return own
	}
	handedOver := auth.AuthenticatorFunc(func(req *http.Request) (*auth.Principal, error) {
		who := gateway.Principal(req.Context())
		if who != nil && r.provider != nil && who.Issuer == r.provider.Issuer() {
			return nil, nil
		}
		return who, nil
	})
	if own == nil {
		return handedOver
	}
	return auth.First(handedOver, own)
}

// withGateway serves the gateway's answers beside what manages the app.
func (r *running) withGateway(next http.Handler) http.Handler {
	if r.config.Gateway == nil {
		return next
	}
	const prefix = control.Prefix + "gateway"
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, prefix+"/") {
			http.StripPrefix(prefix, r.gateway.Answers()).ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// gatewayAdministration is what the operator of the machine can ask the gateway.
func (r *running) gatewayAdministration() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.gateway == nil {
			problem.New(http.StatusNotFound, "the app has no gateway (Config.Gateway is nil)").Write(w)
			return
		}
		r.gateway.Administration().ServeHTTP(w, req)
	})
}

// GatewayAddr returns the address that the app's gateway listens on for HTTP, and for HTTPS; empty while it does not.
func (a *App) GatewayAddr() (plain, secure string) {
	r := a.running.Load()
	if r == nil || r.gateway == nil {
		return "", ""
	}
	if r.gateway.plain != nil {
		plain = r.gateway.plain.Addr().String()
	}
	if r.gateway.tls != nil {
		secure = r.gateway.tls.Addr().String()
	}
	return plain, secure
}

// GatewayAdminAddr returns the address of the gateway's Admin API; empty while it has none of its own.
func (a *App) GatewayAdminAddr() string {
	if r := a.running.Load(); r != nil && r.gateway != nil && r.gateway.admin != nil {
		return r.gateway.admin.Addr().String()
	}
	return ""
}
