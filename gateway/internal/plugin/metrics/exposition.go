package metrics

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// contentType is that of Prometheus' text format, 0.0.4.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// help is what Kong says of its metrics, and their type.
var help = map[string][2]string{
	"kong_http_requests_total":     {"counter", "HTTP status codes per consumer/service/route in Kong"},
	"kong_bandwidth_bytes":         {"counter", "Total bandwidth (ingress/egress) throughput in bytes"},
	"kong_kong_latency_ms":         {"histogram", "Latency added by Kong and enabled plugins for each service/route in Kong"},
	"kong_upstream_latency_ms":     {"histogram", "Latency added by upstream response for each service/route in Kong"},
	"kong_request_latency_ms":      {"histogram", "Total latency incurred during requests for each service/route in Kong"},
	"kong_upstream_target_health":  {"gauge", "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error, value is 1 when state is populated."},
	"kong_nginx_connections_total": {"gauge", "Number of connections by subsystem"},
	"kong_node_info":               {"gauge", "Kong Node metadata information"},
}

// Handler shows what the instances of a state have counted in Prometheus' text format. More, unless nil, returns samples that are
// no counts of requests, such as those of kong_upstream_target_health.
func Handler(of func() *Metrics, more func() []Sample) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var samples []Sample
		if m := of(); m != nil {
			samples = m.Snapshot()
		}
		if more != nil {
			samples = append(samples, more()...)
		}
		w.Header().Set("Content-Type", contentType)
		_ = Write(w, samples) // the client has left
	})
}

// Write writes samples in Prometheus' text format. Those of a metric must follow each other.
func Write(to io.Writer, samples []Sample) error {
	w := &writer{Writer: bufio.NewWriter(to)}
	metric := ""
	for i := range samples {
		s := &samples[i]
		if s.Metric != metric {
			metric = s.Metric
			about, known := help[metric]
			if !known {
				about = [2]string{"untyped", metric}
			}
			w.text("# HELP ", metric, " ", about[1], "\n# TYPE ", metric, " ", about[0], "\n")
		}
		if s.Histogram == nil {
			w.sample(metric, s.Labels, "", s.Value)
			continue
		}
		w.histogram(metric, s)
	}
	return w.Flush()
}

// writer remembers errors until Flush.
type writer struct{ *bufio.Writer }

func (w *writer) text(parts ...string) {
	for _, p := range parts {
		_, _ = w.WriteString(p) // Flush tells
	}
}

// histogram writes the buckets, each with all that are below its bound.
func (w *writer) histogram(metric string, s *Sample) {
	var n int64
	for i, count := range s.Histogram.Counts {
		n += count
		bound := "+Inf"
		if i < len(s.Histogram.Bounds) {
			bound = format(s.Histogram.Bounds[i])
		}
		w.sample(metric+"_bucket", s.Labels, bound, float64(n))
	}
	w.sample(metric+"_count", s.Labels, "", float64(n))
	w.sample(metric+"_sum", s.Labels, "", s.Histogram.Sum)
}

// sample writes a line; a bound is that of a bucket.
func (w *writer) sample(name string, labels []Label, bound string, value float64) {
	w.text(name)
	between := "{"
	for _, l := range labels {
		w.text(between, l.Name, `="`, escape.Replace(strings.ToValidUTF8(l.Value, "\uFFFD")), `"`)
		between = ","
	}
	if bound != "" {
		w.text(between, `le="`, bound, `"`)
		between = ","
	}
	if between == "," {
		w.text("}")
	}
	w.text(" ", format(value), "\n")
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func format(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }
