package h1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/internal/clock"
)

// upstream is the other side of a pool.
type upstream struct {
	pool  *h1.Pool
	clock *clock.Manual
	conns chan net.Conn // each as it is opened
}

func newUpstream(t *testing.T, o h1.PoolOptions, answer string) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{clock: clock.NewManual(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)), conns: make(chan net.Conn, 100)}
	sweeper := h1.NewSweeper(u.clock)
	o.Sweeper = sweeper
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	u.pool = h1.NewPool(o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			u.conns <- nc
			go func() {
				defer nc.Close()
				r := bufio.NewReader(nc)
				for {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					_, _ = io.WriteString(nc, answer)
				}
			}()
		}
	}()
	t.Cleanup(func() {
		u.pool.Close()
		l.Close()
		<-done
		close(u.conns)
		for nc := range u.conns {
			nc.Close()
		}
		sweeper.Stop()
	})
	return u
}

const answered = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// get makes a request on a connection of the pool.
func (u *upstream) get(t *testing.T) *h1.ClientConn {
	t.Helper()
	c, err := u.pool.Get(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ask([]byte(lines("GET / HTTP/1.1", "Host: a")), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := c.Await(http.MethodGet, time.Minute); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(&c.Body); string(body) != "hello" || err != nil {
		t.Fatalf("body %q, %v", body, err)
	}
	return c
}

func TestPoolKeepsConnections(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, h1.PoolOptions{MaxIdle: 2, MaxOpen: 3}, answered)
	first := u.get(t)
	first.Release()
	again := u.get(t)
	if again != first || !again.Reused() {
		t.Error("the connection was not used again")
	}
	second, third := u.get(t), u.get(t)
	if _, err := u.pool.Get(t.Context(), false); !errors.Is(err, h1.ErrPoolFull) {
		t.Errorf("the fourth of three: %v", err)
	}
	again.Release()
	second.Release()
	third.Release() // more than two are not kept
	if open, idle := u.pool.Stats(); open != 2 || idle != 2 {
		t.Errorf("%d open, %d idle, want 2 and 2", open, idle)
	}
	u.pool.Close()
	late, err := u.pool.Get(t.Context(), false) // a request that has the pool still
	if err != nil {
		t.Fatal(err)
	}
	late.Release()
	if open, _ := u.pool.Stats(); open != 0 {
		t.Errorf("%d open after Close", open)
	}
}

func TestConnectionsThatAreNotKept(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"closes":            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"more than was due": answered + "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, h1.PoolOptions{}, answer)
			u.get(t).Release()
			if open, idle := u.pool.Stats(); open != 0 || idle != 0 {
				t.Errorf("%d open, %d idle, want none", open, idle)
			}
		})
	}
	t.Run("body that was not read", func(t *testing.T) {
		t.Parallel()
		u := newUpstream(t, h1.PoolOptions{}, answered)
		c, err := u.pool.Get(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ask([]byte(lines("GET / HTTP/1.1", "Host: a")), time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := c.Await(http.MethodGet, time.Minute); err != nil {
			t.Fatal(err)
		}
		c.Release()
		if open, _ := u.pool.Stats(); open != 0 {
			t.Errorf("%d open, want none", open)
		}
	})
}

// until moves the clock until something is so.
func (u *upstream) until(t *testing.T, so func() bool) {
	t.Helper()
	for range 5000 {
		if so() {
			return
		}
		u.clock.Advance(time.Second)
		<-time.After(time.Millisecond)
	}
	t.Fatal("it did not come to that")
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	empty := func(u *upstream) func() bool {
		return func() bool {
			open, _ := u.pool.Stats()
			return open == 0
		}
	}
	t.Run("when they have not been used for long", func(t *testing.T) {
		t.Parallel()
		u := newUpstream(t, h1.PoolOptions{IdleTimeout: time.Minute}, answered)
		u.get(t).Release()
		u.clock.Advance(30 * time.Second)
		<-time.After(10 * time.Millisecond)
		if open, _ := u.pool.Stats(); open != 1 {
			t.Errorf("%d open after half the time", open)
		}
		u.until(t, empty(u))
	})
	t.Run("when the upstream has closed them", func(t *testing.T) {
		t.Parallel()
		u := newUpstream(t, h1.PoolOptions{IdleTimeout: 1000 * time.Hour}, answered)
		u.get(t).Release()
		(<-u.conns).Close()
		u.until(t, empty(u))
	})
}

func TestAskAnswersStaleWhenTheUpstreamHasClosed(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, h1.PoolOptions{}, answered)
	u.get(t).Release()
	nc := <-u.conns
	if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c, err := u.pool.Get(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Discard()
	if err := c.Ask([]byte(lines("POST / HTTP/1.1", "Host: a")), time.Minute); !h1.Stale(err) || c.Answered() {
		t.Errorf("Ask = %v, answered %v", err, c.Answered())
	}
}

func TestAskTimesOut(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, h1.PoolOptions{}, "")
	c, err := u.pool.Get(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Discard()
	done := make(chan error, 1)
	go func() { done <- c.Ask([]byte(lines("GET / HTTP/1.1", "Host: a")), time.Minute) }()
	var got error
	u.until(t, func() bool {
		select {
		case got = <-done:
			return true
		default:
			return false
		}
	})
	if !errors.Is(got, h1.ErrTimeout) {
		t.Errorf("Ask = %v", got)
	}
}
