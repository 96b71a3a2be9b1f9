package telemetry_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/telemetry/prometheus"
)

func newTelemetry(t *testing.T) (*telemetry.Telemetry, *tracetest.SpanRecorder, func() string) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	meters, handler, err := prometheus.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := meters.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	tel, err := telemetry.New(trace.NewTracerProvider(trace.WithSpanProcessor(spans)), meters)
	if err != nil {
		t.Fatal(err)
	}
	return tel, spans, func() string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		return w.Body.String()
	}
}

// TestTraceGoesOn: what is run elsewhere, with the headers of what caused it, is in the
// same trace.
func TestTraceGoesOn(t *testing.T) {
	t.Parallel()
	tel, spans, _ := newTelemetry(t)
	ctx, end := tel.Begin(t.Context(), telemetry.Request, "upload", nil)
	headers := tel.Inject(ctx)
	end(nil)
	if headers["traceparent"] == "" {
		t.Fatalf("headers %v", headers)
	}
	_, end = tel.Begin(t.Context(), telemetry.Function, "resize", headers, attribute.Int("attempt", 2))
	end(errors.New("no memory"))
	ended := spans.Ended()
	if len(ended) != 3 || ended[0].Name() != "perdure start" {
		t.Fatalf("%d spans", len(ended))
	}
	cause, effect := ended[1], ended[2]
	if effect.SpanContext().TraceID() != cause.SpanContext().TraceID() || effect.Parent().SpanID() != cause.SpanContext().SpanID() {
		t.Error("the function does not continue the trace of the request")
	}
	if effect.Name() != "function resize" || effect.Status().Code != codes.Error || len(effect.Attributes()) != 1 {
		t.Errorf("span %q, status %v, attributes %v", effect.Name(), effect.Status(), effect.Attributes())
	}
}

func TestNoTraceNoHeaders(t *testing.T) {
	t.Parallel()
	tel, _, _ := newTelemetry(t)
	if headers := tel.Inject(t.Context()); headers != nil {
		t.Errorf("headers %v without a trace", headers)
	}
	var none *telemetry.Telemetry
	ctx, end := none.Begin(t.Context(), telemetry.Activity, "a", map[string]string{"traceparent": "x"})
	end(nil)
	none.Ended("o", "completed")
	none.DeadLetter("f", "c")
	none.Committed(1, time.Second)
	none.Answered(ctx, "GET", "/", 200, time.Second)
	if ctx != t.Context() || none.Inject(ctx) != nil {
		t.Error("without telemetry the context is another one")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	tel, _, scrape := newTelemetry(t)
	err := tel.Observe(telemetry.Gauge{
		Name: "perdure.queue.depth", Description: "Messages that wait.",
		Read: func(_ context.Context, set func(float64, ...attribute.KeyValue)) error {
			set(3, attribute.String("queue", "a"))
			set(4, attribute.String("queue", "b"))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, end := tel.Begin(t.Context(), telemetry.Function, "f", nil)
	end(nil)
	_, end = tel.Begin(t.Context(), telemetry.Activity, "a", nil)
	end(errors.New("failed"))
	tel.Answered(t.Context(), "GET", "/x/{id}", 404, time.Millisecond)
	tel.Ended("o", "completed")
	tel.DeadLetter("f", "attempts-exhausted")
	tel.Committed(7, time.Millisecond)
	got := scrape()
	for _, want := range []string{
		`perdure_function_duration_seconds_count{outcome="success",perdure_function="f"} 1`,
		`perdure_activity_duration_seconds_count{outcome="failure",perdure_activity="a"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route="/x/{id}"} 1`,
		`perdure_orchestration_ended_total{perdure_orchestration="o",state="completed"} 1`,
		`perdure_deadletter_made_total{cause="attempts-exhausted",perdure_function="f"} 1`,
		`perdure_commit_group_size_sum 7`,
		`perdure_commit_duration_seconds_count 1`,
		`perdure_queue_depth{queue="b"} 4`,
		`go_goroutines `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}
