package balance

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// AppHost is the host of services that the app in this process answers, without a connection. The protocol is http,
// and the port does not matter. A target may have it too.
const AppHost = "app.perdure.internal"

// Options say how servers are spoken to.
type Options struct {
	// Sweeper keeps the timeouts of connections.
	Sweeper *h1.Sweeper
	// Clock is the time; nil is the system's.
	Clock clock.Clock
	// Log is told of targets that become unhealthy, and of those that are healthy again; nil is nobody.
	Log *slog.Logger
	// App answers at AppHost; nil is no app.
	App http.Handler
	// Limits bound responses.
	Limits h1.Limits
	// Dial opens connections; nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs verify servers of services without ca_certificates; nil is the system's.
	RootCAs *x509.CertPool
	// TLSVerify says whether servers of services without tls_verify are verified. Kong's default is not to.
	TLSVerify bool
}

// Set has the servers of a gateway: connections and health, which outlive configurations. It is safe for
// concurrent use.
type Set struct {
	o Options

	mu        sync.Mutex
	endpoints map[description]*proxy.Endpoint
	pools     map[string]*pool
	targets   map[targetKey]*target
	current   *Plan
	checkers  map[string]*checker
	checking  context.Context // between Start and Stop
	end       context.CancelFunc
	running   sync.WaitGroup // the checkers
	stopped   bool
}

// targetKey is by what a target is found again after a reload: the name of its upstream, and its address.
type targetKey struct{ upstream, address string }

// New returns a set without servers.
func New(o Options) *Set {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return &Set{
		o: o, endpoints: map[description]*proxy.Endpoint{}, pools: map[string]*pool{},
		targets: map[targetKey]*target{}, checkers: map[string]*checker{},
	}
}

// Start begins active checks, those of later plans as well. They go on until Stop, whatever becomes of ctx.
func (s *Set) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checking != nil || s.stopped {
		return
	}
	s.checking, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.check()
}

// Stop ends active checks, and closes the connections that are not in use; others when their request has ended. It
// returns when the checks have ended, or ctx has.
func (s *Set) Stop(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	s.checkers = map[string]*checker{}
	endpoints := s.endpoints
	s.endpoints = map[description]*proxy.Endpoint{}
	if s.end != nil {
		s.end()
	}
	s.mu.Unlock()
	for _, e := range endpoints {
		e.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// open returns the endpoint of a description, which is made when it is first needed.
func (s *Set) open(p *Plan, d description, settings *tlsSettings) *proxy.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.endpoints[d]; e != nil {
		return e
	}
	e := proxy.NewEndpoint(s.endpointOptions(d, settings))
	if s.stopped || p.retired && !s.current.used[d] {
		e.Close() // it serves the requests of an earlier configuration, and keeps nothing for later
		return e
	}
	s.endpoints[d] = e
	return e
}

// check makes the active checks those of the plan in use; the caller holds the lock.
func (s *Set) check() {
	if s.checking == nil || s.stopped || s.current == nil {
		return
	}
	wanted := map[string]*group{}
	for _, g := range s.current.groups {
		if key := g.checkKey(); key != "" {
			wanted[key] = g
		}
	}
	for key, c := range s.checkers {
		if wanted[key] == nil {
			c.stop() // its goroutine ends by itself
			delete(s.checkers, key)
		}
	}
	for key, g := range wanted {
		if s.checkers[key] == nil {
			s.checkers[key] = s.startChecker(g)
		}
	}
}
