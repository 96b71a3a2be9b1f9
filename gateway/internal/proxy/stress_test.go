package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// long returns how much of something a test does: n, or what the environment says for
// the long form.
func long(t *testing.T, name string, n int) int {
	t.Helper()
	if text := os.Getenv(name); text != "" {
		m, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return m
	}
	return n
}

// flaky is an upstream that dies and returns. Each answer says which request it is to.
type flaky struct {
	mu    sync.Mutex
	up    bool
	conns map[net.Conn]struct{}
}

func (f *flaky) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.up {
		return nil, fmt.Errorf("upstream is down")
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		f.conns[nc] = struct{}{}
	}
	return nc, err
}

// set makes it die, with all its connections, or return.
func (f *flaky) set(up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = up
	if !up {
		for nc := range f.conns {
			_ = nc.(*net.TCPConn).SetLinger(0) // as a process that dies
			nc.Close()
			delete(f.conns, nc)
		}
	}
}

// Upstreams die and return under load. No answer is wrong:
// it is the one to the request, or one that says that there is none.
func TestUpstreamsThatDieAndReturn(t *testing.T) {
	t.Parallel()
	deaths := long(t, "PERDURE_GATEWAY_DEATHS", 20)
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return
			}
			text := request.Header.Get("X-Number") + string(body)
			if request.Header.Get("X-Chunked") != "" {
				_, err = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text)
			} else {
				_, err = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			}
			if err != nil {
				return
			}
		}
	})
	g := newGateway(t, proxy.Options{}, nil)
	var endpoints []*proxy.Endpoint
	var upstreams []*flaky
	for range 2 {
		f := &flaky{up: true, conns: make(map[net.Conn]struct{})}
		upstreams = append(upstreams, f)
		endpoints = append(endpoints, g.to(t, proxy.EndpointOptions{Address: up.address(), Dial: f.dial}, nil))
	}
	g.Swap(&proxy.Chain{Balancer: &round{endpoints: endpoints}, Retries: 3})

	done := make(chan struct{})
	var clients sync.WaitGroup
	var right, failed atomic.Int64
	for i := range 16 {
		clients.Go(func() {
			var c *client
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if c == nil {
					c = g.dial(t)
				}
				number, body := fmt.Sprintf("%d-%d:", i, n), ""
				request := []string{"GET / HTTP/1.1", "Host: a", "X-Number: " + number}
				switch n % 4 {
				case 1:
					body = strings.Repeat("x", rand.IntN(100))
					request = append(request, "Content-Length: "+strconv.Itoa(len(body)), "X-Chunked: yes")
				case 2:
					body = strings.Repeat("y", 20<<10)
					request = append(request, "Content-Length: "+strconv.Itoa(len(body)))
				}
				request[0] = [...]string{"GET", "PUT", "POST", "DELETE"}[n%4] + " / HTTP/1.1"
				if _, err := io.WriteString(c, lines(request...)+body); err != nil {
					c = nil
					continue
				}
				r, err := http.ReadResponse(c.r, nil)
				if err != nil {
					failed.Add(1)
					c = nil
					continue
				}
				got, err := io.ReadAll(r.Body)
				switch {
				case err != nil:
					failed.Add(1)
					c = nil
				case r.StatusCode == http.StatusOK && string(got) == number+body:
					right.Add(1)
				case r.StatusCode == http.StatusOK:
					t.Errorf("request %s was answered %.60q", number, got)
					return
				default:
					failed.Add(1)
				}
				if r.Close {
					c = nil
				}
			}
		})
	}
	for range deaths {
		f := upstreams[rand.IntN(len(upstreams))]
		f.set(false)
		<-time.After(5 * time.Millisecond)
		f.set(true)
		<-time.After(5 * time.Millisecond)
	}
	close(done)
	clients.Wait()
	for _, e := range endpoints { // every connection was given back
		for deadline := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
			open, idle := e.Conns()
			if open == idle {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%d connections are open, %d idle", open, idle)
				break
			}
		}
	}
	t.Logf("%d right, %d failed", right.Load(), failed.Load())
	if right.Load() == 0 {
		t.Error("nothing was answered")
	}
}

// Idle connections are held, and cost a goroutine and no buffer.
func TestConnectionsAreHeld(t *testing.T) {
	t.Parallel()
	n := long(t, "PERDURE_GATEWAY_CONNS", 1000)
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{Timeouts: h1.Timeouts{Head: time.Hour, Idle: time.Hour}}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = g.dial(t)
		if err := clients[i].SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // used, or new
			clients[i].send(lines("GET / HTTP/1.1", "Host: a"))
			clients[i].response("GET")
		}
	}
	for _, c := range clients {
		c.send(lines("GET / HTTP/1.1", "Host: a"))
		if _, body := c.response("GET"); body != "hello" {
			t.Fatalf("answered %q", body)
		}
	}
}
