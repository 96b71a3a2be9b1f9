package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// maxInterim bounds the interim responses to one request.
const maxInterim = 16

var (
	errInterim = errors.New("too many interim responses")
	errSwitch  = errors.New("protocol was switched without being asked to")
)

// attemptH1 has x answered by an HTTP/1.1 upstream.
func (e *Endpoint) attemptH1(x *Exchange) error {
	if x.Attempts == 1 {
		x.body, x.whole = x.down.buffered()
	}
	for fresh := false; ; fresh = true {
		c, err := e.pool.Get(x.server.context, fresh)
		if err != nil {
			return &retryable{err} // nothing was sent
		}
		x.use(c)
		err = e.ask(x, c)
		if err == nil {
			return nil
		}
		x.broken = true
		var body *bodyError
		safe := x.whole && h1.Idempotent(x.Request.Method)
		switch {
		case x.proxied, c.Answered(), errors.Is(err, errClientLeft), errors.As(err, &body):
			return err
		case x.whole && c.Abandoned():
			return errClientLeft
		case h1.Stale(err) && !fresh:
		case safe && c.Reused() && !fresh && !errors.Is(err, h1.ErrTimeout):
			// It was closed while it was not used: not the upstream's failure.
		case safe:
			return &retryable{err}
		default:
			return err
		}
	}
}

// use makes c the connection of the exchange. It is given back when the exchange has
// ended: until then the response's head is in its buffer.
func (x *Exchange) use(c *h1.ClientConn) {
	x.release()
	x.conn, x.broken = c, false
}

// release gives the connection back.
func (x *Exchange) release() {
	switch {
	case x.conn == nil:
	case x.broken:
		x.conn.Discard()
	default:
		x.conn.Release()
	}
	x.conn = nil
}

// ask sends the request on c, and passes on what is answered.
func (e *Endpoint) ask(x *Exchange, c *h1.ClientConn) error {
	x.down.watch(c)
	defer x.down.watch(nil)
	if !x.whole {
		return e.stream(x, c)
	}
	out := e.appendHead(h1.Buffer(), x)
	out = append(out, x.body...)
	err := c.Ask(out, e.o.Read)
	h1.PutBuffer(out)
	if err != nil {
		return err
	}
	return e.receive(x, c, nil)
}

// appendHead writes the head of the request for the upstream.
func (e *Endpoint) appendHead(to []byte, x *Exchange) []byte {
	r := &x.Request
	to = h1.AppendRequestLine(to, r.Method, x.Target.Path, x.Target.Query, x.Target.HasQuery)
	host := x.Target.Host
	if host == "" {
		host = e.host
	}
	to = h1.AppendField(to, "Host", host)
	to = x.appendFields(to)
	switch {
	case r.Length < 0 && !x.whole:
		to = append(to, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || len(x.body) > 0:
		to = h1.AppendLength(to, max(r.Length, int64(len(x.body))))
	case hasBodyByDefault(r.Method):
		to = append(to, "Content-Length: 0\r\n"...)
	}
	if r.Upgrade != "" {
		to = append(to, "Connection: Upgrade\r\n"...)
		to = h1.AppendField(to, "Upgrade", r.Upgrade)
	}
	return append(to, "\r\n"...)
}

// hasBodyByDefault tells the methods that are meant to have content: without any the
// length is said to be 0 (RFC 9110 section 8.6).
func hasBodyByDefault(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// receive reads the response, and passes it on.
func (e *Endpoint) receive(x *Exchange, c *h1.ClientConn, upload *upload) error {
	for n := 0; ; n++ {
		if err := c.Await(x.Request.Method, e.o.Read); err != nil {
			return err
		}
		r := &c.Response
		if !r.Interim() {
			break
		}
		if n == maxInterim {
			return errInterim
		}
		if r.Status == http.StatusContinue {
			continue // Expect was not passed on: nobody waits for it
		}
		r.Fields.RemoveHopByHop()
		if err := x.down.inform(r.Status, &r.Fields); err != nil {
			return errClientLeft
		}
	}
	r := &c.Response
	if r.Status == http.StatusSwitchingProtocols && (x.Request.Upgrade == "" || !r.SwitchesTo(x.Request.Upgrade)) {
		return errSwitch
	}
	x.Timing.Head = x.Elapsed()
	x.proxied = true
	r.Fields.RemoveHopByHop()
	x.Response = Response{Status: r.Status, Reason: r.Reason, Fields: &r.Fields, Length: r.Length}
	if !r.HasLength() && !r.HasBody(x.Request.Method) {
		x.Response.Length = -1
	}
	x.filter()
	if r.Status == http.StatusSwitchingProtocols {
		x.down.watch(nil)
		return x.down.switchTo(c, x.Response.Fields, x)
	}
	if upload != nil && !upload.taken.Load() {
		x.down.close() // the client is still sending: the next request is nowhere
	}
	return x.relay(&c.Body)
}

// respond begins the answer with the head of the response.
func (x *Exchange) respond() {
	x.reply = h1.Reply{Status: x.Response.Status, Reason: x.Response.Reason, Fields: x.Response.Fields, Length: x.Response.Length}
	x.down.respond(&x.reply)
}

// relay passes a response on.
func (x *Exchange) relay(body Body) error {
	x.respond()
	if x.Response.Length < 0 && !body.Buffered() { // a stream, of which the beginning may be long in coming
		if err := x.down.flush(); err != nil {
			x.down.abort()
			return errClientLeft
		}
	}
	for {
		p, err := body.Next()
		if len(p) > 0 {
			if _, err := x.down.write(p); err != nil {
				x.down.abort()
				return errClientLeft
			}
			x.Sent += int64(len(p))
			if !body.Buffered() {
				if err := x.pass(body); err != nil {
					x.down.abort()
					return err
				}
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			if x.down.withdraw() {
				x.proxied, x.Sent = false, 0 // the client can be told
			} else {
				x.down.abort()
			}
			return err
		}
	}
	if err := x.down.finish(body.Trailers()); err != nil {
		return errClientLeft
	}
	return nil
}

// pass sends what has been written of the answer, and what is still to come of a large
// body if the kernel can pass it on.
func (x *Exchange) pass(body Body) error {
	if down, ok := x.down.(*h1Down); ok {
		if body, ok := body.(*h1.Body); ok {
			n, err := down.c.Splice(body)
			x.Sent += n
			if n > 0 || err != nil {
				return err
			}
		}
	}
	if err := x.down.flush(); err != nil {
		return errClientLeft
	}
	return nil
}

// upload is a request's body on its way to the upstream, while the response may come.
type upload struct {
	taken   atomic.Bool // the client has sent all of it
	waiting atomic.Bool // the client is waited for
	failed  atomic.Bool // it could not be read
	stopped bool        // nobody wants the rest: that it could not be read is not the client's fault
	slow    bool        // the client was waited for when no answer had come in time
	late    bool        // the upstream has not taken it in time
	done    chan struct{}
	err     error // set before done is closed
}

// lastWrite is how long the end of an upload may take after the answer was passed on:
// mostly its goroutine has only not run yet.
const lastWrite = 100 * time.Millisecond

// soon reports whether the end of an upload comes within lastWrite.
func soon(end <-chan struct{}) bool {
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	select {
	case <-end:
		return true
	case <-timer.C:
		return false
	}
}

// stream sends a request whose body is still coming.
func (e *Endpoint) stream(x *Exchange, c *h1.ClientConn) error {
	if err := c.Begin(); err != nil {
		return err
	}
	head := e.appendHead(h1.Buffer(), x)
	err := c.Send(head, nil, e.o.Write)
	h1.PutBuffer(head)
	if err != nil {
		return late(notTaken, e.o.Write, err)
	}
	u := &upload{done: make(chan struct{})}
	go func() {
		defer close(u.done)
		u.err = e.send(x, c, u)
	}()
	err = e.download(x, c, u)
	var body *bodyError
	switch {
	case err == nil && u.err != nil:
		c.Abandon() // not to be used again
	case errors.Is(err, h1.ErrTimeout) && !x.proxied && u.late:
		return late(notTaken, e.o.Write, err)
	case u.slow && !x.proxied && errors.Is(err, h1.ErrTimeout):
		return &bodyError{err}
	case err != nil && !x.proxied && !u.stopped && errors.As(u.err, &body):
		if errors.Is(body, h1.ErrBodyTooLarge) || isProtocol(body) {
			return body
		}
		return errClientLeft
	}
	return err
}

// download is receive while the request's body is on its way. When it returns, nobody
// reads that any more.
func (e *Endpoint) download(x *Exchange, c *h1.ClientConn, u *upload) error {
	defer func() {
		select {
		case <-u.done:
			return
		default:
		}
		// The answer came first, or never: nobody wants the rest.
		if !u.taken.Load() {
			u.stopped, u.slow = !u.failed.Load(), u.waiting.Load()
			x.down.stopBody()
		} else if c.Body.Done() && soon(u.done) {
			return
		}
		c.Abandon()
		<-u.done
	}()
	err := e.receive(x, c, u)
	if err != nil && c.Abandoned() {
		return errClientLeft
	}
	return err
}

func isProtocol(err error) bool {
	var p *h1.ProtocolError
	return errors.As(err, &p)
}

// send passes the request's body on.
func (e *Endpoint) send(x *Exchange, c *h1.ClientConn, u *upload) error {
	body, chunked := x.Request.Body, x.Request.Length < 0
	var frame []byte
	for {
		u.waiting.Store(true)
		p, err := body.Next()
		u.waiting.Store(false)
		if body.Done() {
			u.taken.Store(true)
		}
		if len(p) > 0 {
			if chunked {
				frame = h1.AppendChunk(frame[:0], p)
				p = frame
			}
			c.Postpone(e.o.Read + e.o.Write) // it answers what it has taken
			if err := c.Send(p, nil, e.o.Write); err != nil {
				u.late = errors.Is(err, h1.ErrTimeout) && !c.Abandoned()
				return err // the upstream may have answered nevertheless
			}
			c.Postpone(e.o.Read) // it cannot answer what it does not have
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			u.failed.Store(true)
			c.Abandon()
			return &bodyError{err}
		}
	}
	if chunked {
		return c.Send(h1.AppendLastChunk(frame[:0], body.Trailers()), nil, e.o.Write)
	}
	return nil
}
