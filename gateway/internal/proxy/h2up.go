package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// The health of connections to HTTP/2 upstreams.
const (
	h2IdleTimeout = 2 * time.Minute
	h2PingAfter   = 30 * time.Second
	h2PingTimeout = 15 * time.Second
)

// openH2 makes the endpoint one that speaks HTTP/2.
func (e *Endpoint) openH2() {
	idle := e.o.IdleTimeout
	if idle == 0 {
		idle = h2IdleTimeout
	}
	protocols := new(http.Protocols)
	if e.o.TLS != nil {
		e.o.TLS.NextProtos = []string{protocolH2}
		protocols.SetHTTP2(true)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := e.dial(ctx)
		if tc, ok := nc.(*tls.Conn); err == nil && ok && tc.ConnectionState().NegotiatedProtocol != protocolH2 {
			_ = nc.Close() // it is of no use
			return nil, errNotH2
		}
		return nc, err
	}
	t := &http.Transport{
		Protocols: protocols, DialContext: dial, DialTLSContext: dial, TLSClientConfig: e.o.TLS,
		DisableCompression: true, IdleConnTimeout: idle, MaxResponseHeaderBytes: int64(e.o.Limits.Head), // 0 is its default
		HTTP2: &http.HTTP2Config{SendPingTimeout: h2PingAfter, PingTimeout: h2PingTimeout, WriteByteTimeout: e.o.Write},
	}
	e.attempt = func(x *Exchange) error { return e.attemptH2(x, t) }
	e.closeFn = t.CloseIdleConnections
}

var errNotH2 = errors.New("upstream does not speak HTTP/2")

// attemptH2 has x answered by an HTTP/2 upstream.
func (e *Endpoint) attemptH2(x *Exchange, t *http.Transport) error {
	if x.Attempts == 1 {
		x.body, x.whole = x.down.buffered()
	}
	ctx, cause := context.WithCancelCause(x.Context())
	cancel := func() { cause(nil) }
	defer cancel()
	x.down.watch(abandoner(cancel))
	defer x.down.watch(nil)
	timer := time.AfterFunc(e.o.Read, func() { cause(h1.ErrTimeout) }) // no answer in time
	defer timer.Stop()
	request, sent := e.h2Request(ctx, x, timer)
	response, err := t.RoundTrip(request)
	if err == nil {
		defer response.Body.Close()
		if sent != nil && !sent.taken.Load() {
			x.down.close() // the client is still sending: the next request is nowhere
		}
		err = e.relayH2(x, response, timer)
	}
	if err != nil && !errors.Is(err, errClientLeft) && context.Cause(ctx) == h1.ErrTimeout { //nolint:errorlint // it is the timer's
		err = h1.ErrTimeout
	}
	if sent != nil {
		taken := sent.taken.Load()
		if !taken || !soon(sent.closed) {
			cancel()
			if !taken {
				x.down.close()
				sent.stop()
			}
			<-sent.closed
			if !x.proxied && err == h1.ErrTimeout && sent.slow.Load() { //nolint:errorlint // it was set above
				err = &bodyError{err} // it is the client who has taken too long
			}
		}
		sent.end()
		if sent.err != nil && !x.proxied {
			return sent.err
		}
	}
	switch {
	case err == nil || x.proxied:
		return err
	case x.down.context().Err() != nil:
		return errClientLeft
	case x.whole && h1.Idempotent(x.Request.Method):
		return &retryable{err}
	}
	return err
}

// h2Request makes the request for the upstream.
func (e *Endpoint) h2Request(ctx context.Context, x *Exchange, timer *time.Timer) (*http.Request, *sentBody) {
	scheme := "http"
	if e.o.TLS != nil {
		scheme = "https"
	}
	host := x.Target.Host
	if host == "" {
		host = e.host
	}
	r := &http.Request{
		Method: x.Request.Method, Proto: "HTTP/2.0", ProtoMajor: 2,
		URL:  &url.URL{Scheme: scheme, Host: host, Opaque: opaque(x), RawQuery: x.Target.Query, ForceQuery: x.Target.HasQuery && x.Target.Query == ""},
		Host: host, Header: make(http.Header, x.Request.Fields.Len()+8),
	}
	x.eachField(func(name, value string) {
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	})
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = nil // none of the transport's own
	}
	if x.wantsTrailers || strings.HasPrefix(x.Request.Fields.Get("Content-Type"), "application/grpc") {
		r.Header["Te"] = []string{"trailers"}
	}
	var sent *sentBody
	switch {
	case !x.whole:
		sent = &sentBody{body: x.Request.Body, closed: make(chan struct{}), timer: timer, wait: e.o.Read, write: e.o.Write, interrupt: x.down.interruptBody}
		r.Body, r.ContentLength = sent, x.Request.Length
	case len(x.body) > 0:
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(x.body))), int64(len(x.body))
	}
	return r.WithContext(ctx), sent
}

// opaque is the path as it was sent: the transport takes it as it is.
func opaque(x *Exchange) string {
	if strings.HasPrefix(x.Target.Path, "//") { // an authority otherwise
		return "/%2F" + x.Target.Path[2:]
	}
	return x.Target.Path
}

// relayH2 passes the response on.
func (e *Endpoint) relayH2(x *Exchange, r *http.Response, timer *time.Timer) error {
	x.Timing.Head = x.Elapsed()
	x.proxied = true
	x.local.Reset()
	for name, values := range r.Header {
		for _, v := range values {
			x.local.Add(name, v)
		}
	}
	x.local.RemoveHopByHop()
	length := r.ContentLength
	if length == 0 && r.Header.Get("Content-Length") == "" {
		length = -1
	}
	x.Response = Response{Status: r.StatusCode, Fields: &x.local, Length: length}
	x.filter()
	body := newReaderBody(&timedReader{r.Body, timer, e.o.Read})
	defer body.free()
	body.ended = func(trailers *h1.Fields) { addTrailers(trailers, r.Trailer) }
	return x.relay(body)
}

// timedReader gives each read the whole of the time.
type timedReader struct {
	r     io.Reader
	timer *time.Timer
	wait  time.Duration
}

func (t *timedReader) Read(p []byte) (int, error) {
	t.timer.Reset(t.wait)
	defer t.timer.Stop() // how long the client takes is not the upstream's time
	return t.r.Read(p)
}

// sentBody is a request's body as the transport reads it. The transport may go on reading
// after it has returned the response: the exchange ends only when it has closed it.
type sentBody struct {
	body   Body
	once   sync.Once
	closed chan struct{}
	timer  *time.Timer
	wait   time.Duration
	write  time.Duration
	mu     sync.Mutex
	err    error       // why the client's side of it failed
	taken  atomic.Bool // the client has sent all of it
	// waiting says that the client is waited for.
	waiting atomic.Bool
	// stopped says that nobody wants the rest: that it could not be read is not the client's fault.
	stopped   atomic.Bool
	slow      atomic.Bool // the client was waited for then
	stopping  sync.Once
	interrupt func()
}

// stop ends a Read that waits for the client.
func (b *sentBody) stop() {
	b.stopping.Do(func() {
		b.slow.Store(b.waiting.Load())
		b.stopped.Store(true)
		b.interrupt()
	})
}

// Read implements io.Reader.
func (b *sentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body == nil {
		return 0, errEnded
	}
	if b.stopped.Load() {
		return 0, errEnded
	}
	b.timer.Reset(b.wait)
	b.waiting.Store(true)
	n, err := b.body.Read(p)
	b.waiting.Store(false)
	if b.body.Done() {
		b.taken.Store(true)
		b.timer.Reset(b.wait)
	} else {
		b.timer.Reset(b.wait + b.write) // until it was written, and the next is read
	}
	if err != nil && err != io.EOF && !b.stopped.Load() {
		b.err = &bodyError{err}
	}
	return n, err
}

var errEnded = errors.New("the exchange has ended")

// end waits for a Read that is under way: the body is not the transport's any more.
func (b *sentBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body = nil
}

// Close implements io.Closer. The transport calls it also while a Read waits for the client, whose next bytes nobody wants if the
// upstream is gone.
func (b *sentBody) Close() error {
	b.once.Do(func() {
		if !b.taken.Load() {
			b.stop()
		}
		close(b.closed)
	})
	return nil
}
