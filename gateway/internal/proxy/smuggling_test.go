package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/smuggletest"
)

func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	for _, tc := range smuggletest.Heads() {
		t.Run(tc.Name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answering(hello))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(tc.Request)
			r, _ := c.response("POST")
			if r.StatusCode != tc.Status || !r.Close {
				t.Errorf("answered %d, close %v, want %d and close", r.StatusCode, r.Close, tc.Status)
			}
			c.closed()
			if n := up.conns.Load(); n != 0 {
				t.Errorf("the upstream was sent %q, want nothing", up.received())
			}
		})
	}
}

func TestBodiesThatBreakTheRulesEndTheExchange(t *testing.T) {
	t.Parallel()
	for _, tc := range smuggletest.Bodies() {
		t.Run(tc.Name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answering(hello))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(tc.Request)
			if r, _ := c.response("POST"); r.StatusCode != http.StatusBadRequest || !r.Close {
				t.Errorf("answered %d, close %v, want 400 and close", r.StatusCode, r.Close)
			}
			c.closed()
			if got := up.received(); strings.Contains(got, "smuggled") || strings.Contains(got, "0\r\n\r\n") {
				t.Errorf("the upstream was sent %q, want no end of the body", got)
			}
		})
	}
}

// The body is framed anew: the upstream sees one request with one body, whatever the
// chunks were.
func TestChunksAreFramedAnew(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("POST /x HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked") + "0005;ext=\"x\"\r\nhello\r\n00\r\nHost: b\r\nX-Y: z\r\nDigest: d\r\n\r\n")
	if _, body := c.response("POST"); body != "hello" {
		t.Errorf("answered %q", body)
	}
	got := up.received()
	if !strings.HasSuffix(got, "\r\n\r\n5\r\nhello\r\n0\r\nDigest: d\r\n\r\n") || strings.Count(got, "Transfer-Encoding: chunked") != 1 || strings.Contains(got, "Content-Length") {
		t.Errorf("the upstream was sent %q", got)
	}
}

func TestBadResponsesDoNotPass(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, response string }{
		{"both framings", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"},
		{"folded line", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 5\r\n\r\nhello"},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n"},
		{"nothing", ""},
		{"unasked switch", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
		{"endless interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100) + hello},
		{"large head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answeringOnce(tc.response))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(lines("POST /x HTTP/1.1", "Host: a", "Content-Length: 0"))
			if r, _ := c.response("POST"); r.StatusCode != http.StatusBadGateway {
				t.Errorf("answered %d, want 502", r.StatusCode)
			}
			c.send(lines("GET /x HTTP/1.1", "Host: a", "Connection: close"))
			c.response("GET") // the client's connection is as good as before
		})
	}
}
