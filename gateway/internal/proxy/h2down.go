package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
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

var h2Downs = sync.Pool{New: func() any { return new(h2Down) }}

// h2Down is the client's side of an exchange on HTTP/2.
type h2Down struct {
	x        Exchange
	w        http.ResponseWriter
	r        *http.Request
	fields   h1.Fields
	body     *readerBody
	started  bool
	aborted  bool
	head     bool
	watching *watching
	unwatch  func() bool
	patience patience
	tail     bool // something was written that may still be in net/http's buffer
}

// patience is with a client that takes nothing of what is written. The window of a stream may be closed for ever, and its connection
// be alive nevertheless.
type patience struct {
	mu    sync.Mutex
	timer *time.Timer
	w     http.ResponseWriter // nil while nothing is written
	until time.Duration       // by the monotonic clock
}

// begin is called before something is written, with how long that may take; not above 0 is for ever.
func (p *patience) begin(w http.ResponseWriter, limit time.Duration) {
	if limit <= 0 {
		return
	}
	p.mu.Lock()
	p.w, p.until = w, monotonic()+limit
	p.mu.Unlock()
	if p.timer == nil {
		p.timer = time.AfterFunc(limit, p.lost)
		return
	}
	p.timer.Reset(limit)
}

// end is called after it was written.
func (p *patience) end() {
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.mu.Lock()
	p.w = nil
	p.mu.Unlock()
}

// lost resets the stream.
func (p *patience) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && monotonic() >= p.until { // else it is late, and something else is being written
		_ = http.NewResponseController(p.w).SetWriteDeadline(past) // it is HTTP/2's, which can
	}
}

var past = time.Unix(1, 0)

// writeLimit is how long a client may take for what is written.
func (s *Server) writeLimit() time.Duration {
	if limit := s.options.Timeouts.Write; limit != 0 {
		return limit
	}
	return defaultWrite
}

const defaultWrite = 30 * time.Second // h1's

// watching is what is abandoned when the client leaves. The lock makes sure that it is
// not when the exchange has gone on already.
type watching struct {
	mu sync.Mutex
	a  h1.Abandoner
}

func (w *watching) left() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.a != nil {
		w.a.Abandon()
	}
}

func (w *watching) set(a h1.Abandoner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.a = a
}

func (d *h2Down) serve(w http.ResponseWriter, r *http.Request) {
	d.w, d.r = w, r
	d.started, d.aborted, d.tail, d.head = false, false, false, r.Method == http.MethodHead
	d.take()
	if err := d.malformed(); err != nil {
		d.refuse(err)
	} else {
		d.x.server.serve(&d.x)
	}
	d.watch(nil)
	d.body.free()
	if limit := d.x.server.writeLimit(); d.tail && limit > 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit)) // of what net/http writes when this has returned
	}
	aborted := d.aborted
	d.w, d.r, d.body = nil, nil, nil
	h2Downs.Put(d)
	if aborted {
		panic(http.ErrAbortHandler) // resets the stream
	}
}

// What net/http lets pass of what RFC 9113 forbids.
var (
	errH2Path   = &h1.ProtocolError{Status: http.StatusBadRequest, Reason: ":path with a character that is not allowed"}
	errH2Form   = &h1.ProtocolError{Status: http.StatusBadRequest, Reason: ":path is not a path"}
	errH2Host   = &h1.ProtocolError{Status: http.StatusBadRequest, Reason: ":authority is not a host with a port"}
	errH2Hosts  = &h1.ProtocolError{Status: http.StatusBadRequest, Reason: "Host is another than :authority"}
	errH2Length = &h1.ProtocolError{Status: http.StatusBadRequest, Reason: "the body is not as long as Content-Length says"}
)

// malformed returns what is wrong with a request. What came as a field of its own may hold a space, with which it would be a
// request line of another meaning to an upstream by HTTP/1.1, or a host of which one reader takes another part than the next.
func (d *h2Down) malformed() *h1.ProtocolError {
	r := d.r
	hosts := r.Header["Host"]
	switch {
	case r.Method == http.MethodConnect:
		return nil // it has no path, and is refused anyway
	case !h1.IsTarget(r.RequestURI):
		return errH2Path
	case !isPath(r.Method, d.x.Request.Path):
		return errH2Form
	case !h1.IsHost(r.Host):
		return errH2Host
	case len(hosts) > 1 || len(hosts) == 1 && !strings.EqualFold(hosts[0], r.Host): // section 8.3.1
		return errH2Hosts
	case r.ContentLength == 0: // section 8.1.1; net/http says so also if the stream has ended already
		for _, length := range r.Header["Content-Length"] {
			if strings.Trim(length, "0") != "" {
				return errH2Length
			}
		}
	}
	return nil
}

// refuse answers a request that breaks the rules.
func (d *h2Down) refuse(err *h1.ProtocolError) {
	if refused := d.x.server.options.Refused; refused != nil {
		refused(net.TCPAddrFromAddrPort(d.x.Peer), err)
	}
	d.x.refuse(err.Status, "Bad request")
	d.x.end()
}

// declaredBody is a body with a Content-Length. What net/http says of one that does not keep it is turned into what it is: the
// client's fault, of which it can be told.
type declaredBody struct {
	io.Reader
	ctx  context.Context
	left int64
}

// Read implements io.Reader.
func (b *declaredBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); err != nil && err != io.EOF && b.left != 0 && b.ctx.Err() == nil && !errors.Is(err, http.ErrBodyReadAfterClose) {
		err = errH2Length
	}
	return n, err
}

// take makes an exchange of the stream's request.
func (d *h2Down) take() {
	x, r := &d.x, d.r
	x.reset()
	x.Start, x.base = x.server.clock.Now(), monotonic()
	d.fields.Reset()
	for name, values := range r.Header {
		for _, v := range values {
			d.fields.Add(name, v)
		}
	}
	x.wantsTrailers = d.fields.Get("Te") == "trailers"
	d.fields.RemoveHopByHop()
	d.fields.RemoveHost()
	d.body, d.watching = newReaderBody(r.Body), new(watching)
	if r.ContentLength > 0 {
		d.body.r = &declaredBody{r.Body, r.Context(), r.ContentLength}
	}
	q := &x.Request
	q.Method, q.Host, q.Path, q.Query = r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery
	q.HasQuery = r.URL.RawQuery != "" || r.URL.ForceQuery
	if path, query, ok := cutQuery(r.RequestURI); ok { // as it was sent
		q.Path, q.Query, q.HasQuery = path, query, len(path) != len(r.RequestURI)
	} else if r.RequestURI == "*" {
		q.Path = r.RequestURI
	}
	q.Major, q.Minor = 2, 0
	q.Fields, q.Length, q.Body = &d.fields, r.ContentLength, d.body
	d.body.ended = func(trailers *h1.Fields) { addTrailers(trailers, r.Trailer) }
}

// isPath reports whether a path is one that a request line may have.
func isPath(method, path string) bool {
	return path != "" && path[0] == '/' || path == "*" && method == http.MethodOptions
}

// cutQuery splits a request-target in origin form.
func cutQuery(target string) (path, query string, ok bool) {
	if target == "" || target[0] != '/' {
		return "", "", false
	}
	for i := range len(target) {
		if target[i] == '?' {
			return target[:i], target[i+1:], true
		}
	}
	return target, "", true
}

func addTrailers(to *h1.Fields, from http.Header) {
	for name, values := range from {
		if !h1.MayTrail(name) {
			continue
		}
		for _, v := range values {
			to.Add(name, v)
		}
	}
}

func (d *h2Down) inform(status int, fields *h1.Fields) error {
	h := d.w.Header()
	for name, value := range fields.All() {
		h.Add(string(name), string(value))
	}
	d.w.WriteHeader(status)
	clear(h)
	return nil
}

func (d *h2Down) respond(r *h1.Reply) {
	d.started = true
	h := d.w.Header()
	for name, value := range r.Fields.All() {
		h.Add(string(name), string(value))
	}
	if r.Length >= 0 && r.Status != http.StatusNoContent {
		h.Set("Content-Length", strconv.FormatInt(r.Length, 10))
	}
	d.w.WriteHeader(r.Status)
}

func (d *h2Down) write(p []byte) (int, error) {
	if d.head {
		return len(p), nil
	}
	d.patience.begin(d.w, d.x.server.writeLimit())
	n, err := d.w.Write(p)
	d.patience.end()
	d.tail = true
	return n, err
}

func (d *h2Down) flush() error {
	d.patience.begin(d.w, d.x.server.writeLimit())
	err := http.NewResponseController(d.w).Flush()
	d.patience.end()
	d.tail = false
	return err
}

func (d *h2Down) finish(trailers *h1.Fields) error {
	if trailers != nil {
		h := d.w.Header()
		for name, value := range trailers.All() {
			h.Add(http.TrailerPrefix+string(name), string(value))
		}
	}
	return nil
}

func (d *h2Down) abort()         { d.aborted = true }
func (d *h2Down) withdraw() bool { return false }
func (d *h2Down) begun() bool    { return d.started }
func (d *h2Down) close()         {}

func (d *h2Down) buffered() ([]byte, bool) { return nil, d.r.ContentLength == 0 }

func (d *h2Down) stopBody()      { _ = d.r.Body.Close() } // whoever reads is told
func (d *h2Down) interruptBody() { _ = d.r.Body.Close() }

func (d *h2Down) watch(a h1.Abandoner) {
	d.watching.set(a)
	if d.unwatch != nil {
		d.unwatch()
		d.unwatch = nil
	}
	if a != nil {
		d.unwatch = context.AfterFunc(d.r.Context(), d.watching.left)
	}
}

func (d *h2Down) context() context.Context { return d.r.Context() }

func (d *h2Down) switchTo(*h1.ClientConn, *h1.Fields, *Exchange) error { return errNoUpgrade }
