package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/gateway/internal/load"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// ErrConfiguration says that the declarations have errors; the message has all of them, with file and line.
var ErrConfiguration = errors.New("gateway: the configuration has errors")

// AppHost is the host of services that are the app in the same process: requests reach its functions without a network hop, with
// the principal that a plugin has found in their context.
const AppHost = balance.AppHost

// Options are what an app lends its gateway.
type Options struct {
	// Config is filled by WithDefaults and valid.
	Config
	// App answers the requests to AppHost; nil if there is no app.
	App http.Handler
	// Fallback is the certificate for names that no certificate of the files is for, unless CertFile has it; it may be nil.
	Fallback func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Listeners are those of Listen, and ListenersTLS those of ListenTLS. The gateway closes them.
	Listeners, ListenersTLS []net.Listener
	// Secrets reports whether who asks the Admin API may see credentials; nil: nobody may.
	Secrets func(*http.Request) bool
	// Traces makes the spans of requests; nil makes none.
	Traces trace.TracerProvider
	// Clock is the app's time.
	Clock clock.Clock
	// Log gets what an operator should know.
	Log *slog.Logger
	// Fail is told that the gateway cannot go on.
	Fail func(error)
}

// Gateway proxies requests as files say.
type Gateway struct {
	options  Options
	registry *plugin.Registry
	state    *plugin.State
	servers  *balance.Set
	secure   *certs.Source
	server   *proxy.Server
	watcher  *load.Watcher
	recent   *observe.Recent    // nil if nothing is kept
	access   *observe.AccessLog // nil if none is written
	traces   *observe.Traces    // nil if no spans are made
	tlsPort  string

	kong, answers, admin http.Handler

	current atomic.Pointer[configuration]
	reload  sync.Mutex // one at a time
	status  status

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New reads the files and makes the gateway, which serves nothing before Start. The error is ErrConfiguration if there are mistakes
// in the files.
func New(o Options) (*Gateway, error) {
	if o.CertFile != "" {
		get, err := certs.FileCertificate(o.CertFile, o.KeyFile, o.Clock, o.Log)
		if err != nil {
			return nil, fmt.Errorf("Gateway.CertFile, Gateway.KeyFile: %w", err)
		}
		o.Fallback = get
	}
	access, err := observe.NewAccessLog(observe.AccessLogOptions{To: o.AccessLog, Clock: o.Clock, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("Gateway.AccessLog: %w", err)
	}
	g := assemble(o, access)
	if err := g.begin(); err != nil {
		return nil, errors.Join(err, g.release(context.Background()))
	}
	return g, nil
}

// assemble makes a gateway without a configuration.
func assemble(o Options, access *observe.AccessLog) *Gateway {
	g := &Gateway{options: o, access: access, registry: registry(o.Plugins), state: plugin.NewState(), secure: certs.New(nil)}
	if len(o.ListenersTLS) > 0 {
		_, g.tlsPort, _ = net.SplitHostPort(o.ListenersTLS[0].Addr().String()) // it has one
	}
	headers := proxy.KongHeaders
	if o.NoHeaders {
		headers = proxy.Headers{}
	}
	trusted, _ := o.trusted() // Validate has said what is wrong
	server := proxy.Options{Headers: headers, Trusted: trusted, MaxConns: o.MaxConnections, Log: o.Log, Clock: o.Clock}
	if access != nil {
		server.Refused = access.Refused
	}
	if o.Traces != nil {
		if g.traces = observe.NewTraces(o.Traces); g.traces != nil {
			server.Attempts = g.traces
		}
	}
	g.server = proxy.NewServer(proxy.HandlerFunc(proxy.NotFound), server)
	if o.RecentRequests > 0 {
		g.recent = observe.NewRecent(observe.RecentOptions{For: o.RecentRequests, Setting: settingOf, Clock: o.Clock})
	}
	g.servers = balance.New(balance.Options{
		Sweeper: g.server.Sweeper(), Clock: o.Clock, Log: o.Log, App: asPrincipal(o.App), TLSVerify: !o.TrustUpstreams,
	})
	g.watcher = &load.Watcher{
		Source: load.Source{Paths: o.Files, Schemas: g.registry}, Clock: o.Clock,
		Changed: g.changed, Failed: g.failed,
	}
	g.openAdministration()
	return g
}

// begin reads the files for the first time.
func (g *Gateway) begin() error {
	result := g.watcher.Begin()
	made, problems := g.prepare(result)
	if made == nil {
		return &configurationError{problems}
	}
	g.use(made, result, problems)
	g.warn(problems)
	return nil
}

// Start begins to serve.
func (g *Gateway) Start(ctx context.Context) error {
	ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	g.servers.Start(ctx)
	if g.access != nil {
		g.access.Start()
	}
	g.running.Go(func() { g.watcher.Run(ctx) })
	for _, l := range g.options.Listeners {
		g.serve(l, nil)
	}
	for _, l := range g.options.ListenersTLS {
		g.serve(l, g.secure.Config())
	}
	return nil
}

// serve accepts connections until the gateway stops.
func (g *Gateway) serve(l net.Listener, config *tls.Config) {
	g.running.Go(func() {
		if err := g.server.Serve(l, config); !errors.Is(err, net.ErrClosed) {
			g.options.Fail(fmt.Errorf("gateway: serve %s: %w", l.Addr(), err))
		}
	})
}

// Stop lets the requests that have begun end, until ctx is done.
func (g *Gateway) Stop(ctx context.Context) error {
	if g.cancel == nil { // it was never started, and the server does not know them
		for _, l := range slices.Concat(g.options.Listeners, g.options.ListenersTLS) {
			_ = l.Close() // nothing to be done about it
		}
	} else {
		g.cancel()
	}
	return g.release(ctx)
}

// release ends all but the listeners.
func (g *Gateway) release(ctx context.Context) error {
	err := g.server.Shutdown(ctx)
	g.servers.Stop(ctx)
	g.running.Wait()
	if err != nil {
		err = fmt.Errorf("gateway: requests still ran: %w", err)
	}
	if g.access != nil {
		err = errors.Join(err, g.access.Stop(ctx))
	}
	return err
}

// Idle implements what an app asks of its parts: a gateway does nothing by itself.
func (g *Gateway) Idle(context.Context) error { return nil }

// now is the app's time.
func (g *Gateway) now() time.Time { return g.options.Clock.Now() }
