package perdure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/networks"
)

// The bounds of the HTTP server.
const (
	// readHeaderTimeout bounds how long a client may take to send the headers.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout ends connections that are kept but not used.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes bounds the headers of a request.
	maxHeaderBytes = 64 << 10
)

// listen opens the port, if there is anything to serve on it.
func (r *running) listen(p *parts) (err error) {
	address := r.config.Listen
	if address == noListener || len(p.functions)+len(p.handlers) == 0 {
		return nil
	}
	r.listener, err = listen(address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("perdure: another program listens on %s: stop it, or listen elsewhere (Config.Listen, %s): %w", address, listenEnv, err)
	}
	if err != nil {
		return fmt.Errorf("perdure: listen on %s: %w", address, err)
	}
	return nil
}

// openHTTP makes the root handler.
func (r *running) openHTTP(p *parts) (err error) {
	c := r.config
	hosts := c.Hosts
	if r.listener != nil {
		local, err := httpapi.LocalHosts(r.listener.Addr().String())
		switch {
		case err == nil:
			hosts = append(local, hosts...)
		case len(hosts) == 0: // of all interfaces
			return fmt.Errorf("%w: Listen: %w", ErrConfig, err)
		}
	}
	hosts = append(slices.Clone(hosts), r.gatewayHosts()...)
	if r.provider != nil && r.identityServer == nil {
		hosts = append(slices.Clone(hosts), r.provider.Hosts()...)
	}
	if u, err := url.Parse(c.Origin); err == nil && u.Host != "" {
		hosts = append(slices.Clone(hosts), u.Host)
	}
	mux := http.NewServeMux()
	closing, end := context.WithCancel(context.Background())
	r.endless = append(r.endless, end)
	config := r.httpConfig()
	config.Env, config.Committer = r.env, r.committer
	config.Bindings = binding.Env{Resources: p.resources, Injectors: r.uploadInjectors(), Secret: r.bindSecret}
	config.Attempts, config.Clock, config.Closing = unitAttempts, r.clock, closing
	err = httpapi.Register(mux, *config, append(slices.Clone(p.functions), r.uploads(p.resources))...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, h := range p.handlers {
		gate := httpapi.NewGate(config, h.pattern, h.requires.Policy(c.Policy))
		if err := handle(mux, h.pattern, gate.Handler(h.handler)); err != nil {
			return fmt.Errorf("%w: Handle %q: %w", ErrConfig, h.pattern, err)
		}
	}
	own := map[string]http.Handler{
		"GET /healthz":          http.HandlerFunc(r.health),
		"GET " + signedurl.Path: r.links(),
	}
	switch {
	case r.observer.metrics == nil:
	case r.openMetrics():
		own["GET "+metricsPath] = r.observer.metrics
	case r.guard != nil:
		own["GET "+metricsPath] = r.guard(r.observer.metrics)
	}
	if r.control != nil {
		addMethods(own, control.Prefix, r.control)
	}
	access := r.access()
	for pattern, h := range access {
		if err := handle(mux, pattern, h); err != nil {
			return fmt.Errorf("%w: signing in needs the path %s: give what else has it another, or the provider a port of its own (Identity.Listen): %w", ErrConfig, pattern, err)
		}
	}
	for pattern, h := range own {
		if err := handle(mux, pattern, h); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	r.handler = changedLinks(mux, httpapi.Problems(mux))
	if len(hosts) == 0 { // no functions and no listener: nobody is let in
		hosts = []string{"localhost"}
	}
	r.handler, err = httpapi.Guard{
		Hosts: hosts, TrustedOrigins: c.TrustedOrigins,
		// Programs of other sites get their tokens there; the handlers guard themselves.
		Foreign: func(req *http.Request) bool {
			_, pattern := mux.Handler(req)
			return access[pattern] != nil
		},
	}.Handler(r.handler)
	if err != nil {
		return fmt.Errorf("%w: Hosts, TrustedOrigins: %w", ErrConfig, err)
	}
	trusted, err := networks.Trusted("TrustedProxies", c.TrustedProxies)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r.handler = httpapi.Pace(proxies(trusted).handler(r.handler))
	return nil
}

// httpConfig returns what all that requests come in by has in common.
func (r *running) httpConfig() *httpapi.Config {
	c := r.config
	config := &httpapi.Config{
		Title: c.Title, Version: c.Version, Auth: r.authenticator(), Policy: c.Policy,
		Log: c.Logger, Telemetry: r.observer.Telemetry,
	}
	if r.login != nil {
		config.Challenge = r.login.Challenge
	}
	if r.provider != nil {
		config.OpenIDConfiguration = r.provider.Issuer() + ".well-known/openid-configuration"
	}
	return config
}

// openMetrics reports whether the metrics are shown to whoever asks: where only this
// machine can, and nothing is known of who does.
func (r *running) openMetrics() bool {
	return !r.config.authenticates() && !r.config.reachable()
}

// addMethods adds what answers all methods of a path. A pattern without a method would
// conflict with an app's "GET /".
func addMethods(patterns map[string]http.Handler, path string, h http.Handler) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		patterns[method+" "+path] = h
	}
}

// changedLinks answers 403 to a signed link whose path was changed so far that nothing
// is served there: like every other change, it is one that the signature does not cover.
func changedLinks(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		linked := req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodPut
		if _, pattern := mux.Handler(req); pattern == "" && linked && signedurl.Looks(req.URL.RawQuery) {
			NewProblem(http.StatusForbidden, "the link is not valid").Write(w)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// handle is mux.Handle with an error instead of a panic.
func handle(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// health answers 200 while the app can do its work.
func (r *running) health(w http.ResponseWriter, _ *http.Request) {
	if err := errors.Join(r.cause(), r.engine.Err()); err != nil {
		NewProblem(http.StatusServiceUnavailable, "the app cannot go on").Write(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the caller left: nobody to tell
}

// serve answers requests in the background.
func (r *running) serve() {
	r.serving.Store(true)
	if r.listener == nil {
		return
	}
	r.server = &http.Server{
		Handler:           r.handler,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(r.config.Logger.Handler(), slog.LevelWarn),
	}
	for _, l := range each(r.listener) {
		r.background.Go(func() {
			if err := r.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				r.fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
			}
		})
	}
	r.config.Logger.Info("perdure is ready", "url", "http://"+r.listener.Addr().String(), "data", r.config.Data)
}
