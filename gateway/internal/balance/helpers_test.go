package balance_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/kongfile"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 5, 17, 10, 30, 40, 0, time.UTC)

// world is a set of servers, with the configuration in use.
type world struct {
	*balance.Set
	clock  *clock.Manual
	config *entity.Config
	plan   *balance.Plan
}

func newWorld(t testing.TB, file string, change func(*balance.Options)) *world {
	t.Helper()
	sweeper := h1.NewSweeper(clock.System())
	w := &world{clock: clock.NewManual(start)}
	o := balance.Options{Sweeper: sweeper, Clock: w.clock, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	w.Set = balance.New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		w.Stop(ctx)
		sweeper.Stop()
	})
	w.load(t, file)
	return w
}

// load makes another configuration the one in use.
func (w *world) load(t testing.TB, file string) {
	t.Helper()
	w.config = compile(t, file)
	plan, problems := w.Build(w.config)
	if plan == nil {
		t.Fatalf("the balancers have problems: %v", problems)
	}
	w.plan = plan
	plan.Commit()
}

func compile(t testing.TB, file string) *entity.Config {
	t.Helper()
	config, problems := kongfile.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+file))
	if entity.Failed(problems) {
		t.Fatalf("the file has problems: %v", problems)
	}
	compiled, problems := config.Compile(nil)
	if compiled == nil {
		t.Fatalf("the configuration has problems: %v", problems)
	}
	return compiled
}

// balancer is that of the first service.
func (w *world) balancer() proxy.Balancer { return w.plan.Balancer(w.config.Services[0]) }

// health is that of the first upstream, by address.
func (w *world) health() map[string]balance.TargetHealth {
	m := map[string]balance.TargetHealth{}
	for _, h := range w.Health(w.config.Upstreams[0]) {
		m[h.Target] = h
	}
	return m
}

// exchange is a request that nobody has sent.
func exchange(method, path string, fields ...string) *proxy.Exchange {
	x := &proxy.Exchange{Client: netip.MustParseAddr("192.0.2.1")}
	x.Request.Method, x.Request.Path, x.Request.Fields = method, path, new(h1.Fields)
	x.Request.Path, x.Request.Query, x.Request.HasQuery = cutQuery(path)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Request.Fields.Add(name, value)
	}
	return x
}

func cutQuery(target string) (path, query string, has bool) { return strings.Cut(target, "?") }

// pick makes one attempt end at once: with a status, or with an error if it is 0.
func pick(t testing.TB, b proxy.Balancer, x *proxy.Exchange, status int, err error) string {
	t.Helper()
	e, wrong := b.Pick(x)
	if wrong != nil {
		t.Fatalf("Pick = %v", wrong)
	}
	x.Endpoint = e
	x.Attempts++
	x.Response.Status = status
	b.Done(x, e, err)
	return e.Address()
}

// ask is pick for a new GET that is answered with a status.
func ask(t testing.TB, b proxy.Balancer, status int) string {
	t.Helper()
	return pick(t, b, exchange("GET", "/"), status, nil)
}

// gateway serves the first service, and returns its URL.
func (w *world) gateway(t testing.TB) string {
	t.Helper()
	return newGateway(t, w.balancer)
}

// newGateway serves by a balancer, with Kong's retries.
func newGateway(t testing.TB, balancer func() proxy.Balancer) string {
	t.Helper()
	server := proxy.NewServer(proxy.HandlerFunc(func(x *proxy.Exchange) {
		(&proxy.Chain{Balancer: balancer(), Retries: 5}).Serve(x)
	}), proxy.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l, nil) // ends by Shutdown
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		<-done
	})
	return "http://" + l.Addr().String()
}

// client is one of its own, so that nothing is left of it.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

// server answers with its name, and how it was asked.
func server(t testing.TB, name string) *httptest.Server {
	s := httptest.NewServer(named(name))
	t.Cleanup(s.Close)
	return s
}

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name+" "+r.Host) }
}

// upstream is a service before an upstream with targets "address weight"; more lines say more of the upstream.
func upstream(more string, targets ...string) string {
	var b strings.Builder
	b.WriteString("services:\n- {name: s, host: u, port: 80}\nupstreams:\n- name: u\n" + more + "  targets:\n")
	for _, line := range targets {
		address, weight, _ := strings.Cut(line, " ")
		if weight == "" {
			weight = "100"
		}
		b.WriteString("  - {target: \"" + address + "\", weight: " + weight + "}\n")
	}
	return b.String()
}
