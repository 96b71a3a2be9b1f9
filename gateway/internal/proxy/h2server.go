package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// h2Streams is how many requests a client may have under way on one connection.
const h2Streams = 250

// openH2 starts the server of HTTP/2, net/http's. It is given connections instead of
// accepting them.
func (s *Server) openH2() {
	limit := s.options.Limits.Head
	if limit == 0 {
		limit = 32 << 10
	}
	config := s.options.HTTP2
	if config == nil {
		config = &http.HTTP2Config{MaxConcurrentStreams: h2Streams, SendPingTimeout: h2PingAfter, PingTimeout: h2PingTimeout, WriteByteTimeout: max(s.writeLimit(), 0)}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.h2conns = &handedOver{conns: make(chan net.Conn), closed: make(chan struct{}), open: make(map[net.Conn]chan struct{})}
	s.h2 = &http.Server{
		Handler: http.HandlerFunc(s.handleH2), Protocols: protocols, HTTP2: config, MaxHeaderBytes: limit,
		ReadHeaderTimeout: handshakeTimeout, IdleTimeout: h2IdleTimeout,
		BaseContext: func(net.Listener) context.Context { return s.context },
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			peer, port := addrs(nc)
			_, asked := s.asked.Load(nc)
			return context.WithValue(ctx, h2PeerKey{}, &h2Peer{peer, port, asked})
		},
		ConnState: s.h2conns.state,
		ErrorLog:  slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
	}
	s.conns.Go(func() { _ = s.h2.Serve(s.h2conns) }) // ends by Shutdown
}

// h2Peer is who a connection is from, the port it came to, and whether the client was asked for a certificate.
type h2Peer struct {
	peer  netip.AddrPort
	port  uint16
	asked bool
}

type h2PeerKey struct{}

func (s *Server) handleH2(w http.ResponseWriter, r *http.Request) {
	d := h2Downs.Get().(*h2Down)
	d.x.server, d.x.down = s, d
	p := r.Context().Value(h2PeerKey{}).(*h2Peer)
	d.x.Peer, d.x.ServerPort, d.x.TLS = p.peer, p.port, r.TLS
	d.x.CertificateAsked = p.asked
	d.serve(w, r)
}

// serveH2 serves a connection whose client speaks HTTP/2, until it is closed.
func (s *Server) serveH2(nc net.Conn) bool {
	s.h2conns.give(nc)
	return true
}

// handedOver is a listener of connections that others have accepted.
type handedOver struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}

	mu   sync.Mutex
	open map[net.Conn]chan struct{}
}

// give has a connection served, and returns when it is closed.
func (h *handedOver) give(nc net.Conn) {
	ended := make(chan struct{})
	h.mu.Lock()
	h.open[nc] = ended
	h.mu.Unlock()
	select {
	case h.conns <- nc:
		<-ended
	case <-h.closed:
		_ = nc.Close() // the client tries elsewhere
		h.state(nc, http.StateClosed)
	}
}

// state is told what becomes of a connection.
func (h *handedOver) state(nc net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if ended, ok := h.open[nc]; ok {
		delete(h.open, nc)
		close(ended)
	}
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case nc := <-h.conns:
		return nc, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handedOver) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handedOver) Addr() net.Addr { return &net.TCPAddr{} }
