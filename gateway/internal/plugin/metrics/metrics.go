// Package metrics is Kong's plugin prometheus: it counts requests, bytes and times by service and route, under
// Kong's names. What it has counted is read by Snapshot.
package metrics

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "prometheus"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	var fields []plugin.Field
	for _, f := range []string{
		"per_consumer", "status_code_metrics", "ai_metrics", "latency_metrics", "bandwidth_metrics", "upstream_health_metrics", "wasm_metrics",
	} {
		fields = append(fields, plugin.Field{Name: f, Type: plugin.Boolean, Default: false})
	}
	return &plugin.Kind{Name: name, Priority: 13, Schema: plugin.Schema{Fields: fields}, New: newInstance}
}

// Label tells a series apart from others of the same metric.
type Label struct{ Name, Value string }

// Sample is a series with its value.
type Sample struct {
	// Metric is Kong's name of it, such as "kong_http_requests_total".
	Metric string
	Labels []Label
	// Value is the count of a counter, Histogram that of times; nil for a counter.
	Value     float64
	Histogram *Histogram
}

// Histogram is a distribution of milliseconds.
type Histogram struct {
	Bounds []float64 // the greatest value of each bucket
	Counts []int64   // how many were in each bucket alone; the last is those beyond the last bound
	Sum    float64
}

// The bounds of Kong's histograms, in milliseconds.
var (
	ownBounds      = []float64{1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000}
	upstreamBounds = []float64{25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000}
)

// place is what all series of a request have in common.
type place struct{ service, route, consumer string }

// answerKey tells the counters of answers apart.
type answerKey struct {
	place
	code  int
	local bool
}

type histogram struct {
	bounds []float64
	counts []atomic.Int64
	sum    atomic.Int64 // microseconds
}

func newHistogram(bounds []float64) histogram {
	return histogram{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

func (h *histogram) observe(d time.Duration) {
	ms := float64(d) / float64(time.Millisecond)
	i, _ := slices.BinarySearch(h.bounds, ms)
	h.counts[i].Add(1)
	h.sum.Add(d.Microseconds())
}

// traffic is the counters of a place.
type traffic struct {
	in, out              atomic.Int64 // bytes of bodies
	own, upstream, total histogram
	timed                atomic.Bool
}

// Metrics is what has been counted.
type Metrics struct {
	mu      sync.RWMutex
	answers map[answerKey]*atomic.Int64
	traffic map[place]*traffic
}

func newMetrics() *Metrics {
	return &Metrics{answers: map[answerKey]*atomic.Int64{}, traffic: map[place]*traffic{}}
}

// Of returns what the instances of a state have counted, nil if there are none.
func Of(s *plugin.State) *Metrics {
	m, _ := plugin.Kept[*Metrics](s, name)
	return m
}

// maxSeries bounds the series of each kind; what would be one more is not counted.
const maxSeries = 100_000

func find[K comparable, V any](m *Metrics, in map[K]V, key K, fresh func() V) (V, bool) {
	m.mu.RLock()
	v, ok := in[key]
	m.mu.RUnlock()
	if ok {
		return v, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = in[key]; ok {
		return v, true
	}
	if len(in) >= maxSeries {
		return v, false
	}
	v = fresh()
	in[key] = v
	return v, true
}

type instance struct {
	metrics                                 *Metrics
	perConsumer, status, latency, bandwidth bool
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	return &instance{
		metrics: plugin.KeepForAll(s, name, newMetrics), perConsumer: v.Bool("per_consumer"),
		status: v.Bool("status_code_metrics"), latency: v.Bool("latency_metrics"), bandwidth: v.Bool("bandwidth_metrics"),
	}, nil
}

// Log implements proxy.Log.
func (p *instance) Log(x *proxy.Exchange) {
	var at place
	if s, ok := x.Service.(*entity.Service); ok && s != nil {
		at.service = s.Label()
	}
	if r, ok := x.Route.(*entity.Route); ok && r != nil {
		at.route = r.Label()
	}
	by := at
	if c := plugin.Consumer(x); p.perConsumer && c != nil {
		by.consumer = c.Label()
	}
	if p.status {
		key := answerKey{by, x.Response.Status, x.Local()}
		if n, ok := find(p.metrics, p.metrics.answers, key, func() *atomic.Int64 { return new(atomic.Int64) }); ok {
			n.Add(1)
		}
	}
	if p.bandwidth {
		if t, ok := p.traffic(by); ok {
			t.in.Add(max(x.Request.Length, 0))
			t.out.Add(x.Sent)
		}
	}
	if p.latency {
		if t, ok := p.traffic(at); ok {
			t.timed.Store(true)
			t.total.observe(x.Timing.End)
			if x.Local() {
				t.own.observe(x.Timing.End)
				return
			}
			t.own.observe(x.Timing.Sent)
			t.upstream.observe(x.Timing.Head - x.Timing.Sent)
		}
	}
}

func (p *instance) traffic(at place) (*traffic, bool) {
	return find(p.metrics, p.metrics.traffic, at, func() *traffic {
		return &traffic{own: newHistogram(ownBounds), upstream: newHistogram(upstreamBounds), total: newHistogram(upstreamBounds)}
	})
}

// Snapshot returns all series, in an order that stays the same.
func (m *Metrics) Snapshot() (samples []Sample) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for k, n := range m.answers {
		source := "service"
		if k.local {
			source = "kong"
		}
		samples = append(samples, Sample{
			Metric: "kong_http_requests_total", Value: float64(n.Load()),
			Labels: k.labels(Label{"code", strconv.Itoa(k.code)}, Label{"source", source}, Label{"consumer", k.consumer}),
		})
	}
	for at, t := range m.traffic {
		if in, out := t.in.Load(), t.out.Load(); in > 0 || out > 0 {
			for direction, n := range map[string]int64{"ingress": in, "egress": out} {
				samples = append(samples, Sample{
					Metric: "kong_bandwidth_bytes", Value: float64(n), Labels: at.labels(Label{"direction", direction}, Label{"consumer", at.consumer}),
				})
			}
		}
		if !t.timed.Load() {
			continue
		}
		for metric, h := range map[string]*histogram{
			"kong_kong_latency_ms": &t.own, "kong_upstream_latency_ms": &t.upstream, "kong_request_latency_ms": &t.total,
		} {
			samples = append(samples, Sample{Metric: metric, Labels: at.labels(), Histogram: h.snapshot()})
		}
	}
	slices.SortFunc(samples, func(a, b Sample) int {
		if a.Metric != b.Metric {
			return compare(a.Metric, b.Metric)
		}
		return slices.CompareFunc(a.Labels, b.Labels, func(a, b Label) int { return compare(a.Value, b.Value) })
	})
	return samples
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p place) labels(more ...Label) []Label {
	return append([]Label{{"service", p.service}, {"route", p.route}, {"workspace", "default"}}, more...)
}

func (h *histogram) snapshot() *Histogram {
	s := &Histogram{Bounds: h.bounds, Counts: make([]int64, len(h.counts)), Sum: float64(h.sum.Load()) / 1000}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}
