package ratelimit_test

import (
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/plugin/ratelimit"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

func chain(t testing.TB, settings string) *proxy.Chain {
	c, problems := plugintest.Compile(registry(), config(settings))
	if c == nil {
		t.Fatal(problems)
		return nil
	}
	plan, problems := registry().Build(c, plugin.Environment{})
	if plan == nil {
		t.Fatal(problems)
		return nil
	}
	chain := new(proxy.Chain)
	plan.Attach(c.Routes[0], chain)
	return chain
}

// request asks the plugin alone, in all its phases.
func request(chain *proxy.Chain) func() {
	in, out := new(h1.Fields), new(h1.Fields)
	x := &proxy.Exchange{Start: plugintest.Start, Client: netip.MustParseAddr("203.0.113.7")}
	return func() {
		out.Reset()
		x.Request = proxy.Request{Method: http.MethodGet, Path: "/", Fields: in}
		chain.Access[0].Access(x)
		x.Response = proxy.Response{Status: 200, Fields: out}
		chain.Filters[0].HeaderFilter(x)
		chain.Log[0].Log(x)
	}
}

func BenchmarkRateLimit(b *testing.B) {
	ask := request(chain(b, "minute: 100000000000"))
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

func TestHotPathAllocatesNothing(t *testing.T) { // not parallel: it counts
	if n := testing.AllocsPerRun(100, request(chain(t, "minute: 100000, hour: 1000000"))); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// No two requests take the last one of a limit.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	c := chain(t, "year: 500")
	var mu sync.Mutex
	var all sync.WaitGroup
	passed := 0
	for range 8 {
		all.Go(func() {
			for range 100 {
				x := &proxy.Exchange{Start: plugintest.Start, Client: netip.MustParseAddr("203.0.113.7")}
				x.Request = proxy.Request{Method: http.MethodGet, Path: "/", Fields: new(h1.Fields)}
				c.Access[0].Access(x)
				if !x.Answered() {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			}
		})
	}
	if all.Wait(); passed != 500 {
		t.Errorf("%d requests passed, 500 should", passed)
	}
}

func TestCountersAreBounded(t *testing.T) {
	t.Parallel()
	if n := ratelimit.FillCounters(2 * ratelimit.MaxCounters); n > ratelimit.MaxCounters || n < ratelimit.MaxCounters/2 {
		t.Errorf("there are %d counters, at most %d should be", n, ratelimit.MaxCounters)
	}
}
