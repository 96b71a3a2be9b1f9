// Package plugintest is the test kit of plugins: a gateway with a configuration in Kong's format, before an
// upstream that says what it was asked.
package plugintest

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/kongfile"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
	"github.com/perdure/perdure/internal/clock"
)

// Start is when the clock of a Gateway begins: 20 seconds before the end of a minute.
var Start = time.Date(2026, 5, 17, 10, 30, 40, 0, time.UTC)

// Gateway is a gateway in a test. Requests come from a trusted proxy: X-Forwarded-For says from whom.
type Gateway struct {
	Clock *clock.Manual
	// Upstream answers; nil answers 200 with nothing. What it was asked is in Response.Upstream. Whatever service a plugin
	// sends a request to, it is here that it ends.
	Upstream http.HandlerFunc
	// Log is what instances made from now on tell; nil is nobody.
	Log *slog.Logger

	t        testing.TB
	registry *plugin.Registry
	state    *plugin.State
	server   *proxy.Server
	client   *http.Client
	address  string
	endpoint *proxy.Endpoint
	servers  *balance.Set
	config   *entity.Config

	mu       sync.Mutex
	upstream *http.Request
	body     string
	last     *Response
}

// Response is what a request led to.
type Response struct {
	Status int
	Header http.Header
	Body   string
	// Upstream is what the upstream was asked, with UpstreamBody; nil if it was not.
	Upstream     *http.Request
	UpstreamBody string
	// Notes are the reasons, "plugin: reason".
	Notes []string
	// Consumer is who was found to ask, "" for nobody; Principal is the exchange's.
	Consumer  string
	Principal any
	// Service is the one that answers, "" for none.
	Service string
}

// New starts a gateway. The file is in Kong's format, without the line of its version.
func New(t testing.TB, registry *plugin.Registry, file string) *Gateway {
	t.Helper()
	g := &Gateway{t: t, Clock: clock.NewManual(Start), registry: registry, state: plugin.NewState()}
	g.server = proxy.NewServer(proxy.HandlerFunc(proxy.NotFound), proxy.Options{
		Clock: g.Clock, Trusted: proxy.TrustedProxies{netip.MustParsePrefix("127.0.0.0/8")},
	})
	upstream := httptest.NewServer(http.HandlerFunc(g.answer))
	g.endpoint = proxy.NewEndpoint(proxy.EndpointOptions{Address: upstream.Listener.Addr().String(), Sweeper: g.server.Sweeper()})
	g.servers = balance.New(balance.Options{
		Sweeper: g.server.Sweeper(), Clock: g.Clock, App: http.HandlerFunc(g.answer),
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, upstream.Listener.Addr().String())
		},
	})
	t.Cleanup(func() {
		g.servers.Stop(context.Background())
		g.endpoint.Close()
		upstream.CloseClientConnections()
		upstream.Close()
	})
	g.Load(file)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	transport := &http.Transport{DisableCompression: true}
	g.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.server.Serve(l, nil) // ends by Shutdown
	}()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		<-done
	})
	return g
}

// Compile reads a file in Kong's format, without the line of its version.
func Compile(registry *plugin.Registry, file string) (*entity.Config, []entity.Problem) {
	config, problems := kongfile.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+file))
	compiled, more := config.Compile(registry)
	return compiled, append(problems, more...)
}

// Load makes another configuration the one in use.
func (g *Gateway) Load(file string) {
	g.t.Helper()
	config, problems := Compile(g.registry, file)
	if entity.Failed(problems) {
		g.t.Fatalf("the configuration has problems: %v", problems)
	}
	servers, problems := g.servers.Build(config)
	if servers == nil {
		g.t.Fatalf("the services have problems: %v", problems)
	}
	plan, problems := g.registry.Build(config, plugin.Environment{State: g.state, Clock: g.Clock, Log: g.Log, Balancer: servers.Balancer})
	if plan == nil {
		g.t.Fatalf("the plugins have problems: %v", problems)
	}
	routes, err := router.New(config.Routes)
	if err != nil {
		g.t.Fatal(err)
	}
	chains := make([]*proxy.Chain, len(config.Routes))
	for i, r := range config.Routes {
		chains[i] = &proxy.Chain{Balancer: g.endpoint}
		plan.Attach(r, chains[i])
	}
	g.server.Swap(proxy.HandlerFunc(func(x *proxy.Exchange) {
		m, ok := routes.Match(&router.Request{
			Method: x.Request.Method, Secure: x.Request.Scheme == "https", Host: x.Request.Host, Port: x.ServerPort,
			Path: x.Request.Path, SNI: sni(x), Fields: x.Request.Fields,
		})
		if !ok {
			proxy.NotFound(x)
			return
		}
		x.Explain, x.Route = true, m.Route
		if m.Route.Service.To != nil {
			x.Service = m.Route.Service.To
		}
		if m.HasCaptures() {
			x.SetValue(plugin.CapturesKey{}, &m)
		}
		x.Target.Path, x.Target.Prefix = m.Target(m.Route.Service.To)
		// Set before the client has the answer.
		chain := *chains[m.Index]
		chain.Filters = append(append([]proxy.HeaderFilter(nil), chain.Filters...), recorder{g})
		chain.Serve(x)
	}))
	plan.Commit()
	g.config = config
}

// Config returns the configuration in use, compiled.
func (g *Gateway) Config() *entity.Config { return g.config }

// ServeTLS accepts connections with TLS as well, and returns their address. Close the client's before the test ends.
func (g *Gateway) ServeTLS(config *tls.Config) (address string) {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.server.Serve(l, config) // ends by Shutdown, or when the listener is closed
	}()
	g.t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

func sni(x *proxy.Exchange) string {
	if x.TLS == nil {
		return ""
	}
	return x.TLS.ServerName
}

// recorder is the last filter: it keeps what the exchange knows.
type recorder struct{ g *Gateway }

// HeaderFilter implements proxy.HeaderFilter.
func (r recorder) HeaderFilter(x *proxy.Exchange) {
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	last := &Response{Principal: x.Principal}
	for _, n := range x.Notes {
		last.Notes = append(last.Notes, n.Who+": "+n.Reason)
	}
	if c := plugin.Consumer(x); c != nil {
		last.Consumer = c.Label()
	}
	if s, ok := x.Service.(*entity.Service); ok {
		last.Service = s.Label()
	}
	r.g.last = last
}

// answer is the upstream.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	g.mu.Lock()
	g.upstream, g.body = r, string(body)
	g.mu.Unlock()
	switch {
	case err != nil: // the answer is the gateway's
	case g.Upstream != nil:
		g.Upstream(w, r)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// Do sends a request: "GET /path", and header fields as "Name: value".
func (g *Gateway) Do(request string, fields ...string) *Response {
	g.t.Helper()
	return g.Send(request, nil, fields...)
}

// Send is Do with a body.
func (g *Gateway) Send(request string, body io.Reader, fields ...string) *Response {
	g.t.Helper()
	return g.SendBy(g.client, "http://"+g.address, request, body, fields...)
}

// SendBy is Send by a client, to a scheme and an authority that the client knows how to reach.
func (g *Gateway) SendBy(client *http.Client, to, request string, body io.Reader, fields ...string) *Response {
	g.t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r, err := http.NewRequest(method, to+target, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header[name] = append(r.Header[name], value)
	}
	g.mu.Lock()
	g.upstream, g.body, g.last = nil, "", nil
	g.mu.Unlock()
	answer, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.last
	if got == nil {
		got = &Response{}
	}
	got.Status, got.Header, got.Body, got.Upstream, got.UpstreamBody = answer.StatusCode, answer.Header, string(text), g.upstream, g.body
	return got
}

// Noted reports whether a reason has the text.
func (r *Response) Noted(text string) bool {
	for _, n := range r.Notes {
		if strings.Contains(n, text) {
			return true
		}
	}
	return false
}

// Problems returns what is wrong with a configuration, a line for each.
func Problems(registry *plugin.Registry, file string) string {
	_, problems := Compile(registry, file)
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// State returns what the instances remember.
func (g *Gateway) State() *plugin.State { return g.state }
