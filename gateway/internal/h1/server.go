package h1

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// Handler answers requests.
type Handler interface {
	// ServeH1 answers the request that c holds. It must have called Respond and Finish,
	// Tunnel or Abort when it returns. What it has of the request is not valid
	// afterwards. NewState is called once for each connection; what it returns is c.State.
	ServeH1(c *ServerConn)
	// Refuse is told of what was refused without being handled.
	Refuse(c *ServerConn, err *ProtocolError)
	// ServeH2 takes over a connection whose client speaks HTTP/2 without having
	// negotiated it; false means that it is not wanted.
	ServeH2(c net.Conn) bool
}

// Server answers requests on connections, each on its own goroutine, one request after
// another.
type Server struct {
	// Handler answers the requests.
	Handler Handler
	// Limits and Timeouts bound what clients may do.
	Limits   Limits
	Timeouts Timeouts
	// Sweeper keeps the timeouts.
	Sweeper *Sweeper
	// Clock gives the Date of answers that have none.
	Clock clock.Clock

	once     sync.Once
	draining atomic.Bool

	mu      sync.Mutex
	conns   map[*ServerConn]struct{}
	stopped chan struct{} // closed when draining and no connection is left
	ended   bool          // stopped is closed; a connection may still come, of which the handshake has taken its time
}

func (s *Server) init() {
	s.once.Do(func() {
		s.Limits = s.Limits.withDefaults()
		s.Timeouts = s.Timeouts.withDefaults()
		if s.Clock == nil {
			s.Clock = clock.System()
		}
		s.conns = make(map[*ServerConn]struct{})
		s.stopped = make(chan struct{})
	})
}

// ServeConn answers requests on a connection until it is closed, and closes it. Secure
// says that it is TLS's.
func (s *Server) ServeConn(nc net.Conn, secure bool) {
	s.init()
	c := &ServerConn{server: s, Secure: secure}
	c.conn.init(nc, s.Sweeper)
	if s.track(c) {
		c.serve()
	}
	c.conn.close()
	s.forget(c)
}

func (s *Server) track(c *ServerConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return !s.draining.Load()
}

func (s *Server) forget(c *ServerConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.draining.Load() {
		s.stopIfDone()
	}
}

// stopIfDone tells Shutdown when there is no connection left; the caller holds the lock.
func (s *Server) stopIfDone() {
	if len(s.conns) == 0 && !s.ended {
		s.ended = true
		close(s.stopped)
	}
}

// Open returns the number of connections.
func (s *Server) Open() int {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drain has each answer from now on be the last of its connection, and closes those that are idle.
func (s *Server) Drain() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Swap(true) {
		return
	}
	s.stopIfDone()
	for c := range s.conns {
		c.wake()
	}
}

// Shutdown lets the requests that have begun be answered, closes connections as they
// become idle, and returns when none is left. When ctx ends it closes those that are
// left, tunnels among them, and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.conn.net.Close() // its goroutine closes the rest
	}
	s.mu.Unlock()
	return ctx.Err()
}

// now is the time of the server's clock.
func (s *Server) now() time.Time { return s.Clock.Now() }
