package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/net/http2"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// openH2 makes the server of HTTP/2.
func (s *Server) openH2() {
	s.h2 = s.options.HTTP2
	if s.h2 == nil {
		s.h2 = &http2.Server{MaxConcurrentStreams: 250, IdleTimeout: h2IdleTimeout}
	}
	limit := s.options.Limits.Head
	if limit == 0 {
		limit = 32 << 10
	}
	s.h2base = &http.Server{MaxHeaderBytes: limit, ReadHeaderTimeout: s.options.Timeouts.Head}
	s.h2conns = make(map[net.Conn]struct{})
	if err := http2.ConfigureServer(s.h2base, s.h2); err != nil {
		panic("http2: " + err.Error()) // only of a TLS configuration, and there is none
	}
}

// serveH2 serves a connection whose client speaks HTTP/2, until it is closed.
func (s *Server) serveH2(nc net.Conn, state *tls.ConnectionState) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = nc.Close() // the client tries elsewhere
		return true
	}
	s.h2conns[nc] = struct{}{}
	s.mu.Unlock()
	defer func() {
		_ = nc.Close() // mostly closed already
		s.mu.Lock()
		delete(s.h2conns, nc)
		s.mu.Unlock()
	}()
	peer, port := addrs(nc)
	s.h2.ServeConn(nc, &http2.ServeConnOpts{
		Context: s.context, BaseConfig: s.h2base,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := h2Downs.Get().(*h2Down)
			d.x.server, d.x.down = s, d
			d.x.Peer, d.x.ServerPort, d.x.TLS = peer, port, state
			d.serve(w, r)
		}),
	})
	return true
}

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
}

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
	d.started, d.aborted, d.head = false, false, r.Method == http.MethodHead
	d.take()
	d.x.server.serve(&d.x)
	d.watch(nil)
	d.body.free()
	aborted := d.aborted
	d.w, d.r, d.body = nil, nil, nil
	h2Downs.Put(d)
	if aborted {
		panic(http.ErrAbortHandler) // resets the stream
	}
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
	q := &x.Request
	q.Method, q.Host, q.Path, q.Query = r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery
	q.HasQuery = r.URL.RawQuery != "" || r.URL.ForceQuery
	if path, query, ok := cutQuery(r.RequestURI); ok { // as it was sent
		q.Path, q.Query, q.HasQuery = path, query, len(path) != len(r.RequestURI)
	}
	q.Major, q.Minor = 2, 0
	q.Fields, q.Length, q.Body = &d.fields, r.ContentLength, d.body
	d.body.ended = func(trailers *h1.Fields) { addTrailers(trailers, r.Trailer) }
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
	return d.w.Write(p)
}

func (d *h2Down) flush() error { return http.NewResponseController(d.w).Flush() }

func (d *h2Down) finish(trailers *h1.Fields) error {
	if trailers != nil {
		h := d.w.Header()
		for name, value := range trailers.All() {
			h.Add(http.TrailerPrefix+string(name), string(value))
		}
	}
	return nil
}

func (d *h2Down) abort()      { d.aborted = true }
func (d *h2Down) begun() bool { return d.started }
func (d *h2Down) close()      {}

func (d *h2Down) buffered() ([]byte, bool) { return nil, d.r.ContentLength == 0 }

func (d *h2Down) stopBody() { _ = d.r.Body.Close() } // whoever reads is told

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
