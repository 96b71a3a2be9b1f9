package perdure

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perdure/perdure/internal/telemetry"
)

// metricsPath is where metrics are shown in the text format of Prometheus, unless
// Config.MeterProvider takes them elsewhere.
const metricsPath = "/metrics"

// observer is what an app tells of itself, and how that is shown.
type observer struct {
	*telemetry.Telemetry
	metrics  http.Handler // nil when the program has a MeterProvider of its own
	shutdown func(context.Context) error
}

// newObserver makes the app's telemetry.
func newObserver(c Config) (o observer, err error) {
	traces := c.TracerProvider
	if traces == nil {
		traces = otel.GetTracerProvider()
	}
	var meters metric.MeterProvider = c.MeterProvider
	o.shutdown = func(context.Context) error { return nil }
	if meters == nil {
		own, handler, err := telemetry.Prometheus()
		if err != nil {
			return o, err
		}
		meters, o.metrics, o.shutdown = own, handler, own.Shutdown
	}
	o.Telemetry, err = telemetry.New(traces, meters)
	return o, err
}

// observe registers what is asked for when metrics are read.
func (r *running) observe() error {
	err := r.observer.Observe(
		telemetry.Gauge{
			Name: "perdure.deadletters", Unit: "{event}", Description: "Events that were given up and wait for a person.",
			Read: func(_ context.Context, set func(float64, ...attribute.KeyValue)) error {
				counts, err := r.dispatcher.CountDeadLetters("")
				for _, c := range counts {
					set(float64(c.Count), attribute.String("perdure.function", c.Function), attribute.String("cause", c.Cause.String()))
				}
				return err
			},
		},
		telemetry.Gauge{
			Name: "perdure.commit.queued", Unit: "{transaction}", Description: "Transactions that wait for their commit.",
			Read: func(_ context.Context, set func(float64, ...attribute.KeyValue)) error {
				set(float64(r.committer.Stats().Queued))
				return nil
			},
		},
	)
	if err != nil {
		return fmt.Errorf("%w: MeterProvider: %w", ErrConfig, err)
	}
	return nil
}
