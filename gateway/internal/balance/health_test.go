package balance_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

var errRefused = errors.New("connection refused")

const breaker = "  healthchecks: {passive: {unhealthy: {http_failures: 3, tcp_failures: 2, timeouts: 2, http_statuses: [500, 503]}, healthy: {http_statuses: [200, 302]}}}\n"

// Failures that follow each other make a target unhealthy; a good answer begins the count anew.
func TestCircuitBreaker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		err    error
		n      int // 0: never
	}{
		"status": {503, nil, 3}, "other status": {404, nil, 0}, "tcp": {0, errRefused, 2}, "timeout": {0, h1.ErrTimeout, 2}, "all connections in use": {0, h1.ErrPoolFull, 0},
		"gateway stops": {0, context.Canceled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, upstream(breaker, "10.0.0.1:80"), nil)
			fail := func(n int) {
				for range n {
					pick(t, w.balancer(), exchange("POST", "/"), c.status, c.err)
				}
			}
			if c.n == 0 {
				fail(20)
				if h := w.health()["10.0.0.1:80"]; h.Health != balance.Healthy {
					t.Errorf("the target is %+v", h)
				}
				return
			}
			for range 3 {
				fail(c.n - 1)
				ask(t, w.balancer(), 200)
			}
			if h := w.health()["10.0.0.1:80"]; h.Health != balance.Healthy || !h.Since.IsZero() {
				t.Errorf("the target is %+v, with good answers between", h)
			}
			w.clock.Advance(time.Minute)
			fail(c.n)
			if h := w.health()["10.0.0.1:80"]; h.Health != balance.Unhealthy || !h.Since.Equal(start.Add(time.Minute)) || h.Why == "" {
				t.Errorf("the target is %+v", h)
			}
			x := exchange("GET", "/")
			if _, err := w.balancer().Pick(x); !errors.Is(err, proxy.ErrNoEndpoint) {
				t.Errorf("Pick = %v, want ErrNoEndpoint", err)
			}
			if len(x.Notes) != 1 || !strings.Contains(x.Notes[0].Reason, `no target of upstream "u" is healthy: 10.0.0.1:80 since 10:31:40 (`) {
				t.Errorf("the notes are %v", x.Notes)
			}
		})
	}
}

// A target that only requests tell about is tried by one of them after 10 s, then 20 s, and so on to 5 minutes.
func TestTrials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream(breaker, "10.0.0.1:80", "10.0.0.2:80"), nil)
	b := w.balancer()
	for range 4 {
		x := exchange("GET", "/")
		if e, _ := b.Pick(x); e.Address() == "10.0.0.1:80" {
			b.Done(x, e, errRefused)
		}
	}
	asked := func(method string) (n int) {
		for range 10 {
			x := exchange(method, "/")
			e, err := b.Pick(x)
			if err != nil {
				t.Fatal(err)
			}
			if e.Address() == "10.0.0.1:80" {
				n++
				b.Done(x, e, errRefused)
			}
		}
		return n
	}
	if n := asked("GET"); n != 0 {
		t.Fatalf("%d requests went to the target that is unhealthy", n)
	}
	for _, pause := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		w.clock.Advance(pause*time.Second - time.Millisecond)
		if n := asked("GET"); n != 0 {
			t.Errorf("%d requests on trial too early, before %d s", n, pause)
		}
		w.clock.Advance(time.Millisecond)
		if n := asked("POST"); n != 0 {
			t.Errorf("%d requests that cannot be sent twice were on trial", n)
		}
		if n := asked("GET"); n != 1 {
			t.Errorf("%d requests on trial after %d s, want one", n, pause)
		}
	}
	w.clock.Advance(10 * time.Minute)
	if n := asked("POST"); n != 1 {
		t.Errorf("%d requests on trial, want one of any kind after another pause", n)
	}
	w.clock.Advance(5 * time.Minute)
	x := exchange("GET", "/")
	e, _ := b.Pick(x)
	if e.Address() != "10.0.0.1:80" {
		t.Fatalf("the trial goes to %s", e.Address())
	}
	if n := asked("GET"); n != 0 {
		t.Errorf("%d more requests while one is on trial", n)
	}
	x.Response.Status = 200
	b.Done(x, e, nil)
	if h := w.health()["10.0.0.1:80"]; h.Health != balance.Healthy {
		t.Errorf("the target is %+v after a good answer", h)
	}
	if n := asked("GET"); n < 2 {
		t.Errorf("%d requests after the target was healthy", n)
	}
}

// Where active checks look only at targets that are healthy, a request finds out whether one is again.
func TestTrialsOfWhatChecksHaveFound(t *testing.T) {
	t.Parallel()
	refuse := &refusals{}
	refuse.on.Store(true)
	w := newWorld(t, upstream("  healthchecks: {active: {type: tcp, healthy: {interval: 5}, unhealthy: {tcp_failures: 1}}}\n", "10.0.0.1:80"),
		func(o *balance.Options) { o.Dial = refuse.dial })
	w.Start(t.Context())
	w.checked(t)
	if h := w.health()["10.0.0.1:80"]; h.Health != balance.Unhealthy || h.Why != "active check: connection refused" {
		t.Fatalf("the target is %+v", h)
	}
	w.clock.Advance(10 * time.Second)
	ask(t, w.balancer(), 404) // an answer, at least
	if h := w.health()["10.0.0.1:80"]; h.Health != balance.Healthy {
		t.Errorf("the target is %+v", h)
	}
}

// Requests that began before a target was unhealthy say nothing about it.
func TestLateAnswersDoNotRevive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream(breaker, "10.0.0.1:80"), nil)
	b := w.balancer()
	late := exchange("GET", "/")
	e, _ := b.Pick(late)
	for range 2 {
		pick(t, b, exchange("GET", "/"), 0, errRefused)
	}
	late.Response.Status = 200
	b.Done(late, e, nil)
	if h := w.health()["10.0.0.1:80"]; h.Health != balance.Unhealthy {
		t.Errorf("the target is %+v", h)
	}
}

// Less of the weight than the threshold is as good as nothing.
func TestThreshold(t *testing.T) {
	t.Parallel()
	more := strings.Replace(breaker, "{passive", "{threshold: 50, passive", 1)
	w := newWorld(t, upstream(more, "10.0.0.1:80 60", "10.0.0.2:80 40"), nil)
	for range 2 {
		x := exchange("GET", "/")
		for e, _ := w.balancer().Pick(x); ; e, _ = w.balancer().Pick(x) {
			if e.Address() == "10.0.0.1:80" {
				w.balancer().Done(x, e, errRefused)
				break
			}
		}
	}
	if _, err := w.balancer().Pick(exchange("GET", "/")); !errors.Is(err, proxy.ErrNoEndpoint) {
		t.Errorf("Pick = %v with 40%% of the weight, want ErrNoEndpoint", err)
	}
}

// Health is kept over a reload, and forgotten when nothing checks it any more.
func TestReloadKeepsHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream(breaker, "10.0.0.1:80"), nil)
	for range 2 {
		pick(t, w.balancer(), exchange("GET", "/"), 0, errRefused)
	}
	w.load(t, upstream(breaker, "10.0.0.1:80", "10.0.0.2:80"))
	if h := w.health(); h["10.0.0.1:80"].Health != balance.Unhealthy || h["10.0.0.2:80"].Health != balance.Healthy {
		t.Errorf("after a reload it is %+v", h)
	}
	w.load(t, upstream("", "10.0.0.1:80", "10.0.0.2:80"))
	if h := w.health(); h["10.0.0.1:80"].Health != balance.HealthchecksOff {
		t.Errorf("without checks it is %+v", h)
	}
	if first, second := ask(t, w.balancer(), 200), ask(t, w.balancer(), 200); first == second {
		t.Error("one of the targets is still left out")
	}
}

func TestDNSError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("", "nowhere.test:80"), nil)
	pick(t, w.balancer(), exchange("GET", "/"), 0, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true}})
	if h := w.health()["nowhere.test:80"]; h.Health != balance.DNSError {
		t.Errorf("the target is %+v", h)
	}
	ask(t, w.balancer(), 200)
	if h := w.health()["nowhere.test:80"]; h.Health != balance.HealthchecksOff {
		t.Errorf("the target is %+v", h)
	}
}

// checked waits until the active checks of now have been made.
func (w *world) checked(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.clock.WaitTimers(ctx, 1); err != nil {
		t.Fatalf("the checks do not end: %v", err)
	}
}

func (w *world) advance(t *testing.T, d time.Duration) {
	t.Helper()
	w.clock.Advance(d)
	w.checked(t)
}

// Active checks see a target fail and return, by HTTP, TLS, TCP and gRPC.
func TestActiveChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind    string
		tls, h2 bool
	}{
		"http": {kind: "http"}, "https": {kind: "https, https_verify_certificate: true, https_sni: example.com", tls: true},
		"tcp": {kind: "tcp"}, "grpc": {kind: "grpc", h2: true},
		"grpcs": {kind: "grpcs, https_verify_certificate: false", tls: true, h2: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ill atomic.Bool
			var asked atomic.Pointer[http.Request]
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Store(r)
				answerCheck(w, r, ill.Load())
			}))
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(true)
			s.Config.Protocols.SetHTTP2(c.tls)
			s.Config.Protocols.SetUnencryptedHTTP2(!c.tls)
			if c.tls {
				s.EnableHTTP2 = true
				s.StartTLS()
			} else {
				s.Start()
			}
			t.Cleanup(s.Close)
			address := s.Listener.Addr().String()
			refuse := &refusals{}
			more := "  healthchecks: {active: {type: " + c.kind + ", http_path: /health/deep, headers: {X-Check: [\"yes\"]}, " +
				"healthy: {interval: 5, successes: 2}, unhealthy: {interval: 1, http_failures: 2, tcp_failures: 2, timeouts: 1}}}\n"
			w := newWorld(t, upstream(more, address), func(o *balance.Options) {
				o.Dial = refuse.dial
				if c.tls {
					o.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
				}
			})
			w.Start(t.Context())
			w.checked(t)
			is := func(want balance.Health, when string) {
				t.Helper()
				if h := w.health()[address]; h.Health != want {
					t.Fatalf("the target is %+v %s", h, when)
				}
			}
			is(balance.Healthy, "at first")
			if c.kind == "http" {
				if r := asked.Load(); r.URL.RequestURI() != "/health/deep" || r.Host != address || r.Header.Get("X-Check") != "yes" {
					t.Errorf("asked was %s at %s with %v", r.URL, r.Host, r.Header)
				}
			}
			if name != "tcp" {
				ill.Store(true)
				w.advance(t, 5*time.Second)
				is(balance.Healthy, "after one failure")
				w.advance(t, 5*time.Second)
				is(balance.Unhealthy, "after two failures")
				ill.Store(false)
				w.advance(t, time.Second)
				is(balance.Unhealthy, "after one success")
				w.advance(t, time.Second)
				is(balance.Healthy, "after two successes")
			}
			refuse.on.Store(true)
			w.advance(t, 5*time.Second)
			w.advance(t, 5*time.Second)
			is(balance.Unhealthy, "when it cannot be reached")
			w.clock.Advance(time.Hour) // nobody is on trial: the checks find out
			if _, err := w.balancer().Pick(exchange("GET", "/")); !errors.Is(err, proxy.ErrNoEndpoint) {
				t.Errorf("Pick = %v", err)
			}
			w.checked(t)
			refuse.on.Store(false)
			w.advance(t, time.Second)
			w.advance(t, time.Second)
			is(balance.Healthy, "when it is back")
		})
	}
}

// refusals dials, or refuses.
type refusals struct{ on atomic.Bool }

func (r *refusals) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.on.Load() {
		return nil, errRefused
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func answerCheck(w http.ResponseWriter, r *http.Request, ill bool) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		if ill {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	message, err := io.ReadAll(r.Body)
	if err != nil || r.ProtoMajor != 2 || r.URL.Path != "/grpc.health.v1.Health/Check" || len(message) != 5 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status := byte(1)
	if ill {
		status = 2
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 0x08, status})
	w.Header().Set("Grpc-Status", "0")
}

// The checks of what a reload does not change go on; those of what is gone end.
func TestReloadOfChecks(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.Add(1) }))
	t.Cleanup(s.Close)
	file := upstream("  healthchecks: {active: {healthy: {interval: 5, successes: 1}}}\n", s.Listener.Addr().String())
	w := newWorld(t, file, nil)
	w.Start(t.Context())
	w.checked(t)
	w.load(t, file+"- name: v\n  targets: []\n")
	w.advance(t, 5*time.Second)
	if got := n.Load(); got != 2 {
		t.Errorf("%d checks, want 2: the reload changed nothing about them", got)
	}
	w.load(t, upstream("", s.Listener.Addr().String()))
	w.clock.Advance(time.Minute)
	w.Stop(t.Context())
	if got := n.Load(); got > 3 { // one may have begun
		t.Errorf("%d checks, though they were switched off", got)
	}
}
