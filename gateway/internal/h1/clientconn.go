package h1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// ClientConn is a connection to an upstream, in use by one request.
type ClientConn struct {
	// Response is the head of the response.
	Response Response
	// Body is its body.
	Body Body

	conn      conn
	pool      *Pool
	used      int
	idleSince int64
	answered  bool
	abandoned atomic.Bool
}

// NetConn returns the connection itself, for its addresses.
func (c *ClientConn) NetConn() net.Conn { return c.conn.net }

// Reused reports whether the connection was used before.
func (c *ClientConn) Reused() bool { return c.used > 0 }

// Answered reports whether something of a response has come. If not, and the request may
// be sent again, it can be tried on another connection (RFC 9110 section 9.2.2).
func (c *ClientConn) Answered() bool { return c.answered }

// Stale reports whether err says that the upstream had closed the connection before
// anything was sent: every request may be tried on another one.
func Stale(err error) bool { return errors.Is(err, errStale) }

// Abandon implements Abandoner: what waits for the upstream fails.
func (c *ClientConn) Abandon() {
	c.abandoned.Store(true)
	c.conn.abandon()
}

// Abandoned reports whether Abandon was called.
func (c *ClientConn) Abandoned() bool { return c.abandoned.Load() }

// Begin makes the connection ready for a request that is written by Send. It looks as Ask
// does.
func (c *ClientConn) Begin() error {
	c.reset()
	if c.used > 0 && c.conn.stale() {
		return errStale
	}
	return nil
}

// Send writes of a request, head and body. Timeout bounds it.
func (c *ClientConn) Send(p, q []byte, timeout time.Duration) error {
	if !c.conn.armWrite(timeout) {
		return ErrTimeout
	}
	err := c.conn.write(p, q)
	if !c.conn.armWrite(0) && err == nil {
		err = ErrTimeout
	}
	return err
}

// Ask writes a whole request and waits for the first bytes of the response. On a
// connection that was used before it looks first whether the upstream has closed it, or
// sent something unasked; see Stale.
func (c *ClientConn) Ask(request []byte, timeout time.Duration) error {
	c.reset()
	if !c.conn.armRead(timeout) {
		return errStale
	}
	if err := c.conn.ask(request, c.used > 0); err != nil {
		if err == io.EOF {
			err = ErrTruncated
		}
		return err
	}
	c.answered = true
	return nil
}

// Postpone gives what is awaited the whole of its time again. It may be called by another goroutine.
func (c *ClientConn) Postpone(timeout time.Duration) { c.conn.postpone(timeout) }

// reset makes the connection ready for another request.
func (c *ClientConn) reset() {
	c.answered = false
	c.Response.Reset()
}

// Await reads the next head of a response into Response. Interim responses are returned
// like the final one, which is followed by Body. Method is that of the request.
func (c *ClientConn) Await(method string, timeout time.Duration) error {
	if !c.conn.armRead(timeout) {
		return ErrTimeout
	}
	c.Response.Reset()
	limits := &c.pool.o.Limits
	for {
		n, err := c.Response.Parse(c.conn.buffered(), method, limits)
		if err != nil {
			return err
		}
		if n > 0 {
			c.conn.skip(n)
			break
		}
		if c.conn.room(limits.Head) {
			c.Response.Reset()
		}
		if err := c.conn.fill(); err != nil {
			if err == io.EOF {
				err = ErrTruncated
			}
			return err
		}
		c.answered = true
	}
	r := &c.Response
	c.Body.init(&c.conn, limits, timeout)
	if r.Interim() || !r.HasBody(method) {
		return nil
	}
	switch {
	case r.Chunked:
		c.Body.begin(framedChunked, 0)
	case r.Length >= 0:
		c.Body.begin(framedLength, r.Length)
	default:
		c.Body.begin(framedClose, 0)
	}
	return nil
}

// Release gives the connection back, to be used again if that can be: the response was
// read to its end, and neither side closes. What was returned of the response is no
// longer valid.
func (c *ClientConn) Release() {
	r := &c.Response
	if r.Close || !c.Body.Done() || c.Body.framing == framedClose || r.Status == http.StatusSwitchingProtocols ||
		c.conn.start != c.conn.end || !c.conn.armRead(0) || !c.conn.armWrite(0) {
		c.Discard()
		return
	}
	c.conn.release()
	c.idleSince = c.conn.sweeper.tick()
	if !c.pool.put(c) {
		c.Discard()
	}
}

// Discard closes the connection.
func (c *ClientConn) Discard() {
	if c.conn.closed.Load() {
		return
	}
	c.conn.close()
	c.pool.forget()
}
