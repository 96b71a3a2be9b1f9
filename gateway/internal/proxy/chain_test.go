package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

type logFunc func(x *proxy.Exchange)

func (f logFunc) Log(x *proxy.Exchange) { f(x) }

type accessFunc func(x *proxy.Exchange)

func (f accessFunc) Access(x *proxy.Exchange) { f(x) }

type filterFunc func(x *proxy.Exchange)

func (f filterFunc) HeaderFilter(x *proxy.Exchange) { f(x) }

func TestChain(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	var mu sync.Mutex
	var order []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s)
	}
	logged := make(chan struct{})
	g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{
			accessFunc(func(x *proxy.Exchange) {
				note("first")
				x.SetValue("key", "value")
				x.Request.Fields.Set("X-Consumer-ID", "7\r\nX-Evil: 1")
				x.Target.Path, x.Target.Prefix = "/rest", "/api"
				if x.Request.Fields.Has("X-Refuse") {
					x.AnswerMessage(http.StatusUnauthorized, `no "way"`)
				}
			}),
			accessFunc(func(*proxy.Exchange) { note("second") }),
		}
		c.Filters = []proxy.HeaderFilter{filterFunc(func(x *proxy.Exchange) {
			note("filter")
			x.Response.Fields.Set("X-Value", x.Value("key").(string))
		})}
		c.Log = []proxy.Log{logFunc(func(x *proxy.Exchange) {
			note(fmt.Sprint("log ", x.Response.Status, " ", x.Sent, " ", x.Local()))
			logged <- struct{}{}
		})}
	})
	c := g.dial(t)
	c.send(lines("GET /api/rest HTTP/1.1", "Host: a"))
	r, body := c.response("GET")
	<-logged
	if body != "hello" || r.Header.Get("X-Value") != "value" {
		t.Errorf("answered %q %v", body, r.Header)
	}
	got := up.received()
	if !strings.HasPrefix(got, "GET /rest HTTP/1.1\r\n") || !strings.Contains(got, "X-Consumer-ID: 7  X-Evil: 1\r\n") || !strings.Contains(got, "X-Forwarded-Prefix: /api\r\n") {
		t.Errorf("the upstream was sent %q", got)
	}
	c.send(lines("GET /api/rest HTTP/1.1", "Host: a", "X-Refuse: yes"))
	r, body = c.response("GET")
	<-logged
	if r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(body, "{\n  \"message\":\"no \\\"way\\\"\",\n  \"request_id\":\"") || r.Header.Get("X-Value") != "value" {
		t.Errorf("answered %d %q %v", r.StatusCode, body, r.Header)
	}
	if got, want := strings.Join(order, ", "), "first, second, filter, log 200 5 false, first, filter, log 401 "+fmt.Sprint(len(body))+" true"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestAPanicCostsOneRequest(t *testing.T) {
	t.Parallel()
	g := newGateway(t, proxy.Options{}, nil)
	g.Swap(proxy.HandlerFunc(func(x *proxy.Exchange) {
		if x.Request.Path == "/panic" {
			panic("of a plugin")
		}
		proxy.NotFound(x)
	}))
	bad, good := g.dial(t), g.dial(t)
	bad.send(lines("GET /panic HTTP/1.1", "Host: a"))
	bad.closed()
	good.send(lines("GET / HTTP/1.1", "Host: a"))
	if r, body := good.response("GET"); r.StatusCode != http.StatusNotFound || !strings.Contains(body, "no Route matched with those values") {
		t.Errorf("answered %d %q", r.StatusCode, body)
	}
}

func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			c := g.dial(t)
			for {
				select {
				case <-done:
					return
				default:
				}
				c.send(lines("POST / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc")
				if r, body := c.response("POST"); r.StatusCode != http.StatusOK || body != "hello" {
					t.Errorf("answered %d %q", r.StatusCode, body)
					return
				}
			}
		})
	}
	for range 100 {
		e := proxy.NewEndpoint(proxy.EndpointOptions{Address: up.address(), Sweeper: g.Sweeper()})
		g.Swap(&proxy.Chain{Balancer: e})
		<-time.After(time.Millisecond)
		e.Close() // the requests that have it already must not notice
	}
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	close(done)
	clients.Wait()
}

func TestShutdownLetsExchangesEnd(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	up := newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			close(asked)
			<-release
			_, _ = io.WriteString(nc, hello)
		}
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	c := g.dial(t)
	c.send(lines("GET / HTTP/1.1", "Host: a"))
	<-asked
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- g.Shutdown(ctx)
	}()
	for { // it does not listen any more
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			break
		}
		nc.Close()
	}
	close(release)
	if r, body := c.response("GET"); body != "hello" || !r.Close {
		t.Errorf("answered %q, close %v", body, r.Close)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}

// The log sees the response's fields, which are in the upstream connection's buffer.
func TestTheLogSeesTheResponse(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering("HTTP/1.1 200 OK\r\nX-Mark: mark\r\nContent-Length: 5\r\n\r\nhello"))
	g := newGateway(t, proxy.Options{}, nil)
	seen := make(chan string, 1)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Log = []proxy.Log{logFunc(func(x *proxy.Exchange) { seen <- x.Response.Fields.Get("X-Mark") + " " + x.Request.Fields.Get("X-Ask") })}
	})
	c := g.dial(t)
	for range 3 {
		c.send(lines("GET / HTTP/1.1", "Host: a", "X-Ask: ask"))
		c.response("GET")
		if got := <-seen; got != "mark ask" {
			t.Errorf("the log saw %q", got)
		}
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, answering(hello))
	g := newGateway(t, proxy.Options{Trusted: proxy.TrustedProxies{netip.MustParsePrefix("10.0.0.0/8")}}, nil)
	e := g.to(t, proxy.EndpointOptions{Address: up.address()}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{accessFunc(func(x *proxy.Exchange) {
			x.Note("test", x.Request.Method+" "+x.Request.Scheme+" "+x.Request.Host+" "+x.Request.Path+" "+x.Client.String())
			if x.Request.Fields.Has("Authorization") {
				x.Note("test", "there is a token")
				return
			}
			x.AnswerMessage(http.StatusUnauthorized, "Unauthorized")
		})}
		c.Log = []proxy.Log{logFunc(func(*proxy.Exchange) { t.Error("a dry run is logged") })}
	})
	r, err := http.NewRequest(http.MethodGet, "http://example.com/a%2Fb?c", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	r.Header.Set("X-Forwarded-Proto", "https")
	x := g.DryRun(t.Context(), r, netip.MustParseAddr("10.1.1.1"))
	if x.Response.Status != http.StatusUnauthorized || len(x.Notes) != 1 || x.Notes[0].Reason != "GET https example.com /a%2Fb 1.2.3.4" {
		t.Errorf("status %d, notes %v", x.Response.Status, x.Notes)
	}
	r.Header.Set("Authorization", "Bearer x")
	if x := g.DryRun(t.Context(), r, netip.MustParseAddr("10.1.1.1")); x.Endpoint != e || len(x.Notes) != 2 || x.Answered() {
		t.Errorf("endpoint %v, notes %v", x.Endpoint, x.Notes)
	}
	if n := up.conns.Load(); n != 0 {
		t.Error("the upstream was asked")
	}
}

func TestShutdownLetsStreamsEnd(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = io.WriteString(w, "hello")
	})}, nil)
	client := h2Client(t, nil)
	answered := make(chan string, 1)
	go func() {
		r, err := client.Get("http://" + g.address + "/")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		answered <- fmt.Sprint(string(body), err)
	}()
	<-asked
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- g.Shutdown(ctx)
	}()
	for { // it does not listen any more
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			break
		}
		nc.Close()
	}
	close(release)
	if got := <-answered; got != "hello<nil>" {
		t.Errorf("answered %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}
