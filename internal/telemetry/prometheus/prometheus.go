// Package prometheus shows the metrics of an app in the text format of Prometheus.
package prometheus

import (
	"fmt"
	"net/http"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// maxScrapes bounds the requests for metrics at a time.
const maxScrapes = 4

// New returns a provider of meters, and the handler that shows what they have
// measured in the text format of Prometheus, together with the figures of the process.
// Shutdown the provider at the end.
func New() (*metric.MeterProvider, http.Handler, error) {
	registry := client.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	if err != nil {
		return nil, nil, fmt.Errorf("telemetry: %w", err)
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
	return metric.NewMeterProvider(metric.WithReader(reader)), handler, nil
}
