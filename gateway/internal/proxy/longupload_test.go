package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// pieces is a body that comes in n pieces, one at each tick, and then not on before it is closed; or it ends, without ticks.
type pieces struct {
	size, n int
	tick    <-chan time.Time
	ended   chan struct{} // nil: it ends
	once    sync.Once
}

// Close implements io.Closer.
func (p *pieces) Close() error {
	if p.ended != nil {
		p.once.Do(func() { close(p.ended) })
	}
	return nil
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if p.n == 0 {
		if p.ended == nil {
			return 0, io.EOF
		}
		<-p.ended
		return 0, net.ErrClosed
	}
	if p.tick != nil {
		<-p.tick
	}
	p.n--
	return min(len(b), p.size), nil
}

// in are the ways to ask.
var in = []string{"h1", "h1 by TLS", "h2"}

// asking returns a gateway before e and a client that speaks to it in one of the ways.
func asking(t *testing.T, in string, o proxy.EndpointOptions, b func(*proxy.Endpoint) proxy.Balancer, log ...proxy.Log) (client *http.Client, url string) {
	t.Helper()
	config, pool := certificate(t)
	switch in {
	case "h1":
		config = nil
	case "h1 by TLS":
		config.NextProtos = nil
	}
	g := newGateway(t, proxy.Options{}, config)
	e := g.to(t, o, nil)
	g.Swap(&proxy.Chain{Balancer: b(e), Log: log})
	if in == "h2" {
		return h2Client(t, pool), "https://" + g.address + "/"
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}}
	t.Cleanup(transport.CloseIdleConnections)
	url = "http://" + g.address + "/"
	if config != nil {
		url = "https://" + g.address + "/"
	}
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}, url
}

// An upload may last longer than the time for the answer, if its client does not pause for that long. All are made at once: they wait.
func TestLongUploads(t *testing.T) {
	t.Parallel()
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, got, err)
	})
	var uploads sync.WaitGroup
	defer uploads.Wait()
	for _, in := range in {
		for _, out := range []string{"h1", "h2"} {
			o := proxy.EndpointOptions{Read: 700 * time.Millisecond, HTTP2: out == "h2"}
			if o.HTTP2 {
				o.Address, _ = h2Upstream(t, false, count)
			} else {
				s := httptest.NewServer(count)
				t.Cleanup(s.Close)
				o.Address = s.Listener.Addr().String()
			}
			client, url := asking(t, in, o, func(e *proxy.Endpoint) proxy.Balancer { return e })
			for _, chunked := range []bool{false, true} {
				uploads.Go(func() {
					if err := uploadSlowly(client, url, chunked); err != nil {
						t.Errorf("%s to %s, chunked %v: %v", in, out, chunked, err)
					}
				})
			}
		}
	}
}

// uploadSlowly sends a body for 1.2 s, and says what is wrong with the answer of a server that counts its bytes.
func uploadSlowly(client *http.Client, url string, chunked bool) error {
	const n, size = 12, 1000
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	r, err := http.NewRequest(http.MethodPost, url, &pieces{size: size, n: n, tick: ticker.C})
	if err != nil {
		return err
	}
	if r.ContentLength = -1; !chunked {
		r.ContentLength = n * size
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK || string(body) != fmt.Sprint(n*size, nil) || err != nil {
		return fmt.Errorf("answered %d %q, %v", answer.StatusCode, body, err)
	}
	return nil
}

// dying are upstreams that read a part of a request and then die.
var dying = map[string]func(t *testing.T) proxy.EndpointOptions{
	"h1 that closes": func(t *testing.T) proxy.EndpointOptions {
		return proxy.EndpointOptions{Address: newUpstream(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.CopyN(io.Discard, r, most) }).address()}
	},
	"h1 that resets": func(t *testing.T) proxy.EndpointOptions {
		return proxy.EndpointOptions{Address: newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
			_, _ = io.CopyN(io.Discard, r, most)
			_ = nc.(*net.TCPConn).SetLinger(0)
		}).address()}
	},
	"h1 that closes after the head": func(t *testing.T) proxy.EndpointOptions {
		return proxy.EndpointOptions{Address: newUpstream(t, func(_ net.Conn, r *bufio.Reader) { _, _ = http.ReadRequest(r) }).address()}
	},
	"h2 that resets the stream": func(t *testing.T) proxy.EndpointOptions {
		address, _ := h2Upstream(t, false, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, most)
			panic(http.ErrAbortHandler)
		}))
		return proxy.EndpointOptions{Address: address, HTTP2: true}
	},
	"h2 that closes": func(t *testing.T) proxy.EndpointOptions {
		type key struct{}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, most)
			_ = r.Context().Value(key{}).(net.Conn).Close()
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Config.ConnContext = func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, key{}, nc) }
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		t.Cleanup(s.Close)
		return proxy.EndpointOptions{Address: s.Listener.Addr().String(), HTTP2: true}
	},
}

const most = 20000 // what dying upstreams read

// An upstream that dies during an upload is to blame, and the client is told so, whatever it is still sending.
func TestUpstreamDiesDuringUpload(t *testing.T) {
	t.Parallel()
	for _, in := range in {
		for out, upstream := range dying {
			for _, how := range []string{"slow with length", "slow in chunks", "fast with length", "fast in chunks"} {
				t.Run(in+" to "+out+" "+how, func(t *testing.T) {
					t.Parallel()
					o := upstream(t)
					f := make(chan error, 10)
					client, url := asking(t, in, o, func(e *proxy.Endpoint) proxy.Balancer { return told{e, f} })
					body := &pieces{size: 1 << 10, n: most>>10 + 1, ended: make(chan struct{})}
					if strings.HasPrefix(how, "fast") {
						body.n = 500 // as much as is read by HTTP/1.1 of what nobody wants, so that the client can read the answer
					}
					defer body.Close()
					r, err := http.NewRequest(http.MethodPost, url, body)
					if err != nil {
						t.Fatal(err)
					}
					if r.ContentLength = -1; strings.HasSuffix(how, "length") {
						r.ContentLength = 1 << 30
					}
					answer, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					defer answer.Body.Close()
					said, err := io.ReadAll(answer.Body)
					if answer.StatusCode != http.StatusBadGateway || !json.Valid(said) || err != nil {
						t.Errorf("answered %d %q, %v", answer.StatusCode, said, err)
					}
					if err := <-f; proxy.FaultOf(err) != proxy.Broken || !strings.Contains(err.Error(), o.Address) {
						t.Errorf("the attempt ended with %q, fault %d", err, proxy.FaultOf(err))
					}
				})
			}
		}
	}
}

// told is a balancer that tells how attempts have ended.
type told struct {
	*proxy.Endpoint
	errs chan error
}

// Done implements proxy.Balancer.
func (t told) Done(_ *proxy.Exchange, _ *proxy.Endpoint, err error) { t.errs <- err }

// The error of a limit says which one it is, and whose.
func TestTimeoutsAreNamed(t *testing.T) {
	t.Parallel()
	silent := func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }
	h2, _ := h2Upstream(t, false, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	for want, o := range map[string]proxy.EndpointOptions{
		"no answer within read_timeout, 20 ms": {Address: newUpstream(t, silent).address(), Read: 20 * time.Millisecond},
		"no answer within read_timeout, 30 ms": {Address: h2, HTTP2: true, Read: 30 * time.Millisecond},
		"the answer has stopped for longer than read_timeout, 40 ms": {Address: newUpstream(t, func(nc net.Conn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
			silent(nc, r)
		}).address(), Read: 40 * time.Millisecond},
		"no connection within connect_timeout, 50 ms": {Address: "192.0.2.1:80", Connect: 50 * time.Millisecond, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	} {
		g := newGateway(t, proxy.Options{}, nil)
		f := make(chan error, 10)
		g.Swap(&proxy.Chain{Balancer: told{g.to(t, o, nil), f}})
		c := g.dial(t)
		c.send(lines("GET / HTTP/1.1", "Host: a"))
		if err := <-f; err == nil || err.Error() != "upstream "+o.Address+": "+want || proxy.FaultOf(err) != proxy.TimedOut {
			t.Errorf("the attempt ended with %v, fault %d, want %s", err, proxy.FaultOf(err), want)
		}
	}
}
