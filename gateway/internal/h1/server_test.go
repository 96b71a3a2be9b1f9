package h1_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

func TestRefusedRequestsEndTheConnection(t *testing.T) {
	t.Parallel()
	s := newServer(t, &handler{}, nil)
	c := s.dial(t)
	c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + lines("GET /smuggled HTTP/1.1", "Host: a"))
	r, _ := c.response("POST")
	if r.StatusCode != http.StatusBadRequest || !r.Close {
		t.Errorf("answered %d, close %v, want 400 and close", r.StatusCode, r.Close)
	}
	c.closed()
	if n := s.h.handled.Load(); n != 0 {
		t.Errorf("%d requests were handled, want none", n)
	}
	if n := s.h.refused.Load(); n != 1 {
		t.Errorf("%d requests were refused, want 1", n)
	}
}

func TestChunkedBodiesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, body string }{
		{"no size", "\r\nabc\r\n0\r\n\r\n"},
		{"size is no number", "x\r\nabc\r\n0\r\n\r\n"},
		{"size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"},
		{"signed size", "+3\r\nabc\r\n0\r\n\r\n"},
		{"negative size", "-3\r\nabc\r\n0\r\n\r\n"},
		{"size with an underscore", "1_0\r\nabc\r\n0\r\n\r\n"},
		{"space before the size", " 3\r\nabc\r\n0\r\n\r\n"},
		{"space after the size", "3 \r\nabc\r\n0\r\n\r\n"},
		{"size overflows 63 bits", "8000000000000003\r\nabc\r\n0\r\n\r\n"},
		{"size overflows 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"},
		{"many zeros", strings.Repeat("0", 40) + "3\r\nabc\r\n0\r\n\r\n"},
		{"bare LF after the size", "3\nabc\r\n0\r\n\r\n"},
		{"bare LF after the data", "3\r\nabc\n0\r\n\r\n"},
		{"bare CR after the size", "3\rabc\r\n0\r\n\r\n"},
		{"no CRLF after the data", "3\r\nabc0\r\n\r\n"},
		{"more data than said", "3\r\nabcd\r\n0\r\n\r\n"},
		{"bare LF at the end", "3\r\nabc\r\n0\n\r\n"},
		{"bare LF ends the trailers", "3\r\nabc\r\n0\r\n\n"},
		{"extension without a name", "3;\r\nabc\r\n0\r\n\r\n"},
		{"extension with a control", "3;a=\x01\r\nabc\r\n0\r\n\r\n"},
		{"extension with LF", "3;a\nb\r\nabc\r\n0\r\n\r\n"},
		{"extension with an open quote", "3;a=\"b\r\nabc\r\n0\r\n\r\n"},
		{"extension without a semicolon", "3 a\r\nabc\r\n0\r\n\r\n"},
		{"extensions that are too large", "3;a=" + strings.Repeat("b", 5000) + "\r\nabc\r\n0\r\n\r\n"},
		{"extensions that are too many", strings.Repeat("1;abcdefgh\r\nx\r\n", 1000) + "0\r\n\r\n"},
		{"folded trailer", "0\r\na: b\r\n c\r\n\r\n"},
		{"space before the colon of a trailer", "0\r\na : b\r\n\r\n"},
		{"NUL in a trailer", "0\r\na: \x00\r\n\r\n"},
		{"trailers that are too large", "0\r\na: " + strings.Repeat("b", 5000) + "\r\n\r\n"},
		{"trailers that are too many", "0\r\n" + strings.Repeat("a: b\r\n", 200) + "\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &handler{}, nil)
			c := s.dial(t)
			c.send(lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + tc.body)
			c.send(lines("GET /next HTTP/1.1", "Host: a"))
			if r, body := c.response("POST"); r.StatusCode != http.StatusBadRequest || !r.Close {
				t.Errorf("answered %d %q, close %v, want 400 and close", r.StatusCode, body, r.Close)
			}
			c.closed()
		})
	}
}

func TestChunkedBodiesThatAreTaken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, body, want string }{
		{"empty", "0\r\n\r\n", ""},
		{"one chunk", "3\r\nabc\r\n0\r\n\r\n", "abc"},
		{"upper and lower case", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
		{"leading zeros", "0003\r\nabc\r\n000\r\n\r\n", "abc"},
		{"extensions", "3;a;b=c\r\nabc\r\n0;x\r\n\r\n", "abc"},
		{"extensions with whitespace", "3 ; a = b\t;c\r\nabc\r\n0\r\n\r\n", "abc"},
		{"quoted extension", "3;a=\"b;c\\\"\"\r\nabc\r\n0\r\n\r\n", "abc"},
		{"trailers", "3\r\nabc\r\n0\r\nX-Y: y\r\nDigest: z\r\n\r\n", "abc Digest=z"},
		{"trailers that have no place there", "0\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: x\r\nTransfer-Encoding: x\r\nGrpc-Status: 0\r\n\r\n", " Grpc-Status=0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &handler{}, nil)
			c := s.dial(t)
			c.send(lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
			for i := range tc.body { // in the smallest parts
				c.send(tc.body[i : i+1])
			}
			c.send(lines("GET /next HTTP/1.1", "Host: a"))
			want := "POST / " + tc.want
			if r, body := c.response("POST"); r.StatusCode != http.StatusOK || body != want {
				t.Errorf("answered %d %q, want %q", r.StatusCode, body, want)
			}
			if _, body := c.response("GET"); body != "GET /next " {
				t.Errorf("the next request was answered %q", body)
			}
		})
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t, &handler{}, nil)
	c := s.dial(t)
	var all strings.Builder
	for i := range 50 {
		all.WriteString(lines("GET /"+itoa(int64(i))+" HTTP/1.1", "Host: a"))
		all.WriteString(lines("POST /p HTTP/1.1", "Host: a", "Content-Length: 5") + "hello")
	}
	go func() { _, _ = io.WriteString(c, all.String()) }()
	for i := range 50 {
		if _, body := c.response("GET"); body != "GET /"+itoa(int64(i))+" " {
			t.Fatalf("answer %d is %q", i, body)
		}
		if _, body := c.response("POST"); body != "POST /p hello" {
			t.Fatalf("answer %d is %q", i, body)
		}
	}
}

func TestHeadStaysValidWhileALargeBodyIsRead(t *testing.T) {
	t.Parallel()
	s := newServer(t, &handler{serve: func(c *h1.ServerConn) {
		n, err := io.Copy(io.Discard, &c.Body)
		if err != nil {
			t.Error(err)
		}
		answer(c, http.StatusOK, string(c.Request.Target)+" "+c.Request.Fields.Get("X-Mark")+" "+itoa(n))
	}}, nil)
	c := s.dial(t)
	const size = 300 << 10
	for range 3 {
		go func() {
			_, _ = io.WriteString(c, lines("POST /large HTTP/1.1", "Host: a", "X-Mark: mark", "Content-Length: "+itoa(size))+strings.Repeat("x", size))
		}()
		if _, body := c.response("POST"); body != "/large mark "+itoa(size) {
			t.Fatalf("answered %q", body)
		}
	}
}

func TestLargeHead(t *testing.T) {
	t.Parallel()
	s := newServer(t, &handler{}, nil)
	c := s.dial(t)
	for range 2 {
		c.send(lines("POST /x HTTP/1.1", "Host: a", "Content-Length: 2", "X: "+strings.Repeat("v", 30<<10)) + "ok")
		if _, body := c.response("POST"); body != "POST /x ok" {
			t.Fatalf("answered %q", body)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	t.Run("the body is read", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, &handler{}, nil)
		c := s.dial(t)
		c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 2", "Expect: 100-continue"))
		if line, err := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" || err != nil {
			t.Fatalf("came %q, %v", line, err)
		}
		if _, err := c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		c.send("ok")
		if r, body := c.response("POST"); body != "POST / ok" || r.Close {
			t.Errorf("answered %q, close %v", body, r.Close)
		}
	})
	t.Run("refused without the body", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, &handler{serve: func(c *h1.ServerConn) { answer(c, http.StatusUnauthorized, "no") }}, nil)
		c := s.dial(t)
		c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 2", "Expect: 100-continue"))
		if r, body := c.response("POST"); r.StatusCode != http.StatusUnauthorized || body != "no" {
			t.Errorf("answered %d %q", r.StatusCode, body)
		}
		c.closed()
	})
}

func TestAnswersFitTheRequest(t *testing.T) {
	t.Parallel()
	unknown := func(c *h1.ServerConn) {
		c.Respond(&h1.Reply{Status: http.StatusOK, Fields: new(h1.Fields), Length: -1})
		for range 3 {
			if _, err := c.Write([]byte("abc")); err != nil {
				t.Error(err)
			}
		}
		if err := c.Finish(nil); err != nil {
			t.Error(err)
		}
	}
	status := func(status int) func(c *h1.ServerConn) {
		return func(c *h1.ServerConn) {
			c.Respond(&h1.Reply{Status: status, Fields: new(h1.Fields), Length: -1})
			if _, err := c.Write([]byte("not to be sent")); err != nil {
				t.Error(err)
			}
			if err := c.Finish(nil); err != nil {
				t.Error(err)
			}
		}
	}
	for _, tc := range []struct {
		name, request, method string
		serve                 func(c *h1.ServerConn)
		want                  string
		closes                bool
	}{
		{"unknown length is chunked", lines("GET / HTTP/1.1", "Host: a"), "GET", unknown, "abcabcabc", false},
		{"unknown length closes for HTTP/1.0", lines("GET / HTTP/1.0", "Connection: keep-alive"), "GET", unknown, "abcabcabc", true},
		{"HEAD has no body", lines("HEAD / HTTP/1.1", "Host: a"), "HEAD", unknown, "", false},
		{"HEAD has the length", lines("HEAD / HTTP/1.1", "Host: a"), "HEAD", echo, "", false},
		{"204", lines("GET / HTTP/1.1", "Host: a"), "GET", status(204), "", false},
		{"304", lines("GET / HTTP/1.1", "Host: a"), "GET", status(304), "", false},
		{"close is obeyed", lines("GET / HTTP/1.1", "Host: a", "Connection: close"), "GET", echo, "GET / ", true},
		{"HTTP/1.0 closes", lines("GET / HTTP/1.0"), "GET", echo, "GET / ", true},
		{"HTTP/1.0 may stay", lines("GET / HTTP/1.0", "Connection: Keep-Alive"), "GET", echo, "GET / ", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &handler{serve: tc.serve}, nil)
			c := s.dial(t)
			c.send(tc.request)
			r, body := c.response(tc.method)
			if body != tc.want {
				t.Errorf("body %q, want %q", body, tc.want)
			}
			if r.Header.Get("Date") != "Sun, 29 Nov 2026 12:00:00 GMT" {
				t.Errorf("Date is %q", r.Header.Get("Date"))
			}
			if tc.closes {
				c.closed()
				return
			}
			c.send(tc.request)
			if _, body := c.response(tc.method); body != tc.want {
				t.Errorf("second body %q, want %q", body, tc.want)
			}
		})
	}
}

func TestAnswerThatIsTooShortIsAborted(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	s := newServer(t, &handler{serve: func(c *h1.ServerConn) {
		c.Respond(&h1.Reply{Status: http.StatusOK, Fields: new(h1.Fields), Length: 10})
		_, _ = c.Write([]byte("abc"))
		_ = c.Flush()
		failed <- c.Finish(nil)
	}}, nil)
	c := s.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("read %q without an error", body)
	}
	if err := <-failed; !errors.Is(err, h1.ErrTooLittle) {
		t.Errorf("Finish = %v", err)
	}
}

func TestUnreadBody(t *testing.T) {
	t.Parallel()
	refuse := func(c *h1.ServerConn) { answer(c, http.StatusUnauthorized, "no") }
	t.Run("a small one is read, and the connection kept", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, &handler{serve: refuse}, nil)
		c := s.dial(t)
		for range 2 {
			c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 20000") + strings.Repeat("x", 20000))
			if r, _ := c.response("POST"); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("answered %d", r.StatusCode)
			}
		}
	})
	t.Run("of a large one the answer arrives", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, &handler{serve: refuse}, nil)
		c := s.dial(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(c, lines("POST / HTTP/1.1", "Host: a", "Content-Length: 10000000")+strings.Repeat("x", 500<<10))
		}()
		<-sent
		if r, body := c.response("POST"); r.StatusCode != http.StatusUnauthorized || body != "no" {
			t.Errorf("answered %d %q", r.StatusCode, body)
		}
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.closed()
	})
}

// advance moves the clock until done is closed: the sweeper looks at each of its ticks.
func advance(s *server, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
			s.clock.Advance(time.Second)
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func TestSlowClients(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, sent string
		want       int // status, 0 for the end alone
	}{
		{"nothing is sent", "", 0},
		{"a head that does not end", "GET / HTTP/1.1\r\nHost: a\r\nX-", 408},
		{"a body that does not come", lines("POST / HTTP/1.1", "Host: a", "Content-Length: 5") + "ab", 400},
		{"no request after the first", lines("GET / HTTP/1.1", "Host: a"), 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &handler{}, nil)
			c := s.dial(t)
			c.send(tc.sent)
			done := make(chan struct{})
			go func() {
				defer close(done)
				if tc.want != 0 {
					if r, _ := c.response("GET"); r.StatusCode != tc.want {
						t.Errorf("answered %d, want %d", r.StatusCode, tc.want)
					}
				}
				c.closed()
			}()
			advance(s, done)
		})
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	inside, release := make(chan struct{}), make(chan struct{})
	s := newServer(t, &handler{serve: func(c *h1.ServerConn) {
		if string(c.Request.Target) == "/slow" {
			close(inside)
			<-release
		}
		echo(c)
	}}, nil)
	idle, used, slow := s.dial(t), s.dial(t), s.dial(t)
	used.send(lines("GET / HTTP/1.1", "Host: a"))
	used.response("GET")
	slow.send(lines("GET /slow HTTP/1.1", "Host: a"))
	<-inside
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	used.closed() // it was idle
	select {
	case err := <-done:
		t.Fatalf("Shutdown = %v before the request was answered", err)
	default:
	}
	close(release)
	if r, body := slow.response("GET"); body != "GET /slow " || !r.Close {
		t.Errorf("answered %q, close %v", body, r.Close)
	}
	slow.closed()
	idle.closed()
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}

func TestShutdownThatMayNotWait(t *testing.T) {
	t.Parallel()
	inside, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := newServer(t, &handler{serve: func(c *h1.ServerConn) {
		close(inside)
		<-release
		echo(c)
	}}, nil)
	c := s.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v", err)
	}
	c.closed()
}

func TestIdleConnectionsAreHeld(t *testing.T) {
	t.Parallel()
	const n = 1000
	s := newServer(t, &handler{}, nil)
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = s.dial(t)
		clients[i].send(lines("GET /first HTTP/1.1", "Host: a"))
		clients[i].response("GET")
	}
	if open := s.Open(); open != n {
		t.Errorf("%d connections are open, want %d", open, n)
	}
	for _, c := range clients {
		c.send(lines("GET /again HTTP/1.1", "Host: a"))
		if _, body := c.response("GET"); body != "GET /again " {
			t.Fatalf("answered %q", body)
		}
	}
}

// A connection whose handshake of TLS has taken its time comes when Shutdown has waited for all others.
func TestConnectionAfterShutdown(t *testing.T) {
	t.Parallel()
	s := newServer(t, &handler{}, nil)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		client, late := net.Pipe()
		s.ServeConn(late, true)
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection is not closed: %v", err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
