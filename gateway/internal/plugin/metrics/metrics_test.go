package metrics_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/metrics"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// samples writes all series, a line for each.
func samples(m *metrics.Metrics) string {
	var b strings.Builder
	for _, s := range m.Snapshot() {
		b.WriteString(s.Metric)
		for _, l := range s.Labels {
			fmt.Fprintf(&b, " %s=%s", l.Name, l.Value)
		}
		if s.Histogram != nil {
			fmt.Fprintf(&b, " %v of %v\n", s.Histogram.Counts[:4], s.Histogram.Sum)
		} else {
			fmt.Fprintf(&b, " %v\n", s.Value)
		}
	}
	return b.String()
}

func TestCounts(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(metrics.Kind())
	file := `
services: [{name: s, host: a.test, routes: [{name: r, paths: [/]}]}]
consumers: [{username: ann, keyauth_credentials: [{key: k}]}]
plugins: [{name: prometheus, config: {status_code_metrics: true, bandwidth_metrics: true, latency_metrics: true, per_consumer: true}}]
`
	c, problems := plugintest.Compile(registry, file)
	if c == nil {
		t.Fatal(problems)
	}
	state := plugin.NewState()
	if metrics.Of(state) != nil {
		t.Error("there is something before there is a plugin")
	}
	var chain proxy.Chain
	for range 2 { // what was counted stays
		plan, problems := registry.Build(c, plugin.Environment{State: state})
		if plan == nil {
			t.Fatal(problems)
		}
		chain = proxy.Chain{}
		plan.Attach(c.Routes[0], &chain)
		plan.Commit()
		log := func(change func(x *proxy.Exchange)) {
			x := &proxy.Exchange{Route: c.Routes[0], Service: c.Services[0]}
			change(x)
			chain.Log[0].Log(x)
		}
		log(func(x *proxy.Exchange) {
			x.Answer(http.StatusTooManyRequests, "", nil)
			x.Sent, x.Request.Length, x.Timing.End = 10, 5, 3*time.Millisecond
		})
		log(func(x *proxy.Exchange) {
			x.Response.Status, x.Consumer, x.Request.Length = 200, c.Consumers[0], -1
			x.Sent, x.Timing.End = 7, time.Millisecond
		})
		log(func(x *proxy.Exchange) {
			x.Response.Status, x.Route, x.Service = 404, (*entity.Route)(nil), nil
		})
	}
	got := samples(metrics.Of(state))
	for _, want := range []string{
		"kong_http_requests_total service=s route=r workspace=default code=429 source=kong consumer= 2\n",
		"kong_http_requests_total service=s route=r workspace=default code=200 source=kong consumer=ann 2\n",
		"kong_http_requests_total service= route= workspace=default code=404 source=kong consumer= 2\n",
		"kong_bandwidth_bytes service=s route=r workspace=default direction=ingress consumer= 10\n",
		"kong_bandwidth_bytes service=s route=r workspace=default direction=egress consumer=ann 14\n",
		"kong_request_latency_ms service=s route=r workspace=default [4 0 0 0] of 8\n",
		"kong_kong_latency_ms service=s route=r workspace=default [2 0 2 0] of 8\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the samples are\n%swithout\n%s", got, want)
		}
	}
}

// Of an upstream's answer the source is the service.
func TestSource(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, plugin.NewRegistry(metrics.Kind()),
		"routes: [{name: r, paths: [/]}]\nplugins: [{name: prometheus, config: {status_code_metrics: true, latency_metrics: true}}]\n")
	g.Do("GET /")
	g.Do("GET /") // the first is logged before the second begins
	if got := samples(metrics.Of(g.State())); !strings.Contains(got, "code=200 source=service consumer= ") || !strings.Contains(got, "kong_upstream_latency_ms") {
		t.Errorf("the samples are\n%s", got)
	}
}
