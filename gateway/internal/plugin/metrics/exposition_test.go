package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/metrics"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

// Prometheus' own parser reads what the handler shows, whatever routes are called.
func TestExposition(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, plugin.NewRegistry(metrics.Kind()),
		"routes: [{name: r, paths: [/]}]\nplugins: [{name: prometheus, config: {status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true}}]\n")
	g.Send("POST /", strings.NewReader("1234"))
	g.Do("GET /") // the first is logged before the second begins
	h := metrics.Handler(func() *metrics.Metrics { return metrics.Of(g.State()) }, func() []metrics.Sample {
		return []metrics.Sample{{Metric: "kong_upstream_target_health", Labels: []metrics.Label{{Name: "upstream", Value: "a\"\\\n\xff"}}, Value: 1}}
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	text := w.Body.String()
	if _, err := promlint.New(strings.NewReader(text)).Lint(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("the content type is %q", w.Header().Get("Content-Type"))
	}
	for _, want := range []string{
		"# TYPE kong_request_latency_ms histogram\n",
		`kong_request_latency_ms_bucket{service="",route="r",workspace="default",le="60000"} `,
		`kong_request_latency_ms_bucket{service="",route="r",workspace="default",le="+Inf"} `,
		`kong_http_requests_total{service="",route="r",workspace="default",code="200",source="service",consumer=""} `,
		`kong_bandwidth_bytes{service="",route="r",workspace="default",direction="ingress",consumer=""} 4` + "\n",
		`kong_upstream_target_health{upstream="a\"\\\n` + "\uFFFD" + `"} 1` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
}

func TestNothingToShow(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	metrics.Handler(func() *metrics.Metrics { return nil }, nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("answered %d %q", w.Code, w.Body)
	}
}
