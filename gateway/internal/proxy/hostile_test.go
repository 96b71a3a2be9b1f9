package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// rawH2 sends a request of HTTP/2 whose fields net/http's client would not, and returns the status.
func rawH2(t *testing.T, address string, pseudo [][2]string) string {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return h2Request(t, nc, pseudo)
}

// h2Request is rawH2 on a connection.
func h2Request(t *testing.T, nc net.Conn, pseudo [][2]string) string {
	t.Helper()
	if _, err := nc.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(nc, nc)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, p := range pseudo {
		_ = e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "reset"
		}
	}
}

// What net/http takes for an authority or a path in HTTP/2 is more than HTTP/1.1 has a place for.
func TestHTTP2Targets(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: u.address()}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{access(func(x *proxy.Exchange) { x.Target.Host = x.Request.Host })}
	})
	for _, tt := range []struct{ method, authority, path, want string }{
		{"GET", "example.com:80", "/a", "200"},
		{"GET", "", "/a", "200"},
		{"OPTIONS", "example.com", "*", "200"},
		{"GET", "user@example.com", "/a", "400"},
		{"GET", "example.com/secure", "/a", "400"},
		{"GET", "example.com x", "/a", "400"},
		{"GET", "a.test, b.test", "/a", "400"},
		{"GET", "example.com:99999", "/a", "400"},
		{"GET", "example.com", "mailto:a", "400"},
		{"GET", "example.com", "*", "400"},
	} {
		got := rawH2(t, g.address, [][2]string{{":method", tt.method}, {":scheme", "http"}, {":authority", tt.authority}, {":path", tt.path}})
		if got != tt.want && !(tt.want == "400" && got == "reset") {
			t.Errorf("%s %q %q: answered %s, want %s", tt.method, tt.authority, tt.path, got, tt.want)
		}
	}
	if got := u.received(); strings.Contains(got, "user@") || strings.Contains(got, "secure") || strings.Contains(got, "GET  ") {
		t.Errorf("the upstream was sent %q", got)
	}
}

// access is a function that is an Access.
type access func(x *proxy.Exchange)

// Access implements proxy.Access.
func (f access) Access(x *proxy.Exchange) { f(x) }

// Servers that do not tell "post" from "POST" would find something else than the router.
func TestMethodsInSmallLetters(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: u.address()}, nil)
	for method, want := range map[string]int{"GET": 200, "PROPFIND": 200, "M-SEARCH": 200, "post": 400, "Delete": 400, "dELETE": 400, "options": 400, "G!": 400} {
		c := g.dial(t)
		c.send(lines(method+" / HTTP/1.1", "Host: a.test"))
		if r, _ := c.response(http.MethodGet); r.StatusCode != want {
			t.Errorf("%s: answered %d, want %d", method, r.StatusCode, want)
		}
	}
}

// Many servers do not tell "_" from "-" in the names of fields, and some read Forwarded instead.
func TestForwardingFieldsOfOthers(t *testing.T) {
	t.Parallel()
	fields := []string{"X_Forwarded_For: 6.6.6.6", "X-Forwarded_Proto: evil", "x_real_ip: 6.6.6.6", "X_Forwarded-Host: evil", "Forwarded: for=6.6.6.6;host=evil"}
	for _, trusted := range []proxy.TrustedProxies{nil, {netip.MustParsePrefix("127.0.0.0/8")}} {
		u := newUpstream(t, answering(hello))
		g := newGateway(t, proxy.Options{Trusted: trusted}, nil)
		g.to(t, proxy.EndpointOptions{Address: u.address()}, nil)
		c := g.dial(t)
		c.send(lines(append([]string{"GET / HTTP/1.1", "Host: a.test"}, fields...)...))
		c.response(http.MethodGet)
		got := u.received()
		if strings.Contains(got, "_") || strings.Contains(got, "\r\nForwarded:") != (trusted != nil) {
			t.Errorf("with trusted proxies %v the upstream was sent %q", trusted, got)
		}
	}
}

// Some proxies write the port beside the address: without it the proxy itself would be the client.
func TestForwardedWithPorts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"6.6.6.6, 203.0.113.7:4711": "203.0.113.7", "[2001:db8::1]:4711": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "203.0.113.7": "203.0.113.7",
		"6.6.6.6, unknown": "127.0.0.1", "[": "127.0.0.1", "1.2.3.4:": "127.0.0.1",
	} {
		g := newGateway(t, proxy.Options{Trusted: proxy.TrustedProxies{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
		g.Swap(proxy.HandlerFunc(func(x *proxy.Exchange) {
			x.Answer(200, "text/plain", []byte(x.Client.String()))
			(&proxy.Chain{}).Serve(x)
		}))
		c := g.dial(t)
		c.send(lines("GET / HTTP/1.1", "Host: a.test", "X-Forwarded-For: "+value))
		if _, body := c.response(http.MethodGet); body != want {
			t.Errorf("X-Forwarded-For: %s: the client is %s, want %s", value, body, want)
		}
	}
}

// faults remembers what endpoints are blamed for.
type faults struct {
	*proxy.Endpoint
	told chan proxy.Fault
}

// Done implements proxy.Balancer.
func (f faults) Done(_ *proxy.Exchange, _ *proxy.Endpoint, err error) { f.told <- proxy.FaultOf(err) }

// A client that stops in the middle of its body is not the upstream's fault: health checks would take it away from everybody.
func TestSlowUploadIsNoFaultOfTheUpstream(t *testing.T) {
	t.Parallel()
	config, pool := certificate(t)
	for _, out := range []string{"h1", "h2"} {
		for _, in := range []string{"h1", "h2"} {
			t.Run(in+" to "+out, func(t *testing.T) {
				t.Parallel()
				o := proxy.EndpointOptions{Read: 300 * time.Millisecond}
				if out == "h2" {
					o.HTTP2 = true
					o.Address, _ = h2Upstream(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = bufio.NewReader(r.Body).ReadString(0) }))
				} else {
					o.Address = newUpstream(t, answering(hello)).address()
				}
				var c *tls.Config
				if in == "h2" {
					c = config
				}
				g := newGateway(t, proxy.Options{Timeouts: h1.Timeouts{Body: 10 * time.Second}}, c)
				o.Sweeper = g.Sweeper()
				e := proxy.NewEndpoint(o)
				t.Cleanup(e.Close)
				f := faults{e, make(chan proxy.Fault, 10)}
				g.Swap(&proxy.Chain{Balancer: f})
				ended := make(chan struct{})
				t.Cleanup(func() { <-ended })
				body := &stalled{ended: make(chan struct{})}
				t.Cleanup(func() { close(body.ended) })
				client := &http.Client{Timeout: 10 * time.Second}
				url := "http://" + g.address + "/"
				if in == "h2" {
					client, url = h2Client(t, pool), "https://"+g.address+"/"
				}
				go func() {
					defer close(ended)
					defer client.CloseIdleConnections()
					r, err := http.NewRequest(http.MethodPost, url, body)
					if err != nil {
						t.Error(err)
						return
					}
					r.ContentLength = 100
					answer, err := client.Do(r)
					if err == nil {
						if answer.StatusCode == http.StatusGatewayTimeout {
							t.Errorf("answered %d", answer.StatusCode)
						}
						_ = answer.Body.Close()
					}
				}()
				if got := <-f.told; got != proxy.NoFault {
					t.Errorf("the endpoint is blamed: %d", got)
				}
			})
		}
	}
}

// stalled is a body that stops after its beginning.
type stalled struct {
	begun bool
	ended chan struct{}
}

// Read implements io.Reader.
func (s *stalled) Read(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		return copy(p, "begin"), nil
	}
	<-s.ended
	return 0, net.ErrClosed
}

// HTTP/2 by prior knowledge is for connections without TLS: with it, it is negotiated (RFC 9113 section 3.3). Otherwise the request
// would be one without TLS, name and certificate to all that decides.
func TestPriorKnowledgeWithinTLS(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answering(hello))
	config, pool := certificate(t)
	g := newGateway(t, proxy.Options{}, config)
	g.to(t, proxy.EndpointOptions{Address: u.address()}, nil)
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		nc, err := tls.Dial("tcp", g.address, &tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		status := h2Request(t, nc, [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", "/"}})
		_ = nc.Close()
		if status == "200" {
			t.Errorf("ALPN %q: the upstream was sent %q", protocols, u.received())
		}
	}
}

// The app's own limit for slow bodies holds for what the gateway hands over.
func TestReadDeadlineOfHandlers(t *testing.T) {
	t.Parallel()
	config, pool := certificate(t)
	for _, in := range []string{"h1", "h2"} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			var c *tls.Config
			if in == "h2" {
				c = config
			}
			g := newGateway(t, proxy.Options{}, c)
			got := make(chan error, 2)
			g.to(t, proxy.EndpointOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				if err := control.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
					t.Error(err)
				}
				if r.URL.Path == "/well" {
					_, err := io.ReadAll(r.Body)
					got <- errors.Join(err, control.SetReadDeadline(time.Time{}))
					return
				}
				_, _ = io.ReadFull(r.Body, make([]byte, len("begin")))
				_ = control.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, err := io.ReadAll(r.Body)
				got <- err
				_, err = r.Body.Read(make([]byte, 1))
				got <- err
				w.WriteHeader(http.StatusRequestTimeout)
			})}, nil)
			client, url := &http.Client{Timeout: 10 * time.Second}, "http://"+g.address
			if in == "h2" {
				client, url = h2Client(t, pool), "https://"+g.address
			}
			t.Cleanup(client.CloseIdleConnections)
			body := &stalled{ended: make(chan struct{})}
			t.Cleanup(func() { close(body.ended) })
			r, err := http.NewRequest(http.MethodPost, url+"/slow", body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = 100
			if answer, err := client.Do(r); err == nil {
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusRequestTimeout {
					t.Errorf("answered %d", answer.StatusCode)
				}
			}
			for range 2 {
				if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("reading ends by %v", err)
				}
			}
			answer, err := client.Post(url+"/well", "text/plain", strings.NewReader("all of it"))
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if err := <-got; err != nil {
				t.Error(err)
			}
		})
	}
}

// A handler that leaves while a goroutine of its own waits for the body is answered for nevertheless.
func TestHandlerThatLeavesItsBody(t *testing.T) {
	t.Parallel()
	config, pool := certificate(t)
	for _, in := range []string{"h1", "h2"} {
		var c *tls.Config
		if in == "h2" {
			c = config
		}
		g := newGateway(t, proxy.Options{}, c)
		left, reading := make(chan error, 1), make(chan struct{})
		g.to(t, proxy.EndpointOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			go func() {
				_, _ = io.ReadFull(r.Body, make([]byte, len("begin")))
				close(reading)
				_, err := io.ReadAll(r.Body)
				left <- err
			}()
			<-reading
			w.WriteHeader(http.StatusAccepted)
		})}, nil)
		client, url := &http.Client{Timeout: 10 * time.Second}, "http://"+g.address
		if in == "h2" {
			client, url = h2Client(t, pool), "https://"+g.address
		}
		body := &stalled{ended: make(chan struct{})}
		r, err := http.NewRequest(http.MethodPost, url, body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 100
		if answer, err := client.Do(r); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusAccepted {
				t.Errorf("%s: answered %d", in, answer.StatusCode)
			}
		}
		if err := <-left; err == nil {
			t.Errorf("%s: the body has an end", in)
		}
		close(body.ended)
		client.CloseIdleConnections()
	}
}

// Of several fields the last is the trusted proxy's, to which the client has added one before.
func TestForwardedProtoTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fields []string
		want   string
	}{
		{[]string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, "http"},
		{[]string{"X-Forwarded-Proto: http", "x-forwarded-proto: https"}, "https"},
		{[]string{"X_Forwarded_Proto: https"}, "http"},
		{nil, "http"},
	} {
		g := newGateway(t, proxy.Options{Trusted: proxy.TrustedProxies{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
		g.Swap(proxy.HandlerFunc(func(x *proxy.Exchange) {
			x.Answer(200, "text/plain", []byte(x.Request.Scheme))
			(&proxy.Chain{}).Serve(x)
		}))
		c := g.dial(t)
		c.send(lines(append([]string{"GET / HTTP/1.1", "Host: a.test"}, tt.fields...)...))
		if _, body := c.response(http.MethodGet); body != tt.want {
			t.Errorf("%q: the scheme is %s, want %s", tt.fields, body, tt.want)
		}
	}
}

// A client of HTTP/2 that takes nothing of what it has asked for does not hold a stream, nor the upstream's connection, for ever.
func TestHTTP2ClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"large": 1 << 20, "small": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, answering("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"+strings.Repeat("x", size)))
			g := newGateway(t, proxy.Options{Timeouts: h1.Timeouts{Write: 200 * time.Millisecond}}, nil)
			g.to(t, proxy.EndpointOptions{Address: u.address()}, nil)
			nc, err := net.Dial("tcp", g.address)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			f := http2.NewFramer(nc, nc)
			var block bytes.Buffer
			enc := hpack.NewEncoder(&block)
			for _, p := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}} {
				_ = enc.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
			}
			_, err = nc.Write([]byte(http2.ClientPreface))
			err = errors.Join(err, f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
			if err != nil {
				t.Fatal(err)
			}
			for reset := false; !reset; {
				frame, err := f.ReadFrame()
				if err != nil {
					t.Fatalf("the stream is still there: %v", err)
				}
				_, reset = frame.(*http2.RSTStreamFrame)
			}
		})
	}
}

// A request with a body does not switch to WebSocket: its body would be read beside the tunnel, from the same connection.
func TestUpgradeWithBody(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		u := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if request.Header.Get("Upgrade") == "" { // as a server of WebSocket says
				_, _ = io.WriteString(nc, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
				return
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(nc, r)
		})
		g := newGateway(t, proxy.Options{}, nil)
		g.to(t, proxy.EndpointOptions{Address: u.address()}, nil)
		c := g.dial(t)
		c.send(lines("GET / HTTP/1.1", "Host: a.test", "Connection: Upgrade", "Upgrade: websocket", framing) + "4\r\n")
		if r, _ := c.response(http.MethodGet); r.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("%s: answered %d", framing, r.StatusCode)
		}
		c.send("more\r\n")
	}
}

// Who waits for 100 gets it before the answer or not at all, if the upstream answers without wanting the body.
func TestContinueBesideAnAnswer(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(nc, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nhello")
		}
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: u.address()}, nil)
	for range 200 {
		c := g.dial(t)
		c.send(lines("PUT / HTTP/1.1", "Host: a.test", "Expect: 100-continue", "Content-Length: 1000"))
		r, body := c.response(http.MethodPut)
		if r.StatusCode == http.StatusContinue {
			r, body = c.response(http.MethodPut)
		}
		if r.StatusCode != http.StatusUnauthorized || body != "hello" {
			t.Fatalf("answered %d %q", r.StatusCode, body)
		}
		c.Close()
	}
}
