package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/internal/clock"
)

// Options say how clients are served. Zero fields are the defaults.
type Options struct {
	// Limits and Timeouts bound what clients may do.
	Limits   h1.Limits
	Timeouts h1.Timeouts
	// Headers are what is added to requests and responses.
	Headers Headers
	// Trusted are the proxies whose forwarding fields count.
	Trusted TrustedProxies
	// HTTP2 is how clients may speak HTTP/2; nil is net/http's defaults, with 250 streams.
	HTTP2 *http.HTTP2Config
	// MaxConns is how many connections there may be at once, 0 for no limit.
	MaxConns int
	// Refused is told of requests that broke the rules.
	Refused func(peer net.Addr, err *h1.ProtocolError)
	// Attempts, unless nil, is told of each attempt to reach an upstream.
	Attempts Attempts
	// Log is told of what should not happen.
	Log *slog.Logger
	// Clock is the time.
	Clock clock.Clock
}

// Server accepts connections and has their requests answered by the Handler of the day.
type Server struct {
	options Options
	clock   clock.Clock
	sweeper *h1.Sweeper
	h1      *h1.Server
	h2      *http.Server
	h2conns *handedOver
	handler atomic.Pointer[Handler]
	context context.Context
	cancel  context.CancelFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     sync.WaitGroup
	open      atomic.Int64
	asked     sync.Map // *tls.Conn, of clients that were asked for a certificate
	closed    bool
}

// NewServer returns a server without listeners. It answers by h.
func NewServer(h Handler, o Options) *Server {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: o, clock: o.Clock, sweeper: h1.NewSweeper(o.Clock), listeners: make(map[net.Listener]struct{})}
	s.context, s.cancel = context.WithCancel(context.Background())
	s.h1 = &h1.Server{Handler: h1Handler{s}, Limits: o.Limits, Timeouts: o.Timeouts, Sweeper: s.sweeper, Clock: o.Clock}
	s.openH2()
	s.Swap(h)
	return s
}

// Sweeper keeps the timeouts of the server's connections, and is for its endpoints.
func (s *Server) Sweeper() *h1.Sweeper { return s.sweeper }

// Swap makes the exchanges that begin from now on be answered by h. Those that have begun
// are not touched.
func (s *Server) Swap(h Handler) { s.handler.Store(&h) }

// serve answers an exchange.
func (s *Server) serve(x *Exchange) {
	defer s.recovered(x)
	x.Target.Path, x.Target.Query, x.Target.HasQuery = x.Request.Path, x.Request.Query, x.Request.HasQuery
	s.options.Trusted.locate(x)
	x.Request.Scheme = x.requestScheme()
	if !isMethod(x.Request.Method) {
		x.refuse(http.StatusBadRequest, "Bad request")
		return
	}
	if x.Request.Method == http.MethodTrace || x.Request.Method == http.MethodConnect {
		x.refuse(http.StatusMethodNotAllowed, "Method not allowed") // they would tell, or pass, too much
		return
	}
	(*s.handler.Load()).Serve(x)
	x.end()
}

// isMethod reports whether a method is one of those that nginx and so Kong take: in capital letters. Servers that do not tell
// "delete" from "DELETE" would do what the routes for DELETE have not decided about.
func isMethod(method string) bool {
	for i := range len(method) {
		if c := method[i]; (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return method != ""
}

// requestScheme is the client's: what a trusted proxy says, else that of the connection. Of several fields the last one is the
// proxy's, and what stands before it the client's.
func (x *Exchange) requestScheme() string {
	if x.Trusted {
		var said []byte
		for i := range x.Request.Fields.Len() {
			if f := x.Request.Fields.At(i); forwardedField(f.Name) == xForwardedProto {
				said = f.Value
			}
		}
		switch string(said) {
		case "https":
			return "https"
		case "http":
			return "http"
		}
	}
	return x.scheme()
}

// recovered answers an exchange whose handler has panicked: one request, not the process.
func (s *Server) recovered(x *Exchange) {
	v := recover()
	if v == nil {
		return
	}
	x.broken = true
	x.panicked()
	x.end()
	x.down.abort()
	if v == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		return
	}
	s.options.Log.Error("gateway: a request's handler panicked", "panic", v, "stack", string(debug.Stack()))
}

// Serve accepts connections until Shutdown; TLS's if config is not nil.
func (s *Server) Serve(l net.Listener, config *tls.Config) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.context.Err() != nil || errors.Is(err, net.ErrClosed) {
				return net.ErrClosed
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() { // out of descriptors
				s.options.Log.Warn("gateway: accept", "err", err)
				select {
				case <-s.context.Done():
				case <-time.After(acceptPause):
				}
				continue
			}
			return err
		}
		if most := s.options.MaxConns; most > 0 && s.open.Load() >= int64(most) {
			_ = nc.Close() // nothing can be said without a goroutine
			continue
		}
		s.mu.Lock()
		if s.closed { // Shutdown waits for those before
			s.mu.Unlock()
			_ = nc.Close() // as well: it was not accepted
			continue
		}
		s.open.Add(1)
		s.conns.Go(func() {
			defer s.open.Add(-1)
			s.serveConn(nc, config)
		})
		s.mu.Unlock()
	}
}

// acceptPause is how long nothing is accepted when it cannot be.
const acceptPause = 50 * time.Millisecond

func (s *Server) serveConn(nc net.Conn, config *tls.Config) {
	if config == nil {
		s.h1.ServeConn(nc, false)
		return
	}
	tc := tls.Server(nc, config)
	ctx, cancel := context.WithTimeout(s.context, handshakeTimeout)
	asked := false
	err := tc.HandshakeContext(context.WithValue(ctx, askedKey{}, &asked))
	cancel()
	if err != nil {
		_ = nc.Close() // the client knows
		return
	}
	if asked {
		s.asked.Store(tc, nil)
		defer s.asked.Delete(tc)
	}
	if tc.ConnectionState().NegotiatedProtocol == protocolH2 {
		s.serveH2(tc)
		return
	}
	s.h1.ServeConn(tc, true)
}

type askedKey struct{}

// CertificateAsked is called by tls.Config.GetConfigForClient, with the context of the handshake, when it has the
// client asked for a certificate: the connection's exchanges say so.
func CertificateAsked(handshake context.Context) {
	if asked, ok := handshake.Value(askedKey{}).(*bool); ok {
		*asked = true
	}
}

// errPanicked is the error of an exchange whose handler has panicked.
var errPanicked = errors.New("the request's handler panicked")

// panicked has the logs told, unless they were already.
func (x *Exchange) panicked() {
	if x.chain == nil || x.Timing.End != 0 || x.DryRun {
		return
	}
	defer func() { _ = recover() }() // one of them may be the reason: the panic before is told of
	x.Err, x.Timing.End = errPanicked, x.Elapsed()
	if x.Response.Status == 0 {
		x.Response.Status = http.StatusInternalServerError
	}
	for _, l := range x.chain.Log {
		l.Log(x)
	}
}

// protocolH2 is HTTP/2's name in TLS.
const protocolH2 = "h2"

// handshakeTimeout bounds TLS's handshake.
const handshakeTimeout = 10 * time.Second

// Shutdown stops accepting, lets the exchanges that have begun end, and returns when all
// connections are closed; when ctx ends it closes those that are left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.h1.Drain() // first: who cannot connect any more can rely on it
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close() // nothing to be done about it
	}
	s.mu.Unlock()
	var h2err error
	var h2 sync.WaitGroup
	h2.Go(func() { h2err = s.h2.Shutdown(ctx) })
	err := s.h1.Shutdown(ctx)
	if h2.Wait(); h2err != nil {
		_ = s.h2.Close() // what is left
		err = h2err
	}
	if err != nil {
		s.cancel()
	}
	s.conns.Wait()
	s.cancel()
	s.sweeper.Stop()
	return err
}
