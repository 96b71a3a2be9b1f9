package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

func TestWhatTheUpstreamIsSent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		request  string
		options  proxy.Options
		endpoint proxy.EndpointOptions
		want     []string // lines that must be there
		not      []string // what must not be anywhere
	}{
		{
			name: "where the request came from",
			request: lines("GET /a%2Fb?c=d HTTP/1.1", "Host: example.com:81", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
				"X-Forwarded-Port: 1", "X-Forwarded-Path: /evil", "X-Forwarded-Prefix: /evil", "X-Real-IP: 6.6.6.6", "X-Kong-Request-Id: mine"),
			options: proxy.Options{Headers: proxy.KongHeaders},
			want: []string{
				"GET /a%2Fb?c=d HTTP/1.1", "X-Forwarded-For: 1.2.3.4, 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: example.com",
				"X-Forwarded-Path: /a%2Fb", "X-Real-IP: 127.0.0.1", "Via: 1.1 perdure",
			},
			not: []string{"evil", "6.6.6.6", "mine", "X-Forwarded-Port: 1\r\n", "Connection"},
		},
		{
			name: "from a trusted proxy",
			request: lines("GET / HTTP/1.1", "Host: example.com", "X-Forwarded-For: 9.9.9.9, 1.2.3.4", "X-Forwarded-For: 10.0.0.7", "X-Forwarded-Proto: https",
				"X-Forwarded-Host: public", "X-Forwarded-Port: 443", "X-Forwarded-Path: /p", "X-Forwarded-Prefix: /q"),
			options: proxy.Options{Trusted: proxy.TrustedProxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}},
			want: []string{
				"X-Forwarded-For: 9.9.9.9, 1.2.3.4, 10.0.0.7, 127.0.0.1", "X-Real-IP: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: public",
				"X-Forwarded-Port: 443", "X-Forwarded-Path: /p", "X-Forwarded-Prefix: /q",
			},
		},
		{
			name: "fields for one connection stay",
			request: lines("GET / HTTP/1.1", "Host: a", "Connection: close, X-Private", "X-Private: 1", "Keep-Alive: 5", "TE: gzip", "Proxy-Authorization: x",
				"Upgrade: h2c", "X-Public: 2"),
			want: []string{"X-Public: 2"},
			not:  []string{"Private", "Keep-Alive", "TE:", "Proxy-", "Upgrade", "Connection"},
		},
		{
			name:     "host of the endpoint",
			request:  lines("GET http://b/x HTTP/1.1", "Host: a"),
			endpoint: proxy.EndpointOptions{Host: "service.internal"},
			want:     []string{"GET /x HTTP/1.1", "Host: service.internal", "X-Forwarded-Host: b"},
			not:      []string{"Host: a"},
		},
		{
			name:    "a body",
			request: lines("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Expect: 100-continue") + "hello",
			want:    []string{"Content-Length: 5", "hello"},
			not:     []string{"Expect", "chunked"},
		},
		{
			name:    "no body of a method that has one",
			request: lines("POST / HTTP/1.1", "Host: a"),
			want:    []string{"Content-Length: 0"},
		},
		{
			name:    "HTTP/1.0",
			request: lines("GET / HTTP/1.0", "Host: a"),
			options: proxy.Options{Headers: proxy.KongHeaders},
			want:    []string{"GET / HTTP/1.1", "Via: 1.0 perdure"},
			not:     []string{"Connection"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answering(hello))
			g := newGateway(t, tc.options, nil)
			tc.endpoint.Address = up.address()
			g.to(t, tc.endpoint, nil)
			c := g.dial(t)
			c.send(tc.request)
			if _, body := c.response("GET"); body != "hello" {
				t.Fatalf("answered %q", body)
			}
			got := up.received()
			for _, want := range tc.want {
				if !strings.Contains("\r\n"+got+"\r\n", "\r\n"+want+"\r\n") {
					t.Errorf("no line %q in %q", want, got)
				}
			}
			for _, not := range tc.not {
				if strings.Contains(got, not) {
					t.Errorf("%q is in %q", not, got)
				}
			}
		})
	}
}

func TestWhatTheClientIsSent(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering("HTTP/1.1 201 Made\r\nX-Private: 1\r\nConnection: X-Private, keep-alive\r\nKeep-Alive: 5\r\nDate: then\r\n"+
		"X-Kong-Request-Id: theirs\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nGrpc-Status: 0\r\n\r\n"))
	g := newGateway(t, proxy.Options{Headers: proxy.KongHeaders}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	for range 3 {
		c.send(lines("GET / HTTP/1.1", "Host: a"))
		r, body := c.response("GET")
		if r.Status != "201 Made" || body != "abc" || r.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("answered %s %q, trailers %v", r.Status, body, r.Trailer)
		}
		h := r.Header
		if h.Get("X-Private") != "" || h.Get("Keep-Alive") != "" || h.Get("Date") != "then" || len(h.Values("Set-Cookie")) != 2 {
			t.Errorf("fields %v", h)
		}
		if id := h.Values("X-Kong-Request-Id"); len(id) != 1 || len(id[0]) != 32 || h.Get("Via") != "1.1 perdure" || h.Get("X-Kong-Proxy-Latency") == "" {
			t.Errorf("Kong's fields %v", h)
		}
	}
	if n := up.conns.Load(); n != 1 {
		t.Errorf("%d connections to the upstream, want 1", n)
	}
}

func TestResponsesFitTheRequest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, request, method, response, want string
		length                                int64
	}{
		{"until close", lines("GET / HTTP/1.1", "Host: a"), "GET", "HTTP/1.1 200 OK\r\n\r\nabc", "abc", -1},
		{"HEAD with a length", lines("HEAD / HTTP/1.1", "Host: a"), "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "", 7},
		{"304 with a length", lines("GET / HTTP/1.1", "Host: a"), "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "", 0},
		{"204", lines("GET / HTTP/1.1", "Host: a"), "GET", "HTTP/1.1 204 No Content\r\n\r\n", "", 0},
		{"after 100", lines("GET / HTTP/1.1", "Host: a"), "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 1},
		{"chunked for HTTP/1.0", lines("GET / HTTP/1.0"), "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc", -1},
		{"large", lines("GET / HTTP/1.1", "Host: a"), "GET", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000), strings.Repeat("x", 300000), 300000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answeringOnce(tc.response))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(tc.request)
			r, body := c.response(tc.method)
			if body != tc.want || r.ContentLength != tc.length {
				t.Errorf("body of %d bytes, length %d, want %d and %d", len(body), r.ContentLength, len(tc.want), tc.length)
			}
		})
	}
}

func TestEarlyHintsPass(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering("HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: x\r\n\r\n"+hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	if r, _ := c.response("GET"); r.StatusCode != http.StatusEarlyHints || r.Header.Get("Link") != "x" || len(r.Header) != 1 {
		t.Errorf("first came %d %v", r.StatusCode, r.Header)
	}
	if _, body := c.response("GET"); body != "hello" {
		t.Errorf("answered %q", body)
	}
	old := g.dial(t) // HTTP/1.0 knows no interim responses
	old.send(lines("GET / HTTP/1.0"))
	if r, _ := old.response("GET"); r.StatusCode != http.StatusOK {
		t.Errorf("HTTP/1.0 was answered %d", r.StatusCode)
	}
}

func TestABodyThatEndsTooEarlyIsNotTakenForComplete(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answeringOnce(response))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(lines("GET / HTTP/1.1", "Host: a"))
			r, err := http.ReadResponse(c.r, nil)
			if err != nil {
				return // not even the head: fine
			}
			body, err := io.ReadAll(r.Body)
			if err == nil && r.StatusCode != http.StatusBadGateway { // which it is if nothing was sent yet
				t.Errorf("read %d %q without an error", r.StatusCode, body)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	// The upstream answers the first request of a connection, and closes it when the
	// second comes: as one that had closed it just before.
	closing := func(nc net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		_, _ = io.WriteString(nc, hello)
		_, _ = r.Peek(1)
	}
	for _, tc := range []struct {
		name, request string
		want          int
	}{
		{"GET is sent again", lines("GET / HTTP/1.1", "Host: a"), 200},
		{"PUT with a small body too", lines("PUT / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc", 200},
		{"POST is not", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc", 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, closing)
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(tc.request)
			c.response("GET")
			c.send(tc.request)
			if r, _ := c.response("GET"); r.StatusCode != tc.want {
				t.Errorf("answered %d, want %d", r.StatusCode, tc.want)
			}
		})
	}
}

func TestAConnectionThatWasClosedIsNotUsed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		answeringOnce(hello)(nc, r)
		nc.Close()
		closed <- struct{}{}
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	for range 3 { // not even for what may not be sent twice
		c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc")
		if r, _ := c.response("POST"); r.StatusCode != http.StatusOK {
			t.Fatalf("answered %d", r.StatusCode)
		}
		<-closed
	}
	if n := up.conns.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// round is a balancer that goes through its endpoints.
type round struct {
	endpoints []*proxy.Endpoint
	next      atomic.Int64
	failures  atomic.Int64
}

func (r *round) Pick(*proxy.Exchange) (*proxy.Endpoint, error) {
	if len(r.endpoints) == 0 {
		return nil, proxy.ErrNoEndpoint
	}
	return r.endpoints[int(r.next.Add(1)-1)%len(r.endpoints)], nil
}

func (r *round) Done(_ *proxy.Exchange, _ *proxy.Endpoint, err error) {
	if err != nil {
		r.failures.Add(1)
	}
}

func TestAnotherEndpointIsTried(t *testing.T) {
	t.Parallel()
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	b := &round{endpoints: []*proxy.Endpoint{
		g.to(t, proxy.EndpointOptions{Address: "127.0.0.1:1", Dial: refuse}, nil),
		g.to(t, proxy.EndpointOptions{Address: up.address()}, nil),
	}}
	g.Swap(&proxy.Chain{Balancer: b, Retries: 1})
	c := g.dial(t)
	for range 4 { // a connection that could not be opened was sent nothing: POST as well
		c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc")
		if r, _ := c.response("POST"); r.StatusCode != http.StatusOK {
			t.Fatalf("answered %d", r.StatusCode)
		}
	}
	if n := b.failures.Load(); n != 4 {
		t.Errorf("the balancer was told of %d failures, want 4", n)
	}
	g.Swap(&proxy.Chain{Balancer: b.endpoints[0], Retries: 2})
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	if r, body := c.response("GET"); r.StatusCode != http.StatusBadGateway || !strings.Contains(body, "An invalid response was received from the upstream server") {
		t.Errorf("answered %d %q", r.StatusCode, body)
	}
	g.Swap(&proxy.Chain{Balancer: &round{}})
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	if r, _ := c.response("GET"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %d", r.StatusCode)
	}
}

func TestUpstreamThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address(), Read: 10 * time.Millisecond}, func(c *proxy.Chain) { c.Retries = 0 })
	c := g.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	if r, _ := c.response("GET"); r.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("answered %d, want 504", r.StatusCode)
	}
}

func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan error, 1)
	up := newUpstream(t, func(_ net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		close(asked)
		_, err := r.ReadByte()
		gone <- err
	})
	g := newGateway(t, proxy.Options{}, nil)
	logged := make(chan int, 1)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Log = []proxy.Log{logFunc(func(x *proxy.Exchange) { logged <- x.Response.Status })}
	})
	c := g.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	<-asked
	c.Close()
	if err := <-gone; err == nil {
		t.Error("the upstream was sent more")
	}
	<-logged
}

type logFunc func(x *proxy.Exchange)

func (f logFunc) Log(x *proxy.Exchange) { f(x) }

type accessFunc func(x *proxy.Exchange)

func (f accessFunc) Access(x *proxy.Exchange) { f(x) }

type filterFunc func(x *proxy.Exchange)

func (f filterFunc) HeaderFilter(x *proxy.Exchange) { f(x) }

func TestUploads(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	count := func(nc net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			n, err := io.Copy(io.Discard, request.Body)
			if err != nil {
				return
			}
			text := fmt.Sprint(n, len(request.TransferEncoding))
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		}
	}
	up := newUpstream(t, count)
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	data := strings.Repeat("x", size)
	for range 3 {
		go func() {
			_, _ = io.WriteString(c, lines("POST / HTTP/1.1", "Host: a", "Content-Length: "+fmt.Sprint(size))+data)
		}()
		if _, body := c.response("POST"); body != fmt.Sprint(size, 0) {
			t.Fatalf("answered %q", body)
		}
		go func() {
			_, _ = io.WriteString(c, lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, data))
		}()
		if _, body := c.response("POST"); body != fmt.Sprint(size, 1) {
			t.Fatalf("answered %q", body)
		}
	}
	if n := up.conns.Load(); n != 1 {
		t.Errorf("%d connections to the upstream, want 1", n)
	}
}

func TestAnswerBeforeTheBodyHasCome(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(nc, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
			_, _ = r.Peek(1 << 20)
		}
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 100000000") + "begin")
	if r, body := c.response("POST"); r.StatusCode != http.StatusRequestEntityTooLarge || body != "big" || !r.Close {
		t.Errorf("answered %d %q, close %v", r.StatusCode, body, r.Close)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{accessFunc(func(x *proxy.Exchange) { x.Request.Body.Limit(10) })}
	})
	for name, request := range map[string]string{
		"length": lines("POST / HTTP/1.1", "Host: a", "Content-Length: 20000") + strings.Repeat("x", 20000),
		"chunks": lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "b\r\nhello world\r\n0\r\n\r\n",
		"small":  lines("POST / HTTP/1.1", "Host: a", "Content-Length: 11") + "hello world",
	} {
		c := g.dial(t)
		c.send(request)
		if r, _ := c.response("POST"); r.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: answered %d, want 413", name, r.StatusCode)
		}
	}
	c := g.dial(t)
	c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 10") + "hello worl")
	if r, _ := c.response("POST"); r.StatusCode != http.StatusOK {
		t.Errorf("answered %d at the limit", r.StatusCode)
	}
}

func TestServerSentEventsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 3 {
			_, _ = io.WriteString(nc, "9\r\ndata: x\n\n\r\n")
			<-next
		}
		_, _ = io.WriteString(nc, "0\r\n\r\n")
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	event := make([]byte, 9)
	for range 3 {
		if _, err := io.ReadFull(r.Body, event); err != nil || string(event) != "data: x\n\n" {
			t.Fatalf("came %q, %v", event, err)
		}
		next <- struct{}{}
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err != nil || request.Header.Get("Upgrade") != "websocket" || request.Header.Get("Connection") != "Upgrade" {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfirst")
		_, _ = io.Copy(nc, r)
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("GET /ws HTTP/1.1", "Host: a", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k") + "early")
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != "x" || r.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("answered %d %v", r.StatusCode, r.Header)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != "firstearly" {
		t.Fatalf("came %q, %v", got, err)
	}
	large := strings.Repeat("0123456789", 20000)
	go c.send(large)
	back := make([]byte, len(large))
	if _, err := io.ReadFull(c.r, back); err != nil || string(back) != large {
		t.Fatalf("what came back differs, %v", err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.closed()
}

func TestChain(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	var mu sync.Mutex
	var order []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s)
	}
	logged := make(chan struct{})
	g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{
			accessFunc(func(x *proxy.Exchange) {
				note("first")
				x.SetValue("key", "value")
				x.Request.Fields.Set("X-Consumer-ID", "7\r\nX-Evil: 1")
				x.Target.Path, x.Target.Prefix = "/rest", "/api"
				if x.Request.Fields.Has("X-Refuse") {
					x.AnswerMessage(http.StatusUnauthorized, `no "way"`)
				}
			}),
			accessFunc(func(*proxy.Exchange) { note("second") }),
		}
		c.Filters = []proxy.HeaderFilter{filterFunc(func(x *proxy.Exchange) {
			note("filter")
			x.Response.Fields.Set("X-Value", x.Value("key").(string))
		})}
		c.Log = []proxy.Log{logFunc(func(x *proxy.Exchange) {
			note(fmt.Sprint("log ", x.Response.Status, " ", x.Sent, " ", x.Local()))
			logged <- struct{}{}
		})}
	})
	c := g.dial(t)
	c.send(lines("GET /api/rest HTTP/1.1", "Host: a"))
	r, body := c.response("GET")
	<-logged
	if body != "hello" || r.Header.Get("X-Value") != "value" {
		t.Errorf("answered %q %v", body, r.Header)
	}
	got := up.received()
	if !strings.HasPrefix(got, "GET /rest HTTP/1.1\r\n") || !strings.Contains(got, "X-Consumer-ID: 7  X-Evil: 1\r\n") || !strings.Contains(got, "X-Forwarded-Prefix: /api\r\n") {
		t.Errorf("the upstream was sent %q", got)
	}
	c.send(lines("GET /api/rest HTTP/1.1", "Host: a", "X-Refuse: yes"))
	r, body = c.response("GET")
	<-logged
	if r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(body, `{"message":"no \"way\"","request_id":"`) || r.Header.Get("X-Value") != "value" {
		t.Errorf("answered %d %q %v", r.StatusCode, body, r.Header)
	}
	if got, want := strings.Join(order, ", "), "first, second, filter, log 200 5 false, first, filter, log 401 "+fmt.Sprint(len(body))+" true"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestAPanicCostsOneRequest(t *testing.T) {
	t.Parallel()
	g := newGateway(t, proxy.Options{}, nil)
	g.Swap(proxy.HandlerFunc(func(x *proxy.Exchange) {
		if x.Request.Path == "/panic" {
			panic("of a plugin")
		}
		proxy.NotFound(x)
	}))
	bad, good := g.dial(t), g.dial(t)
	bad.send(lines("GET /panic HTTP/1.1", "Host: a"))
	bad.closed()
	good.send(lines("GET / HTTP/1.1", "Host: a"))
	if r, body := good.response("GET"); r.StatusCode != http.StatusNotFound || !strings.Contains(body, "no Route matched with those values") {
		t.Errorf("answered %d %q", r.StatusCode, body)
	}
}

func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			c := g.dial(t)
			for {
				select {
				case <-done:
					return
				default:
				}
				c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc")
				if r, body := c.response("POST"); r.StatusCode != http.StatusOK || body != "hello" {
					t.Errorf("answered %d %q", r.StatusCode, body)
					return
				}
			}
		})
	}
	for range 100 {
		e := proxy.NewEndpoint(proxy.EndpointOptions{Address: up.address(), Sweeper: g.Sweeper()})
		g.Swap(&proxy.Chain{Balancer: e})
		<-time.After(time.Millisecond)
		e.Close() // the requests that have it already must not notice
	}
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	close(done)
	clients.Wait()
}

func TestShutdownLetsExchangesEnd(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			close(asked)
			<-release
			_, _ = io.WriteString(nc, hello)
		}
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	<-asked
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- g.Shutdown(ctx)
	}()
	for { // it does not listen any more
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			break
		}
		nc.Close()
	}
	close(release)
	if r, body := c.response("GET"); body != "hello" || !r.Close {
		t.Errorf("answered %q, close %v", body, r.Close)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}

// Behind h2c requests would pass that nobody has looked at.
func TestOnlyWebSocketIsSwitchedTo(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{
		"h2c":       {"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		"TLS":       {"Connection: Upgrade", "Upgrade: TLS/1.0"},
		"a list":    {"Connection: Upgrade", "Upgrade: websocket, h2c"},
		"two":       {"Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"},
		"not named": {"Upgrade: websocket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answering(hello))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(lines(append([]string{"GET / HTTP/1.1", "Host: a"}, fields...)...))
			if _, body := c.response("GET"); body != "hello" {
				t.Errorf("answered %q", body)
			}
			if got := up.received(); strings.Contains(got, "Upgrade") || strings.Contains(got, "HTTP2-Settings") {
				t.Errorf("the upstream was sent %q", got)
			}
		})
	}
}

// What an upstream sends unasked is not the answer to the next request.
func TestUnaskedBytesAreNotAnAnswer(t *testing.T) {
	t.Parallel()
	send, sent := make(chan struct{}), make(chan struct{})
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(nc, hello)
		<-send
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		sent <- struct{}{}
		_, _ = io.Copy(io.Discard, r)
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	for range 3 {
		c.send(lines("GET / HTTP/1.1", "Host: a"))
		if _, body := c.response("GET"); body != "hello" {
			t.Fatalf("answered %q", body)
		}
		send <- struct{}{}
		<-sent
	}
	if n := up.conns.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestMethodsThatDoNotPass(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("TRACE / HTTP/1.1", "Host: a", "Authorization: secret"))
	if r, body := c.response("TRACE"); r.StatusCode != http.StatusMethodNotAllowed || strings.Contains(body, "secret") {
		t.Errorf("answered %d %q", r.StatusCode, body)
	}
}

// The log sees the response's fields, which are in the upstream connection's buffer.
func TestTheLogSeesTheResponse(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering("HTTP/1.1 200 OK\r\nX-Mark: mark\r\nContent-Length: 5\r\n\r\nhello"))
	g := newGateway(t, proxy.Options{}, nil)
	seen := make(chan string, 1)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Log = []proxy.Log{logFunc(func(x *proxy.Exchange) { seen <- x.Response.Fields.Get("X-Mark") + " " + x.Request.Fields.Get("X-Ask") })}
	})
	c := g.dial(t)
	for range 3 {
		c.send(lines("GET / HTTP/1.1", "Host: a", "X-Ask: ask"))
		c.response("GET")
		if got := <-seen; got != "mark ask" {
			t.Errorf("the log saw %q", got)
		}
	}
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	const size = 3<<20 + 17
	data := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	cut := make(chan struct{})
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size); err != nil {
				return
			}
			part := data
			if request.URL.Path == "/cut" {
				part = data[:size/2]
			}
			if _, err := io.WriteString(nc, part); err != nil || len(part) < size {
				close(cut)
				return
			}
		}
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	for range 3 {
		c.send(lines("GET / HTTP/1.1", "Host: a"))
		if _, body := c.response("GET"); body != data {
			t.Fatalf("answered %d bytes, want %d", len(body), size)
		}
	}
	if n := up.conns.Load(); n != 1 {
		t.Errorf("%d connections to the upstream, want 1", n)
	}
	c.send(lines("GET /cut HTTP/1.1", "Host: a"))
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if n, err := io.Copy(io.Discard, r.Body); err == nil || n > size/2 {
		t.Errorf("read %d bytes of a body that was cut, %v", n, err)
	}
	<-cut
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{Trusted: proxy.TrustedProxies{netip.MustParsePrefix("10.0.0.0/8")}}, nil)
	e := g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{accessFunc(func(x *proxy.Exchange) {
			x.Note("test", x.Request.Method+" "+x.Request.Scheme+" "+x.Request.Host+" "+x.Request.Path+" "+x.Client.String())
			if x.Request.Fields.Has("Authorization") {
				x.Note("test", "there is a token")
				return
			}
			x.AnswerMessage(http.StatusUnauthorized, "Unauthorized")
		})}
		c.Log = []proxy.Log{logFunc(func(*proxy.Exchange) { t.Error("a dry run is logged") })}
	})
	r, err := http.NewRequest(http.MethodGet, "http://example.com/a%2Fb?c", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	r.Header.Set("X-Forwarded-Proto", "https")
	x := g.DryRun(t.Context(), r, netip.MustParseAddr("10.1.1.1"))
	if x.Response.Status != http.StatusUnauthorized || len(x.Notes) != 1 || x.Notes[0].Reason != "GET https example.com /a%2Fb 1.2.3.4" {
		t.Errorf("status %d, notes %v", x.Response.Status, x.Notes)
	}
	r.Header.Set("Authorization", "Bearer x")
	if x := g.DryRun(t.Context(), r, netip.MustParseAddr("10.1.1.1")); x.Endpoint != e || len(x.Notes) != 2 || x.Answered() {
		t.Errorf("endpoint %v, notes %v", x.Endpoint, x.Notes)
	}
	if n := up.conns.Load(); n != 0 {
		t.Error("the upstream was asked")
	}
}

// While nothing was sent, the client is told that the body has ended too early.
func TestAnAnswerIsWithdrawn(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering("HTTP/1.1 200 OK\r\nX-Of: upstream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcx\r\n"))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	for range 2 { // and the connection stays
		c.send(lines("GET / HTTP/1.1", "Host: a"))
		r, body := c.response("GET")
		if r.StatusCode != http.StatusBadGateway || strings.Contains(body, "abc") || r.Header.Get("X-Of") != "" || r.Close {
			t.Errorf("answered %d %q %v", r.StatusCode, body, r.Header)
		}
	}
}

func TestShutdownLetsStreamsEnd(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = io.WriteString(w, "hello")
	})}, nil)
	client := h2Client(t, nil)
	answered := make(chan string, 1)
	go func() {
		r, err := client.Get("http://" + g.address + "/")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		answered <- fmt.Sprint(string(body), err)
	}()
	<-asked
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- g.Shutdown(ctx)
	}()
	for { // it does not listen any more
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			break
		}
		nc.Close()
	}
	close(release)
	if got := <-answered; got != "hello<nil>" {
		t.Errorf("answered %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}
