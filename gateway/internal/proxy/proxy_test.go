package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

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
