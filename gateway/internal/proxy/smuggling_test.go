package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// What a request smuggled behind another would ask for.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	post := func(fields ...string) string {
		return lines(append([]string{"POST /x HTTP/1.1", "Host: a"}, fields...)...)
	}
	const chunked = "Transfer-Encoding: chunked"
	for _, tc := range []struct {
		name, request string
		status        int
	}{
		{"CL.TE", post("Content-Length: 6", chunked) + "0\r\n\r\nG" + smuggled, 400},
		{"TE.CL", post(chunked, "Content-Length: 4") + "2e\r\n" + smuggled + "\r\n0\r\n\r\n", 400},
		{"CL.0", post("Content-Length: 0", chunked) + "0\r\n\r\n" + smuggled, 400},
		{"CL.CL", post("Content-Length: 0", "Content-Length: 37") + smuggled, 400},
		{"CL.CL with equal values", post("Content-Length: 0", "Content-Length: 0") + smuggled, 400},
		{"CL as a list", post("Content-Length: 0, 0") + smuggled, 400},
		{"CL with a sign", post("Content-Length: +0") + smuggled, 400},
		{"CL with a space before the colon", post("Content-Length : 37") + smuggled, 400},
		{"CL with 0x", post("Content-Length: 0x25") + smuggled, 400},
		{"CL that overflows", post("Content-Length: 18446744073709551616") + smuggled, 400},
		{"CL with a NUL", post("Content-Length: 0\x00") + smuggled, 400},
		{"TE.TE with x", post(chunked, "Transfer-Encoding: x") + "0\r\n\r\n" + smuggled, 400},
		{"TE.TE with identity", post("Transfer-Encoding: identity", chunked) + "0\r\n\r\n" + smuggled, 400},
		{"TE.TE twice chunked", post(chunked, chunked) + "0\r\n\r\n" + smuggled, 400},
		{"TE in another case and CL", post("transfer-encoding: CHUNKED", "content-length: 6") + "0\r\n\r\nG" + smuggled, 400},
		{"TE with a space before the colon", post("Transfer-Encoding : chunked") + "0\r\n\r\n" + smuggled, 400},
		{"TE with a tab before the value", post("Transfer-Encoding:\tchunked", "Content-Length: 6") + "0\r\n\r\nG" + smuggled, 400},
		{"TE with a vertical tab", post("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n" + smuggled, 400},
		{"TE with a CR", post("Transfer-Encoding: chunked\r") + "0\r\n\r\n" + smuggled, 400},
		{"TE after a bare LF", post("X: y\nTransfer-Encoding: chunked") + "0\r\n\r\n" + smuggled, 400},
		{"TE after a bare CR", post("X: y\rTransfer-Encoding: chunked", "Content-Length: 6") + "0\r\n\r\nG" + smuggled, 400},
		{"TE folded", post("Transfer-Encoding:", " chunked") + "0\r\n\r\n" + smuggled, 400},
		{"TE in a folded line", post("X: y", " Transfer-Encoding: chunked") + "0\r\n\r\n" + smuggled, 400},
		{"TE before the host", lines("POST /x HTTP/1.1", " Transfer-Encoding: chunked", "Host: a") + "0\r\n\r\n" + smuggled, 400},
		{"TE with a list", post("Transfer-Encoding: x, chunked") + "0\r\n\r\n" + smuggled, 501},
		{"TE with chunked in the middle", post("Transfer-Encoding: chunked, x") + "0\r\n\r\n" + smuggled, 400},
		{"TE with quotes", post(`Transfer-Encoding: "chunked"`) + "0\r\n\r\n" + smuggled, 400},
		{"TE with a suffix", post("Transfer-Encoding: chunkedx") + "0\r\n\r\n" + smuggled, 400},
		{"TE in HTTP/1.0", lines("POST /x HTTP/1.0", "Host: a", "Connection: keep-alive", chunked) + "0\r\n\r\n" + smuggled, 400},
		{"TE named by Connection and CL", post("Connection: transfer-encoding", chunked, "Content-Length: 6") + "0\r\n\r\nG" + smuggled, 400},
		{"two Hosts", lines("POST /x HTTP/1.1", "Host: a", "Host: b") + smuggled, 400},
		{"no Host", lines("POST /x HTTP/1.1") + smuggled, 400},
		{"Host with a space before the colon", lines("POST /x HTTP/1.1", "Host : a") + smuggled, 400},
		{"Host with a path", lines("POST /x HTTP/1.1", "Host: a/../b") + smuggled, 400},
		{"Host with a control", lines("POST /x HTTP/1.1", "Host: a\x01") + smuggled, 400},
		{"bare LF", "POST /x HTTP/1.1\nHost: a\n\n" + smuggled, 400},
		{"request line of HTTP/0.9", "GET /x\r\n" + smuggled, 400},
		{"two versions", lines("GET /x HTTP/1.1 HTTP/1.1", "Host: a") + smuggled, 400},
		{"space in the target", lines("GET /x HTTP/1.1\tHTTP/1.1", "Host: a") + smuggled, 400},
		{"line break in the method", "GE\r\nT /x HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 400},
		{"other version", lines("GET /x HTTP/1.9", "Host: a") + smuggled, 505},
		{"CONNECT", lines("CONNECT b:443 HTTP/1.1", "Host: b:443") + smuggled, 405},
		{"unknown expectation", post("Expect: 100-continue, x", "Content-Length: 1") + smuggled, 417},
		{"field without a colon", lines("GET /x HTTP/1.1", "Host: a", "X") + smuggled, 400},
		{"field without a name", lines("GET /x HTTP/1.1", "Host: a", ": X") + smuggled, 400},
		{"absolute target with another host in userinfo", lines("GET http://a@b/ HTTP/1.1", "Host: a") + smuggled, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answering(hello))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(tc.request)
			r, _ := c.response("POST")
			if r.StatusCode != tc.status || !r.Close {
				t.Errorf("answered %d, close %v, want %d and close", r.StatusCode, r.Close, tc.status)
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
	for _, tc := range []struct{ name, body string }{
		{"size that overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n" + smuggled},
		{"size with a sign", "+5\r\nhello\r\n0\r\n\r\n" + smuggled},
		{"bare LF after the size", "5\nhello\r\n0\r\n\r\n" + smuggled},
		{"bare LF after the data", "5\r\nhello\n0\r\n\r\n" + smuggled},
		{"data longer than its size", "5\r\nhelloo\r\n0\r\n\r\n" + smuggled},
		{"bare LF at the end", "5\r\nhello\r\n0\r\n\n" + smuggled},
		{"folded trailer", "0\r\nX: y\r\n Z: z\r\n\r\n" + smuggled},
		{"extension with a bare LF", "5;a\nb\r\nhello\r\n0\r\n\r\n" + smuggled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, answering(hello))
			g := newGateway(t, proxy.Options{}, nil)
			g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
			c := g.dial(t)
			c.send(lines("POST /x HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + tc.body)
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
