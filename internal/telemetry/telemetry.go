// Package telemetry is what an app tells of itself: traces that follow one event through
// all that it causes, and metrics. It speaks OpenTelemetry, whose SDK the program chooses,
// and follows its semantic conventions where they have a name.
//
// A nil *Telemetry tells nothing, so that parts can be used without one.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names this library among those that a program is made of.
const scope = "github.com/perdure/perdure"

// Telemetry makes the spans and the metrics of one app. It is safe for concurrent use.
type Telemetry struct {
	tracer trace.Tracer // nil: no traces are made
	meter  metric.Meter

	runs          metric.Float64Histogram
	requests      metric.Float64Histogram
	activities    metric.Float64Histogram
	orchestration metric.Int64Counter
	deadLetters   metric.Int64Counter
	groupSize     metric.Int64Histogram
	syncTime      metric.Float64Histogram

	outcomes sync.Map // series → metric.MeasurementOption
}

// seconds are the bounds of the histograms of times: from a commit on a good disk to
// the longest request.
var seconds = []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300}

// sizes are the bounds of the histogram of group sizes.
var sizes = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000}

// New returns what tells by the given providers.
func New(traces trace.TracerProvider, metrics metric.MeterProvider) (*Telemetry, error) {
	t := &Telemetry{meter: metrics.Meter(scope)}
	// A provider that makes nothing gives spans without identity.
	tracer := traces.Tracer(scope)
	_, span := tracer.Start(context.Background(), "perdure start")
	span.End()
	if span.SpanContext().IsValid() {
		t.tracer = tracer
	}
	var errs []error
	times := func(name, text string) metric.Float64Histogram {
		h, err := t.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text), metric.WithExplicitBucketBoundaries(seconds...))
		errs = append(errs, err)
		return h
	}
	counter := func(name, text string) metric.Int64Counter {
		c, err := t.meter.Int64Counter(name, metric.WithDescription(text))
		errs = append(errs, err)
		return c
	}
	t.runs = times("perdure.function.duration", "Runs of functions that events trigger.")
	t.requests = times("http.server.request.duration", "Requests that functions answered.")
	t.activities = times("perdure.activity.duration", "Attempts of activities.")
	t.syncTime = times("perdure.commit.duration", "Commits of groups of transactions, with their sync.")
	t.orchestration = counter("perdure.orchestration.ended", "Orchestrations that have ended.")
	t.deadLetters = counter("perdure.deadletter.made", "Events that were given up.")
	var err error
	t.groupSize, err = t.meter.Int64Histogram("perdure.commit.group_size", metric.WithUnit("{transaction}"),
		metric.WithDescription("Transactions that share one sync."), metric.WithExplicitBucketBoundaries(sizes...))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return t, nil
}

// propagator writes a trace into headers as W3C Trace Context says.
var propagator = propagation.TraceContext{}

// HeadersOf returns the headers of a trace among those of a request, whose value get
// returns; "" for none.
func HeadersOf(get func(name string) string) map[string]string {
	headers := map[string]string{}
	for _, name := range propagator.Fields() {
		if v := get(name); v != "" {
			headers[name] = v
		}
	}
	return headers
}

// Inject returns the headers by which the trace of ctx goes on elsewhere; nil without a
// trace.
func (t *Telemetry) Inject(ctx context.Context) map[string]string {
	if !t.Traces() || !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	headers := propagation.MapCarrier{}
	propagator.Inject(ctx, headers)
	return headers
}

// Extract returns a context in which the trace of headers goes on.
func (t *Telemetry) Extract(ctx context.Context, headers map[string]string) context.Context {
	if !t.Traces() || len(headers) == 0 {
		return ctx
	}
	return propagator.Extract(ctx, propagation.MapCarrier(headers))
}

// Kind says what a span is of.
type Kind string

// What is run.
const (
	// Function is a run of a function that an event triggers.
	Function Kind = "function"
	// Request is a request that a function answers.
	Request Kind = "request"
	// Activity is an attempt of an activity.
	Activity Kind = "activity"
)

// spanKinds are what OpenTelemetry calls them.
var spanKinds = map[Kind]trace.SpanKind{
	Function: trace.SpanKindConsumer, Request: trace.SpanKindServer,
	Activity: trace.SpanKindInternal,
}

// Begin begins a span of what is run under name, as a part of the trace that headers
// carry, if any, else of that of ctx. End ends it, with the error of the run.
func (t *Telemetry) Begin(ctx context.Context, kind Kind, name string, headers map[string]string, attributes ...attribute.KeyValue) (_ context.Context, end func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	var span trace.Span = noop.Span{}
	if t.tracer != nil {
		ctx, span = t.tracer.Start(t.Extract(ctx, headers), string(kind)+" "+name,
			trace.WithSpanKind(spanKinds[kind]), trace.WithAttributes(attributes...))
	}
	begun := time.Now()
	return ctx, func(err error) {
		took := time.Since(begun).Seconds()
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, "")
		}
		span.End()
		switch kind {
		case Function:
			t.runs.Record(ctx, took, t.outcome(kind, name, err))
		case Activity:
			t.activities.Record(ctx, took, t.outcome(kind, name, err))
		}
	}
}

// series names one series of a histogram of runs.
type series struct {
	kind   Kind
	name   string
	failed bool
}

// outcome returns the attributes of a run, which are made once for each series.
func (t *Telemetry) outcome(kind Kind, name string, err error) metric.MeasurementOption {
	key := series{kind, name, err != nil}
	if known, ok := t.outcomes.Load(key); ok {
		return known.(metric.MeasurementOption)
	}
	word := "success"
	if err != nil {
		word = "failure"
	}
	attributes := metric.WithAttributeSet(attribute.NewSet(
		attribute.String("perdure."+string(kind), name), attribute.String("outcome", word)))
	t.outcomes.Store(key, attributes)
	return attributes
}

// Traces reports whether traces are made.
func (t *Telemetry) Traces() bool { return t != nil && t.tracer != nil }

// Answered notes that a request was answered.
func (t *Telemetry) Answered(ctx context.Context, method, route string, status int, took time.Duration) {
	if t == nil {
		return
	}
	trace.SpanFromContext(ctx).SetAttributes(attribute.Int("http.response.status_code", status))
	t.requests.Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status)))
}

// Ended notes that an orchestration has ended in a state.
func (t *Telemetry) Ended(name, state string) {
	if t != nil {
		t.orchestration.Add(context.Background(), 1, metric.WithAttributes(
			attribute.String("perdure.orchestration", name), attribute.String("state", state)))
	}
}

// DeadLetter notes that a function gave an event up for a cause.
func (t *Telemetry) DeadLetter(function, cause string) {
	if t != nil {
		t.deadLetters.Add(context.Background(), 1, metric.WithAttributes(
			attribute.String("perdure.function", function), attribute.String("cause", cause)))
	}
}

// Committed notes that a group of so many transactions was committed.
func (t *Telemetry) Committed(transactions int, took time.Duration) {
	if t != nil {
		t.groupSize.Record(context.Background(), int64(transactions))
		t.syncTime.Record(context.Background(), took.Seconds())
	}
}

// Gauge is a figure that is asked for when metrics are read.
type Gauge struct {
	// Name, Unit and Description follow OpenTelemetry.
	Name, Unit, Description string
	// Read calls set for each value that there is.
	Read func(ctx context.Context, set func(value float64, attributes ...attribute.KeyValue)) error
}

// Observe registers gauges.
func (t *Telemetry) Observe(gauges ...Gauge) error {
	for _, g := range gauges {
		_, err := t.meter.Float64ObservableGauge(g.Name, metric.WithUnit(g.Unit), metric.WithDescription(g.Description),
			metric.WithFloat64Callback(func(ctx context.Context, o metric.Float64Observer) error {
				return g.Read(ctx, func(value float64, attributes ...attribute.KeyValue) {
					o.Observe(value, metric.WithAttributes(attributes...))
				})
			}))
		if err != nil {
			return fmt.Errorf("telemetry: %s: %w", g.Name, err)
		}
	}
	return nil
}
