package h1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// handler answers with what it was asked, and counts.
type handler struct {
	handled, refused atomic.Int64
	serve            func(c *h1.ServerConn)
}

func (h *handler) ServeH1(c *h1.ServerConn) {
	h.handled.Add(1)
	if h.serve != nil {
		h.serve(c)
		return
	}
	echo(c)
}

func (h *handler) Refuse(*h1.ServerConn, *h1.ProtocolError) { h.refused.Add(1) }
func (h *handler) ServeH2(net.Conn) bool                    { return false }

// echo answers with method, target and body.
func echo(c *h1.ServerConn) {
	text := c.Request.Method + " " + string(c.Request.Target) + " "
	body, err := io.ReadAll(&c.Body)
	if err != nil {
		c.Close()
		answer(c, http.StatusBadRequest, err.Error())
		return
	}
	for name, value := range c.Body.Trailers().All() {
		body = fmt.Appendf(body, " %s=%s", name, value)
	}
	answer(c, http.StatusOK, text+string(body))
}

func answer(c *h1.ServerConn, status int, text string) {
	c.Respond(&h1.Reply{Status: status, Fields: new(h1.Fields), Length: int64(len(text))})
	if _, err := c.Write([]byte(text)); err != nil {
		c.Abort()
	}
	_ = c.Finish(nil) // the client's side of the test sees
}

// server is a server on loopback.
type server struct {
	*h1.Server
	h       *handler
	address string
	clock   *clock.Manual
}

func newServer(t testing.TB, h *handler, change func(*h1.Server)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := clock.NewManual(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
	sweeper := h1.NewSweeper(c)
	s := &server{Server: &h1.Server{Handler: h, Sweeper: sweeper, Clock: c}, h: h, address: l.Addr().String(), clock: c}
	if change != nil {
		change(s.Server)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go s.ServeConn(nc, false)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		if err := s.Shutdown(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
		sweeper.Stop()
	})
	return s
}

// dial connects to the server.
func (s *server) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
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

// response reads a response to a method.
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

// closed fails unless the server closes the connection without another byte.
func (c *client) closed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Errorf("after the answer came %q, %v, want the end", rest, err)
	}
}
