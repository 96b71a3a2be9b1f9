package h1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ServerConn is a connection of a server, and the request on it that is being answered.
type ServerConn struct {
	// Request is the request's head.
	Request Request
	// Body is the request's body.
	Body Body
	// Secure says that the connection is TLS's.
	Secure bool
	// State is the handler's.
	State any

	conn   conn
	server *Server
	idle   atomic.Int32
	out    []byte // what is answered and not written yet; pooled

	phase   phase
	framing framing
	left    int64 // of the answer's body, if it has a Content-Length
	keep    bool  // the connection stays open after this answer
	head    bool  // the answer has no body, whatever it says of one
	begun   bool  // something of the answer was written

	interim   sync.Mutex // held while an interim response is written, if the client expects one
	answering bool       // the answer has begun; of clients that expect 100
	served    int
}

// phase is how far an answer is.
type phase uint8

const (
	phaseNone phase = iota
	phaseBody
	phaseDone
	phaseTunnel
)

// States of ServerConn.idle.
const (
	busy int32 = iota
	waiting
	woken
)

// NetConn returns the connection itself, for its addresses and TLS's state.
func (c *ServerConn) NetConn() net.Conn { return c.conn.net }

// serve reads and answers requests.
func (c *ServerConn) serve() {
	defer func() {
		if c.out != nil {
			putBuffer(c.out)
		}
	}()
	for {
		n, err := c.readHead()
		if err != nil {
			c.refuse(err)
			return
		}
		if c.Request.prior {
			c.handOver()
			return
		}
		c.begin()
		c.conn.skip(n)
		c.server.Handler.ServeH1(c)
		if c.phase != phaseDone || !c.keep || !c.drain() {
			if c.phase == phaseDone {
				c.linger()
			}
			return
		}
		c.served++
	}
}

// readHead reads until a head is complete, and parses it.
func (c *ServerConn) readHead() (int, error) {
	c.Request.Reset()
	if c.served > 0 {
		c.conn.release()
	}
	if c.conn.start == c.conn.end {
		if err := c.awaitRequest(); err != nil {
			return 0, err
		}
	}
	armed := false
	for {
		n, err := c.Request.Parse(c.conn.buffered(), &c.server.Limits)
		if n > 0 || err != nil {
			return n, err
		}
		if !armed {
			armed = true
			if !c.conn.armRead(c.server.Timeouts.Head) {
				return 0, ErrTimeout
			}
		}
		if c.conn.room(c.server.Limits.Head) {
			c.Request.Reset()
		}
		if err := c.conn.fill(); err != nil {
			if err == io.EOF {
				err = ErrTruncated
			}
			return 0, err
		}
		if c.conn.readBy.Load() < 0 {
			return 0, ErrTimeout
		}
	}
}

// awaitRequest waits for the first bytes of a request.
func (c *ServerConn) awaitRequest() error {
	limit := c.server.Timeouts.Idle
	if c.served == 0 {
		limit = c.server.Timeouts.Head
	}
	if !c.conn.armRead(limit) || !c.idle.CompareAndSwap(busy, waiting) {
		return ErrClosed
	}
	if c.server.draining.Load() {
		return ErrClosed
	}
	err := c.conn.fill()
	if !c.idle.CompareAndSwap(waiting, busy) || err != nil {
		return ErrClosed // an idle connection ended: nothing to be said
	}
	return nil
}

// wake ends the wait of a connection for its next request.
func (c *ServerConn) wake() {
	if c.idle.CompareAndSwap(waiting, woken) {
		_ = c.conn.net.SetReadDeadline(past) // closed already: as well
	}
}

// begin makes the connection ready to answer the request that was parsed.
func (c *ServerConn) begin() {
	r := &c.Request
	c.conn.armRead(0)
	c.phase, c.framing, c.left, c.begun = phaseNone, framedNone, 0, false
	c.keep = !r.Close && !c.server.draining.Load()
	c.head = r.Method == http.MethodHead
	c.Body.init(&c.conn, &c.server.Limits, c.server.Timeouts.Body)
	switch {
	case r.Chunked:
		c.Body.begin(framedChunked, 0)
	case r.Length > 0:
		c.Body.begin(framedLength, r.Length)
	}
	if c.answering = false; r.Expect {
		c.Body.before = c.sendContinue
	}
}

// Watch calls a's Abandon when the client leaves before Watch(nil).
func (c *ServerConn) Watch(a Abandoner) { c.conn.watch(a) }

// Buffered returns as much of the request's body as is the whole of it and has come
// already; false if it has not come completely.
func (c *ServerConn) Buffered() ([]byte, bool) {
	b := &c.Body
	switch {
	case b.err == io.EOF && b.read == 0:
		return nil, true
	case b.err == nil && b.framing == framedLength && b.read == 0 && (b.max < 0 || b.left <= b.max) &&
		int64(c.conn.end-c.conn.start) >= b.left:
		return b.take(), true
	}
	return nil, false
}

// StopBody makes a read of the body that is waiting for the client fail. The connection is
// closed after the answer.
func (c *ServerConn) StopBody() {
	c.keep = false
	c.InterruptBody()
}

// InterruptBody makes a read of the body that is waiting for the client fail. It may be called by any goroutine before the handler
// returns; that of the handler calls Close.
func (c *ServerConn) InterruptBody() {
	_ = c.conn.net.SetReadDeadline(past) // closed already: as well
}

// maxDrain is how much of a body that nobody read is read so that the connection can be
// kept.
const maxDrain = 64 << 10

// drain reads what is left of the request. False means that the connection cannot be
// kept.
func (c *ServerConn) drain() bool {
	b := &c.Body
	if b.Done() {
		return true
	}
	if b.before != nil { // it waits for 100: whether the body comes is not known
		return false
	}
	for n := 0; n < maxDrain; {
		p, err := b.Next()
		if err != nil {
			return err == io.EOF
		}
		n += len(p)
	}
	return false
}

// linger lets a client that is still sending read the answer before the connection is
// reset (RFC 9112 section 9.6).
func (c *ServerConn) linger() {
	if c.Body.Done() && c.conn.start == c.conn.end {
		return // nothing is being sent
	}
	half, ok := c.conn.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	const most = 1 << 20
	c.conn.hold()
	_ = c.conn.net.SetReadDeadline(time.Time{}) // StopBody may have set one
	c.conn.armRead(c.server.Timeouts.Linger)
	for n := 0; n < most; {
		c.conn.start, c.conn.end = 0, 0
		if c.conn.fill() != nil {
			return
		}
		n += c.conn.end
	}
}

// refuse answers what is not a request, or did not come in time.
func (c *ServerConn) refuse(err error) {
	var protocol *ProtocolError
	switch {
	case errors.As(err, &protocol):
	case errors.Is(err, ErrTimeout):
		protocol = errSlow
	default:
		return
	}
	c.server.Handler.Refuse(c, protocol)
	out := appendStatusLine(nil, protocol.Status, nil)
	out = appendDate(out, c.server.now())
	out = append(out, "Content-Type: application/json; charset=utf-8\r\nConnection: close\r\n"...)
	body := `{"message":` + strconv.Quote(http.StatusText(protocol.Status)) + `}`
	out = appendLength(out, int64(len(body)))
	out = append(out, "\r\n"...)
	out = append(out, body...)
	c.conn.armWrite(c.server.Timeouts.Linger)
	if c.conn.write(out, nil) != nil {
		return
	}
	c.Body.init(&c.conn, &c.server.Limits, 0)
	c.Body.err = protocol // more may be coming
	if protocol != errSlow {
		c.linger()
	}
}

// handOver gives a connection to HTTP/2, with what was read of it. Within TLS HTTP/2 is negotiated before the first byte (RFC 9113
// section 3.3): what is handed over here has no state of TLS, and its requests would be ones without name and certificate.
func (c *ServerConn) handOver() {
	if c.Secure {
		c.refuse(errVersion)
		return
	}
	rest := append([]byte(nil), c.conn.buffered()...)
	c.conn.start, c.conn.end = 0, 0
	c.conn.release()
	c.conn.armRead(0)
	if !c.server.Handler.ServeH2(&prefixed{Conn: c.conn.net, rest: rest}) {
		c.refuse(errVersion)
	}
}

// prefixed is a connection of which something was read already.
type prefixed struct {
	net.Conn
	rest []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.rest) > 0 {
		n := copy(b, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
