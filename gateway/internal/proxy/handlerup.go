package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

type exchangeKey struct{}

// FromContext returns the exchange that a handler in this process answers, nil without
// one. It is valid until the handler returns.
func FromContext(ctx context.Context) *Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return x
}

// attemptHandler has x answered by a handler in this process.
func (e *Endpoint) attemptHandler(x *Exchange) error {
	r, err := e.handlerRequest(x)
	if err != nil {
		return err
	}
	body := &handlerBody{body: x.Request.Body, stop: x.down.stopBody}
	r.Body = body
	w := &handlerWriter{x: x, header: make(http.Header), body: body}
	x.down.watch(abandoner(x.cancel))
	defer x.down.watch(nil)
	defer body.end() // no goroutine of the handler's reads it afterwards
	e.o.Handler.ServeHTTP(w, r)
	return w.end()
}

// handlerRequest makes the request for the handler.
func (e *Endpoint) handlerRequest(x *Exchange) (*http.Request, error) {
	host := x.Target.Host
	if host == "" {
		host = x.Request.Host // there is no hop: it is asked as the gateway was
	}
	uri := x.Target.Path
	if x.Target.HasQuery {
		uri += "?" + x.Target.Query
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: x.Request.Method, URL: u, Host: host, RequestURI: uri,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, x.Request.Fields.Len()+8),
		ContentLength: x.Request.Length, RemoteAddr: x.Client.String() + ":" + strconv.Itoa(int(x.Peer.Port())), TLS: x.TLS,
	}
	if x.Client.Is6() {
		r.RemoteAddr = "[" + x.Client.String() + "]:" + strconv.Itoa(int(x.Peer.Port()))
	}
	if x.Request.Major == 2 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	}
	x.eachField(func(name, value string) { r.Header.Add(name, value) })
	return r.WithContext(context.WithValue(x.Context(), exchangeKey{}, x)), nil
}

// handlerBody is a request's body that is gone when its handler has returned.
type handlerBody struct {
	mu   sync.Mutex // held while it is read
	body Body
	stop func() // has a read that waits for the client fail

	state    sync.Mutex
	deadline *time.Timer // nil: there was none yet
	set      uint        // which deadline it is
	expired  bool
	ended    bool
}

// Read implements io.Reader.
func (b *handlerBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.body == nil:
		return 0, http.ErrBodyReadAfterClose
	case b.late() && !b.body.Done():
		return 0, os.ErrDeadlineExceeded
	}
	n, err := b.body.Read(p)
	switch {
	case err == nil || err == io.EOF:
	case errors.Is(err, h1.ErrBodyTooLarge):
		err = &http.MaxBytesError{}
	case b.late():
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

func (b *handlerBody) late() bool {
	b.state.Lock()
	defer b.state.Unlock()
	return b.expired
}

// until sets when reading ends; zero is never.
func (b *handlerBody) until(t time.Time) {
	b.state.Lock()
	defer b.state.Unlock()
	if b.deadline != nil {
		b.deadline.Stop()
	}
	if b.set++; t.IsZero() || b.ended {
		return
	}
	this := b.set
	b.deadline = time.AfterFunc(time.Until(t), func() {
		b.state.Lock()
		defer b.state.Unlock()
		if b.set == this && !b.ended {
			b.expired = true
			b.stop()
		}
	})
}

// Close implements io.Closer.
func (b *handlerBody) Close() error { return nil }

// end takes the body away. What a goroutine of the handler still waits for does not come.
func (b *handlerBody) end() {
	b.state.Lock()
	b.ended = true
	if b.deadline != nil {
		b.deadline.Stop()
	}
	b.state.Unlock()
	if !b.mu.TryLock() {
		b.stop()
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	b.body = nil
}

// handlerWriter is the ResponseWriter of a handler in this process.
type handlerWriter struct {
	x      *Exchange
	header http.Header
	body   *handlerBody
	wrote  bool
	err    error
}

// Header implements http.ResponseWriter.
func (w *handlerWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *handlerWriter) WriteHeader(status int) {
	if w.wrote {
		return
	}
	x := w.x
	if status < 200 && status != http.StatusSwitchingProtocols {
		var fields h1.Fields
		addHeader(&fields, w.header)
		w.err = x.down.inform(status, &fields)
		return
	}
	w.wrote = true
	x.Timing.Head = x.Elapsed()
	x.proxied = true
	x.local.Reset()
	addHeader(&x.local, w.header)
	length := int64(-1)
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		length = n
	}
	x.local.RemoveHopByHop()
	x.Response = Response{Status: status, Fields: &x.local, Length: length}
	x.filter()
	x.respond()
}

func addHeader(to *h1.Fields, from http.Header) {
	for name, values := range from {
		for _, v := range values {
			to.Add(name, v)
		}
	}
}

// Write implements http.ResponseWriter.
func (w *handlerWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		if w.header.Get("Content-Type") == "" && len(p) > 0 {
			w.header.Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.x.down.write(p)
	w.x.Sent += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

// WriteString implements io.StringWriter.
func (w *handlerWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush implements http.Flusher.
func (w *handlerWriter) Flush() { _ = w.FlushError() } // the next Write tells

// FlushError is what http.ResponseController uses.
func (w *handlerWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.err == nil {
		w.err = w.x.down.flush()
	}
	return w.err
}

// SetReadDeadline is what http.ResponseController uses: it ends the reading of a body that comes too slowly.
func (w *handlerWriter) SetReadDeadline(t time.Time) error {
	w.body.until(t)
	return nil
}

// end ends the response.
func (w *handlerWriter) end() error {
	if !w.wrote {
		if w.header.Get("Content-Length") == "" {
			w.header.Set("Content-Length", "0")
		}
		w.WriteHeader(http.StatusOK)
	}
	var trailers h1.Fields
	for name, values := range w.header {
		if after, ok := cutTrailer(name); ok && h1.MayTrail(after) {
			for _, v := range values {
				trailers.Add(after, v)
			}
		}
	}
	if err := w.x.down.finish(&trailers); err != nil {
		return errClientLeft
	}
	return nil
}

func cutTrailer(name string) (string, bool) {
	const prefix = http.TrailerPrefix
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):], true
	}
	return "", false
}

var _ io.StringWriter = (*handlerWriter)(nil)
