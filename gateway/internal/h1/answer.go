package h1

import (
	"net/http"
	"strconv"
)

// sendContinue tells the client to send the body, unless it is answered already. Whoever reads the body may be another goroutine than
// that which answers.
func (c *ServerConn) sendContinue() error {
	c.interim.Lock()
	defer c.interim.Unlock()
	if c.answering {
		return nil
	}
	if !c.conn.armWrite(c.server.Timeouts.Write) {
		return ErrTimeout
	}
	err := c.conn.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"), nil)
	c.conn.armWrite(0)
	return err
}

// answers says whether an answer has begun, after which nobody is told to send the body.
func (c *ServerConn) answers(begun bool) {
	if c.Request.Expect {
		c.interim.Lock()
		c.answering = begun
		c.interim.Unlock()
	}
}

// Inform sends an interim response, to clients that know of those.
func (c *ServerConn) Inform(status int, fields *Fields) error {
	if c.phase != phaseNone || c.Request.Minor == 0 {
		return nil
	}
	if c.Request.Expect {
		c.interim.Lock()
		defer c.interim.Unlock()
	}
	c.grab()
	c.out = appendStatusLine(c.out, status, nil)
	c.out = fields.append(c.out)
	c.out = append(c.out, "\r\n"...)
	return c.Flush()
}

func (c *ServerConn) grab() {
	if c.out == nil {
		c.out = getBuffer()[:0]
	}
}

// Respond begins the answer. Nothing is written before Flush or Finish, or before much
// of the body is there.
func (c *ServerConn) Respond(r *Reply) {
	c.grab()
	c.answers(true)
	c.phase = phaseBody
	out := appendStatusLine(c.out, r.Status, r.Reason)
	out = r.Fields.append(out)
	if !r.Fields.dated() {
		out = appendDate(out, c.server.now())
	}
	if c.server.draining.Load() {
		c.keep = false
	}
	switch {
	case bodiless(r.Status):
		c.head = true
		if r.Status == http.StatusNotModified && r.Length >= 0 {
			out = appendLength(out, r.Length)
		}
	case r.Length >= 0:
		out = appendLength(out, r.Length)
		c.framing, c.left = framedLength, r.Length
	case c.Request.Minor == 1:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
		c.framing = framedChunked
	default:
		c.framing = framedClose
		c.keep = c.keep && c.head
	}
	switch {
	case !c.keep:
		out = append(out, "Connection: close\r\n"...)
	case c.Request.Minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	c.out = append(out, "\r\n"...)
}

func appendLength(to []byte, n int64) []byte {
	to = append(to, "Content-Length: "...)
	to = strconv.AppendInt(to, n, 10)
	return append(to, "\r\n"...)
}

// Close makes the connection close after this answer. It must be called before Respond.
func (c *ServerConn) Close() { c.keep = false }

// Write writes of the body. What is small is kept until Flush. Of an answer without a
// body nothing is written.
func (c *ServerConn) Write(p []byte) (int, error) {
	n := len(p)
	if c.head || n == 0 {
		return n, nil
	}
	if c.framing == framedLength {
		if int64(n) > c.left {
			return 0, ErrTooMuch
		}
		c.left -= int64(n)
	}
	const frame = 2 + 8 + 2 + 2 // of a chunk
	if n+len(c.out)+frame <= cap(c.out) {
		if c.framing == framedChunked {
			c.out = appendChunkSize(c.out, n)
			c.out = append(c.out, p...)
			c.out = append(c.out, "\r\n"...)
		} else {
			c.out = append(c.out, p...)
		}
		return n, nil
	}
	if c.framing == framedChunked {
		c.out = appendChunkSize(c.out, n)
	}
	if err := c.writeOut(p); err != nil {
		return 0, err
	}
	if c.framing == framedChunked {
		c.out = append(c.out, "\r\n"...)
	}
	return n, nil
}

// Flush writes what is kept.
func (c *ServerConn) Flush() error {
	if len(c.out) == 0 {
		return nil
	}
	return c.writeOut(nil)
}

func (c *ServerConn) writeOut(p []byte) error {
	if !c.conn.armWrite(c.server.Timeouts.Write) {
		return ErrTimeout
	}
	c.begun = c.begun || c.phase != phaseNone
	err := c.conn.write(c.out, p)
	c.out = c.out[:0]
	c.conn.armWrite(0)
	return err
}

// Begun reports whether something of the answer was written to the client.
func (c *ServerConn) Begun() bool { return c.begun }

// Withdraw takes an answer back of which nothing was written yet. It reports whether that
// was so.
func (c *ServerConn) Withdraw() bool {
	if c.phase != phaseBody || c.begun {
		return false
	}
	c.out = c.out[:0]
	c.answers(false)
	c.phase, c.framing, c.left = phaseNone, framedNone, 0
	c.head = c.Request.Method == http.MethodHead
	return true
}

// Finish ends the answer, with trailer fields if it is chunked and has them, and writes
// what is kept. After an error the connection is closed.
func (c *ServerConn) Finish(trailers *Fields) error {
	if c.phase != phaseBody {
		return nil
	}
	if c.framing == framedLength && c.left > 0 && !c.head {
		c.Abort()
		return ErrTooLittle
	}
	if c.framing == framedChunked && !c.head {
		c.out = append(c.out, "0\r\n"...)
		if trailers != nil && trailers.Len() > 0 {
			c.out = trailers.append(c.out)
		}
		c.out = append(c.out, "\r\n"...)
	}
	if err := c.Flush(); err != nil {
		c.Abort()
		return err
	}
	putBuffer(c.out)
	c.out = nil
	c.phase = phaseDone
	return nil
}

// Abort closes the connection in the middle of an answer, so that the client cannot
// take it for complete.
func (c *ServerConn) Abort() {
	c.keep = false
	c.phase = phaseTunnel // nothing is to be waited for
	_ = c.conn.net.Close()
}
