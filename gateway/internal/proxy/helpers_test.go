package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines joins lines with CRLF, and ends the head.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

// gateway is a server before something.
type gateway struct {
	*proxy.Server
	address string
}

func newGateway(t testing.TB, o proxy.Options, config *tls.Config) *gateway {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{address: l.Addr().String()}
	g.Server = proxy.NewServer(proxy.HandlerFunc(proxy.NotFound), o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l, config) // ends by Shutdown
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		<-done
	})
	return g
}

// to makes all requests go to one endpoint.
func (g *gateway) to(t testing.TB, o proxy.EndpointOptions, change func(*proxy.Chain)) *proxy.Endpoint {
	o.Sweeper = g.Sweeper()
	e := proxy.NewEndpoint(o)
	t.Cleanup(e.Close)
	chain := &proxy.Chain{Balancer: e, Retries: 5}
	if change != nil {
		change(chain)
	}
	g.Swap(chain)
	return e
}

func (g *gateway) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, Conn: nc, r: bufio.NewReader(nc)}
}

// client is a connection that speaks bytes.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("body: %v", err)
	}
	return r, string(body)
}

func (c *client) closed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Errorf("after the answer came %q, %v, want the end", rest, err)
	}
}

// upstream is a server that speaks bytes, and remembers what it was sent.
type upstream struct {
	net.Listener
	mu    sync.Mutex
	got   bytes.Buffer
	conns atomic.Int64
}

// newUpstream answers each connection by serve. What is read through the reader is
// remembered.
func newUpstream(t testing.TB, serve func(nc net.Conn, r *bufio.Reader)) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{Listener: l}
	var all sync.WaitGroup
	open := make(map[net.Conn]struct{})
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			u.conns.Add(1)
			u.mu.Lock()
			open[nc] = struct{}{}
			u.mu.Unlock()
			all.Go(func() {
				defer nc.Close()
				serve(nc, bufio.NewReader(io.TeeReader(nc, u)))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		u.mu.Lock()
		for nc := range open {
			nc.Close()
		}
		u.mu.Unlock()
		all.Wait()
	})
	return u
}

// Write implements io.Writer.
func (u *upstream) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.got.Write(p)
}

func (u *upstream) received() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.got.String()
}

func (u *upstream) address() string { return u.Addr().String() }

// answering answers each request with the same bytes.
func answering(response string) func(net.Conn, *bufio.Reader) {
	return func(nc net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return
			}
			if _, err := io.WriteString(nc, response); err != nil {
				return
			}
		}
	}
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// answeringOnce answers one request, and closes.
func answeringOnce(response string) func(net.Conn, *bufio.Reader) {
	return func(nc net.Conn, r *bufio.Reader) {
		if request, err := http.ReadRequest(r); err == nil {
			_, _ = io.Copy(io.Discard, request.Body)
			_, _ = io.WriteString(nc, response)
		}
	}
}
