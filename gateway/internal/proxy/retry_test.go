package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

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
