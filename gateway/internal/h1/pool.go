package h1

import (
	"context"
	"net"
	"sync"
	"time"
)

// PoolOptions say how an upstream is spoken to. Zero fields are the defaults.
type PoolOptions struct {
	// Dial opens a connection; TLS's handshake is part of it.
	Dial func(context.Context) (net.Conn, error)
	// Sweeper keeps the timeouts.
	Sweeper *Sweeper
	// Limits bound responses.
	Limits Limits
	// MaxIdle is how many connections are kept for later, 256.
	MaxIdle int
	// MaxOpen is how many connections there may be, negative for no limit, 16,384.
	MaxOpen int
	// IdleTimeout is how long a connection is kept without use, 60 s.
	IdleTimeout time.Duration
}

// Pool keeps connections to one upstream. It is safe for concurrent use.
type Pool struct {
	o PoolOptions

	mu     sync.Mutex
	idle   []*ClientConn // the one used last is at the end, and used next
	open   int
	closed bool
}

// NewPool returns a pool without connections.
func NewPool(o PoolOptions) *Pool {
	o.Limits = o.Limits.withDefaults()
	o.MaxIdle = orDefault(o.MaxIdle, 256)
	o.MaxOpen = orDefault(o.MaxOpen, 16384)
	o.IdleTimeout = orDefault(o.IdleTimeout, 60*time.Second)
	p := &Pool{o: o}
	o.Sweeper.addPool(p)
	return p
}

// Get returns a connection that is kept, or opens one. Fresh asks for one that was never
// used. The caller gives it back with Release or Discard.
func (p *Pool) Get(ctx context.Context, fresh bool) (*ClientConn, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 && !fresh {
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		c.used++
		return c, nil
	}
	if p.o.MaxOpen > 0 && p.open >= p.o.MaxOpen {
		p.mu.Unlock()
		return nil, ErrPoolFull
	}
	p.open++
	p.mu.Unlock()
	nc, err := p.o.Dial(ctx)
	if err != nil {
		p.forget()
		return nil, err
	}
	c := &ClientConn{pool: p}
	c.conn.init(nc, p.o.Sweeper)
	return c, nil
}

func (p *Pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// put keeps a connection for later; false if it cannot be.
func (p *Pool) put(c *ClientConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.o.MaxIdle {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

// Stats returns how many connections there are, and how many of them are not in use.
func (p *Pool) Stats() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle)
}

// Close closes the connections that are not in use, and keeps none from now on. Requests
// that have the pool already can still be sent.
func (p *Pool) Close() {
	p.o.Sweeper.removePool(p)
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.Discard()
	}
}

// sweep closes connections that have not been used for long, or that the upstream has
// closed.
func (p *Pool) sweep(now int64) {
	p.mu.Lock()
	if len(p.idle) == 0 || p.idle[0].idleSince >= now {
		p.mu.Unlock()
		return
	}
	var old []*ClientConn // taken out, so that nobody uses them meanwhile
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince < now {
		n++
	}
	old = append(old, p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
	p.mu.Unlock()

	kept := old[:0]
	for _, c := range old {
		if now-c.idleSince > ticks(p.o.IdleTimeout) || c.conn.stale() {
			c.Discard()
			continue
		}
		kept = append(kept, c)
	}
	p.mu.Lock()
	if !p.closed {
		p.idle = append(kept, p.idle...)
		kept = nil
	}
	p.mu.Unlock()
	for _, c := range kept {
		c.Discard()
	}
}
