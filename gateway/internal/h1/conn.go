package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a connection with what has been read of it and not yet used. It is used by
// one goroutine for reading and by one for writing.
type conn struct {
	net     net.Conn
	raw     syscall.RawConn // of a socket that is read and written without net.Conn; else nil
	peek    syscall.RawConn // of the socket below, to see whether something has come; or nil
	sweeper *Sweeper
	swept   int // index among the sweeper's connections

	held       []byte // the buffer with the head, when the body is read into another
	buf        []byte // pooled; nil while there is nothing in it
	start, end int    // what of it is not used yet

	// readBy and writeBy are the ticks at which the connection expires, 0 for never.
	// The sweeper turns them into expired or gone.
	readBy, writeBy atomic.Int64
	closed          atomic.Bool

	// asking is the tick at which the wait for an answer began, 0 while there is none.
	asking atomic.Int64

	// waiting is what goes on for the peer, and is abandoned when the peer leaves.
	mu      sync.Mutex
	waiting Abandoner
	looks   int64 // the tick at which to look whether it has

	reading reading
	writing writing
}

// lookAgain is how many ticks pass from one look at a peer that waits to the next.
const lookAgain = 8

// expired is a deadline that has passed; gone one whose peer has left.
const (
	expired = -1
	gone    = -2
)

func (c *conn) init(nc net.Conn, s *Sweeper) {
	c.net, c.sweeper = nc, s
	c.initRaw()
	s.add(c)
}

// close closes the connection and gives its buffer back.
func (c *conn) close() {
	if c.closed.Swap(true) {
		return
	}
	c.sweeper.remove(c)
	_ = c.net.Close() // nothing to be done about it
	c.release()
}

// armRead sets how long the next reads may take, for ever if d is not above 0. It reports
// whether the connection may still be used.
func (c *conn) armRead(d time.Duration) bool { return c.arm(&c.readBy, d) }

// armWrite is armRead for writes.
func (c *conn) armWrite(d time.Duration) bool { return c.arm(&c.writeBy, d) }

func (c *conn) arm(by *atomic.Int64, d time.Duration) bool {
	var at int64
	if d > 0 {
		at = c.sweeper.tick() + ticks(d)
	}
	if by.Swap(at) < 0 {
		by.Store(expired)
		return false
	}
	return true
}

// postpone sets anew how long a read may take that is under way.
func (c *conn) postpone(d time.Duration) {
	if at := c.readBy.Load(); at > 0 {
		c.readBy.CompareAndSwap(at, c.sweeper.tick()+ticks(d)) // else it has come, or is over
	}
}

// sweep is called by the sweeper at each tick.
func (c *conn) sweep(now int64) {
	if pass(&c.readBy, now) {
		_ = c.net.SetReadDeadline(past) // only of a connection that is closed anyway
		return
	}
	if pass(&c.writeBy, now) {
		_ = c.net.SetDeadline(past)
		return
	}
	if asked := c.asking.Load(); asked > 0 && asked < now && c.asking.CompareAndSwap(asked, 0) && c.peerLeft() {
		// It had closed the connection when it was asked: nothing will wake the reader.
		c.abandon()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil && c.looks <= now {
		c.looks = now + lookAgain
		if c.peerLeft() {
			c.waiting.Abandon()
			c.waiting = nil
		}
	}
}

// abandon makes reads and writes fail.
func (c *conn) abandon() {
	c.readBy.Store(gone)
	c.writeBy.Store(gone)
	_ = c.net.SetDeadline(past) // only of a connection that is closed anyway
}

// Abandoner is something that goes on for a client, and is not wanted any more once the
// client has left.
type Abandoner interface {
	// Abandon may be called by any goroutine. It must not block.
	Abandon()
}

// watch abandons a when the peer leaves; nil ends that. After it has returned the
// Abandoner before is not called any more.
func (c *conn) watch(a Abandoner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.looks = a, c.sweeper.tick()+1
}

// pass makes a deadline that has passed expired.
func pass(by *atomic.Int64, now int64) bool {
	at := by.Load()
	return at > 0 && at <= now && by.CompareAndSwap(at, expired)
}

var past = time.Unix(1, 0)

// buffered returns what has been read and not yet used.
func (c *conn) buffered() []byte { return c.buf[c.start:c.end] }

// skip uses n bytes up.
func (c *conn) skip(n int) {
	c.start += n
	if c.start == c.end {
		c.start, c.end = 0, 0
	}
}

// hold leaves the buffer to the head that is in it: what is read from now on goes into
// another.
func (c *conn) hold() {
	if c.held != nil || c.buf == nil {
		return
	}
	c.held = c.buf
	rest := c.buffered()
	c.buf, c.start, c.end = nil, 0, 0
	if len(rest) > 0 {
		c.buf = getBuffer()
		if len(rest) > len(c.buf) {
			c.buf = make([]byte, 2*len(rest))
		}
		c.end = copy(c.buf, rest)
	}
}

// release gives the buffers back, if there is nothing in them: the exchange has ended.
func (c *conn) release() {
	if c.held != nil {
		putBuffer(c.held)
		c.held = nil
	}
	if c.buf != nil && (c.start == c.end || c.closed.Load()) {
		putBuffer(c.buf)
		c.buf, c.start, c.end = nil, 0, 0
	}
}

// room makes room to read more. It reports whether what is in the buffer has moved.
func (c *conn) room(limit int) (moved bool) {
	switch {
	case c.buf == nil:
		return false // read gets one when there is something to read
	case c.start == c.end:
		c.start, c.end = 0, 0
		return false
	case c.end < len(c.buf):
		return false
	case c.start > 0:
		c.end = copy(c.buf, c.buffered())
		c.start = 0
		return true
	case len(c.buf) >= limit:
		return false
	}
	larger := make([]byte, min(2*len(c.buf), max(limit, bufferSize)))
	c.end = copy(larger, c.buffered())
	c.start = 0
	putBuffer(c.buf)
	c.buf = larger
	return true
}

// fill reads once, waiting until there is something. There must be room.
func (c *conn) fill() error {
	n, err := c.read()
	if n > 0 {
		c.end += n
		return nil
	}
	return c.readError(err)
}

// readError turns what a read returned into one of this package's errors.
func (c *conn) readError(err error) error {
	switch {
	case c.readBy.Load() == gone:
		return io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	case err == nil || errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}

// write writes all of p and q, at once where that can be.
func (c *conn) write(p, q []byte) error {
	if len(p)+len(q) == 0 {
		return nil
	}
	return writeError(c.writeAll(p, q))
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

func writeError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return err
}

// portableRead reads through net.Conn.
func (c *conn) portableRead() (int, error) {
	if c.buf == nil {
		c.buf = getBuffer()
	}
	return c.net.Read(c.buf[c.end:])
}

// portableWrite writes through net.Conn.
func (c *conn) portableWrite(p, q []byte) error {
	for _, b := range [...][]byte{p, q} {
		if len(b) == 0 {
			continue
		}
		if _, err := c.net.Write(b); err != nil {
			return err
		}
	}
	return nil
}
