package perdure

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/telemetry/prometheus"
)

// metricsPath is where metrics are shown in the text format of Prometheus, unless
// Config.MeterProvider takes them elsewhere.
const metricsPath = "/metrics"

// observer is what an app tells of itself, and how that is shown.
type observer struct {
	*telemetry.Telemetry
	traces   trace.TracerProvider
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
		own, handler, err := prometheus.New()
		if err != nil {
			return o, err
		}
		meters, o.metrics, o.shutdown = own, handler, own.Shutdown
	}
	o.traces = traces
	o.Telemetry, err = telemetry.New(traces, meters)
	return o, err
}

// observe registers what is asked for when metrics are read.
func (r *running) observe() error {
	type set = func(float64, ...attribute.KeyValue)
	gauge := func(name, unit, description string, read func(set set) error) telemetry.Gauge {
		return telemetry.Gauge{Name: name, Unit: unit, Description: description, Read: func(_ context.Context, set set) error { return read(set) }}
	}
	err := r.observer.Observe(
		gauge("perdure.deadletters", "{event}", "Events that were given up and wait for a person.", func(set set) error {
			counts, err := r.dispatcher.CountDeadLetters("")
			for _, c := range counts {
				set(float64(c.Count), function(c.Function), attribute.String("cause", c.Cause.String()))
			}
			return err
		}),
		gauge("perdure.function.depth", "{event}", "Stored events that a function has still to handle.", func(set set) error {
			states, err := r.dispatcher.States()
			for _, s := range states {
				set(float64(s.Depth), function(s.Function))
			}
			return err
		}),
		gauge("perdure.function.age", "s", "How long the oldest event that a function may handle has waited.", func(set set) error {
			states, err := r.dispatcher.States()
			for _, s := range states {
				set(r.since(s.Oldest), function(s.Function))
			}
			return err
		}),
		gauge("perdure.function.held_keys", "{key}", "Keys whose events wait behind a dead letter.", func(set set) error {
			states, err := r.dispatcher.States()
			for _, s := range states {
				set(float64(s.HeldLanes), function(s.Function))
			}
			return err
		}),
		gauge("perdure.stream.lag", "{event}", "Events of a stream that a function has still to read.", func(set set) error {
			lags, err := r.lags()
			for reader, lag := range lags {
				set(float64(lag.events), attribute.String("perdure.stream", reader.stream), function(reader.function))
			}
			return err
		}),
		gauge("perdure.stream.age", "s", "How long the oldest event that a function has still to read has waited.", func(set set) error {
			lags, err := r.lags()
			for reader, lag := range lags {
				set(r.since(lag.oldest), attribute.String("perdure.stream", reader.stream), function(reader.function))
			}
			return err
		}),
		gauge("perdure.commit.queued", "{transaction}", "Transactions that wait for their commit.", func(set set) error {
			set(float64(r.committer.Stats().Queued))
			return nil
		}),
	)
	if err != nil {
		return fmt.Errorf("%w: MeterProvider: %w", ErrConfig, err)
	}
	return nil
}

func function(name string) attribute.KeyValue { return attribute.String("perdure.function", name) }

// since returns the seconds since t by the app's clock; 0 for the zero time.
func (r *running) since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return r.clock.Now().Sub(t).Seconds()
}

// reader is a function that reads a stream.
type reader struct{ stream, function string }

// lag is what a reader has still to read, over all partitions.
type lag struct {
	events int64
	oldest time.Time
}

func (r *running) lags() (map[reader]lag, error) {
	progress, err := r.feeder.Progress("")
	lags := map[reader]lag{}
	for _, p := range progress {
		at := reader{p.Stream, p.Function}
		l := lags[at]
		l.events += p.Lag
		if !p.Oldest.IsZero() && (l.oldest.IsZero() || p.Oldest.Before(l.oldest)) {
			l.oldest = p.Oldest
		}
		lags[at] = l
	}
	return lags, err
}
