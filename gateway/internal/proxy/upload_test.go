package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

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

// The time for an answer begins when the request was sent, however long that takes; and a client that has not sent
// all in time is told so.
func TestTimeOfUploads(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{true, false} {
		manual := clock.NewManual(time.Now())
		came := make(chan int, 100)
		up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			part := make([]byte, 10)
			for {
				n, err := request.Body.Read(part)
				if n > 0 {
					came <- n
				}
				if err != nil {
					break
				}
			}
			_, _ = io.WriteString(nc, hello)
		})
		g := newGateway(t, proxy.Options{Clock: manual}, nil)
		g.to(t, proxy.EndpointOptions{Address: up.address(), Read: 4 * time.Second}, nil) // what is seen here may come before what the gateway does next
		c := g.dial(t)
		c.send(lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
		pass := func(d time.Duration) {
			if err := manual.WaitTimers(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			manual.Advance(d)
		}
		for range 6 {
			c.send("5\r\nhello\r\n")
			for n := 0; n < 5; {
				n += <-came
			}
			for range 3 {
				pass(500 * time.Millisecond)
			}
		}
		want := http.StatusOK
		if whole {
			c.send("0\r\n\r\n")
		} else {
			want = http.StatusRequestTimeout
			for range 6 {
				pass(time.Second)
			}
		}
		if r, _ := c.response("POST"); r.StatusCode != want {
			t.Errorf("whole %v: answered %d, want %d", whole, r.StatusCode, want)
		}
	}
}
