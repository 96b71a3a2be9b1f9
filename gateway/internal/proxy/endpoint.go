package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// Balancer chooses the endpoint of each attempt. It is used by many goroutines at once.
type Balancer interface {
	// Pick returns an endpoint for the next attempt of x; x.Attempts is how many there
	// were, and x.Endpoint the last one's. ErrNoEndpoint says that there is none.
	Pick(x *Exchange) (*Endpoint, error)
	// Done is told how an attempt has ended: nil when the response was passed on to its
	// end. x.Response.Status is the response's, if one has come.
	Done(x *Exchange, e *Endpoint, err error)
}

// EndpointOptions say how an endpoint is spoken to. Zero fields are the defaults, those
// of Kong's services.
type EndpointOptions struct {
	// Address is host and port, or "unix:" and a path.
	Address string
	// Host is the Host field of requests that bring none of their own; the address if
	// empty.
	Host string
	// TLS is set for TLS. Its ServerName is the host of Host if empty.
	TLS *tls.Config
	// HTTP2 speaks HTTP/2, without negotiating it where there is no TLS.
	HTTP2 bool
	// Connect, Read and Write are how long it may take to open a connection with its
	// handshake, between two reads and between two writes: 60 s each.
	Connect, Read, Write time.Duration
	// MaxIdle, MaxOpen and IdleTimeout are those of h1.PoolOptions.
	MaxIdle, MaxOpen int
	IdleTimeout      time.Duration
	// Limits bound responses.
	Limits h1.Limits
	// Dial opens a connection to an address; nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Sweeper keeps the timeouts.
	Sweeper *h1.Sweeper
	// Handler answers in this process, instead of all the above.
	Handler http.Handler
}

// Endpoint is one place where requests are answered. It is a Balancer that always
// chooses itself.
type Endpoint struct {
	o       EndpointOptions
	host    string
	pool    *h1.Pool
	attempt func(x *Exchange) error
	closeFn func()
}

const defaultTimeout = 60 * time.Second

// NewEndpoint makes an endpoint. Nothing is opened before the first request.
func NewEndpoint(o EndpointOptions) *Endpoint {
	for _, d := range []*time.Duration{&o.Connect, &o.Read, &o.Write} {
		if *d == 0 {
			*d = defaultTimeout
		}
	}
	e := &Endpoint{o: o, host: o.Host, closeFn: func() {}}
	if e.host == "" {
		e.host = o.Address
		if strings.HasPrefix(o.Address, "unix:") {
			e.host = "localhost"
		}
	}
	if o.TLS != nil {
		e.o.TLS = o.TLS.Clone()
		if e.o.TLS.ServerName == "" {
			e.o.TLS.ServerName = hostOnly(e.host)
		}
	}
	switch {
	case o.Handler != nil:
		e.attempt = e.attemptHandler
	case o.HTTP2:
		e.openH2()
	default:
		if e.o.TLS != nil {
			e.o.TLS.NextProtos = []string{"http/1.1"}
		}
		e.pool = h1.NewPool(h1.PoolOptions{
			Dial: e.dial, Sweeper: o.Sweeper, Limits: o.Limits,
			MaxIdle: o.MaxIdle, MaxOpen: o.MaxOpen, IdleTimeout: o.IdleTimeout,
		})
		e.attempt = e.attemptH1
		e.closeFn = e.pool.Close
	}
	return e
}

// Address returns the address of the endpoint, "" of one in this process.
func (e *Endpoint) Address() string { return e.o.Address }

// Conns returns how many connections there are to an HTTP/1.1 upstream, and how many of
// them are not in use; 0 of other endpoints.
func (e *Endpoint) Conns() (open, idle int) {
	if e.pool == nil {
		return 0, 0
	}
	return e.pool.Stats()
}

// Pick implements Balancer.
func (e *Endpoint) Pick(*Exchange) (*Endpoint, error) { return e, nil }

// Done implements Balancer.
func (e *Endpoint) Done(*Exchange, *Endpoint, error) {}

// Close closes the connections that are not in use; others when their request has ended.
// Requests that have the endpoint already are still answered.
func (e *Endpoint) Close() { e.closeFn() }

// dial opens a connection, with TLS's handshake.
func (e *Endpoint) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Connect)
	defer cancel()
	network, address := "tcp", e.o.Address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	dial := e.o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, network, address)
	if err != nil {
		return nil, late(noConnection, e.o.Connect, err)
	}
	if e.o.TLS == nil {
		return nc, nil
	}
	tc := tls.Client(nc, e.o.TLS)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // the handshake's error says more
		return nil, late(noConnection, e.o.Connect, err)
	}
	return tc, nil
}

// hostOnly removes the port of an authority, and the brackets of an IP literal.
func hostOnly(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.Trim(authority, "[]")
}
