package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

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
