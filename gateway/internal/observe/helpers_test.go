package observe_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/all"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
	"github.com/perdure/perdure/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a gateway that is observed. Requests come from a trusted proxy.
type world struct {
	*proxy.Server
	t       testing.TB
	clock   *clock.Manual
	state   *plugin.State
	address string
	client  *http.Client
	setting *observe.Setting
	recent  *observe.Recent
	log     *observe.AccessLog
	lines   *buffer
	// watchers are told at the end, and ended gets a value after that; change may add to chains.
	watchers []proxy.Log
	ended    chan struct{}
	upstream *httptest.Server
}

// buffer is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

type logFunc func(*proxy.Exchange)

func (f logFunc) Log(x *proxy.Exchange) { f(x) }

type answer struct {
	status  int
	message string
}

func (a answer) Access(x *proxy.Exchange) {
	plugin.Refuse(x, "router", a.message)
	x.AnswerMessage(a.status, a.message)
}

type options struct {
	recent observe.RecentOptions
	proxy  proxy.Options
	traces *observe.Traces
	app    http.Handler // answers in this process
}

// newWorld starts a gateway with a configuration in Kong's format. PORT is that of the upstream.
func newWorld(t testing.TB, file string, o options) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(plugintest.Start), state: plugin.NewState(), lines: new(buffer), ended: make(chan struct{}, 1)}
	w.upstream = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that leaves is the gateway's to see
		rw.Header().Set("X-Got", r.Header.Get("Traceparent"))
		if r.URL.Path == "/broken" {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(w.upstream.Close)
	var err error
	if w.log, err = observe.NewAccessLog(observe.AccessLogOptions{Writer: w.lines, Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	w.log.Start()
	o.proxy.Clock, o.proxy.Trusted, o.proxy.Refused = w.clock, proxy.TrustedProxies{netip.MustParsePrefix("127.0.0.0/8")}, w.log.Refused
	if o.traces != nil {
		o.proxy.Attempts = o.traces
	}
	w.Server = proxy.NewServer(proxy.HandlerFunc(proxy.NotFound), o.proxy)
	o.recent.PerSecond, o.recent.PerClient = 1<<15, 1<<15 // the clock of the tests stands still
	o.recent.Clock, o.recent.Setting = w.clock, func(*proxy.Exchange) *observe.Setting { return w.setting }
	w.recent = observe.NewRecent(o.recent)
	w.watchers = append(w.watchers, w.log, w.recent)
	if o.traces != nil {
		w.watchers = append(w.watchers, o.traces)
	}
	w.use(file, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Serve(l, nil) // ends by Shutdown
	}()
	transport := &http.Transport{DisableCompression: true}
	w.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		<-done
		if err := w.log.Stop(ctx); err != nil {
			t.Errorf("Stop = %v", err)
		}
	})
	return w
}

// use makes a configuration the one in use.
func (w *world) use(file string, o options) {
	w.t.Helper()
	address := w.upstream.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	registry := all.Registry()
	c, problems := plugintest.Compile(registry, strings.ReplaceAll(file, "PORT", port))
	if c == nil {
		w.t.Fatal(problems)
		return
	}
	plan, problems := registry.Build(c, plugin.Environment{State: w.state, Clock: w.clock})
	if plan == nil {
		w.t.Fatal(problems)
		return
	}
	routes, err := router.New(c.Routes)
	if err != nil {
		w.t.Fatal(err)
	}
	w.setting = observe.NewSetting(c, routes, plan)
	endpoints := map[*entity.Service]*proxy.Endpoint{}
	for _, s := range c.Services {
		at := proxy.EndpointOptions{Handler: o.app}
		if o.app == nil {
			at = proxy.EndpointOptions{Address: fmt.Sprintf("%s:%d", s.Host, s.Port), Sweeper: w.Sweeper()}
		}
		e := proxy.NewEndpoint(at)
		w.t.Cleanup(e.Close)
		endpoints[s] = e
	}
	chain := func(r *entity.Route) *proxy.Chain {
		chain := new(proxy.Chain)
		if o.traces != nil {
			chain.Access = append(chain.Access, o.traces)
		}
		plan.Attach(r, chain)
		chain.Log = append(append(chain.Log, w.watchers...), logFunc(func(*proxy.Exchange) { w.ended <- struct{}{} }))
		if r == nil {
			chain.Access = nil // Kong asks none of those that decide
			if o.traces != nil {
				chain.Access = append(chain.Access, o.traces)
			}
			chain.Access = append(chain.Access, answer{404, "no Route matched with those values"})
			return chain
		}
		chain.Balancer = endpoints[r.Service.To]
		return chain
	}
	none, chains := chain(nil), map[*entity.Route]*proxy.Chain{}
	for _, r := range c.Routes {
		chains[r] = chain(r)
	}
	w.Swap(proxy.HandlerFunc(func(x *proxy.Exchange) {
		m, ok := routes.Match(&router.Request{
			Method: x.Request.Method, Secure: x.Request.Scheme == "https", Host: x.Request.Host, Port: x.ServerPort, Path: x.Request.Path, Fields: x.Request.Fields,
		})
		if !ok {
			none.Serve(x)
			return
		}
		x.Route, x.Service = m.Route, m.Route.Service.To
		x.Target.Path, x.Target.Prefix = m.Target(m.Route.Service.To)
		chains[m.Route].Serve(x)
	}))
}

// request makes one of "GET /path" and fields as "Name: value".
func (w *world) request(request string, fields ...string) *http.Request {
	w.t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r, err := http.NewRequest(method, "http://"+w.address+target, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = "api.test"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r
}

// do sends a request, and returns the answer when it has been told of.
func (w *world) do(request string, fields ...string) *http.Response {
	w.t.Helper()
	r, err := w.client.Do(w.request(request, fields...))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.t.Fatal(err)
	}
	_ = r.Body.Close() // it was read
	<-w.ended
	return r
}

// past returns the report of the last request that is kept.
func (w *world) past() *observe.Report {
	w.t.Helper()
	list := w.recent.List(observe.Filter{Limit: 1})
	if len(list) == 0 {
		w.t.Fatal("nothing is kept")
		return nil
	}
	return w.recent.Get(list[0].ID)
}

// dry returns the report of a dry run, by a client behind the trusted proxy.
func (w *world) dry(request string, fields ...string) *observe.Report {
	return w.setting.Report(w.DryRun(w.t.Context(), w.request(request, fields...), netip.MustParseAddr("127.0.0.1")))
}

// written stops the log, and returns its lines.
func (w *world) written() string {
	w.t.Helper()
	if err := w.log.Stop(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w.lines.String()
}

type claims map[string]any

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// token is signed by HS256, whatever its header says.
func token(secret string, header, c claims) string {
	if header == nil {
		header = claims{"alg": "HS256", "typ": "JWT", "kid": "k1"}
	}
	text := encode(header) + "." + encode(c)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

var varying = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`digest [0-9a-f]{8}`), "digest D"},
	{regexp.MustCompile(`[0-9.]+ ms`), "T ms"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "UPSTREAM"},
	{regexp.MustCompile(`, \d+ bytes, (digest|after)`), ", N bytes, $1"},
}

// stable replaces what is another one each time.
func stable(text string) string {
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	return text
}
