package perdure_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
)

var (
	tracedQueue    = queue.Of[string]("traced-queue")
	tracedStream   = stream.Of[string]("traced-stream")
	tracedActivity = durable.NewActivity[string, string]("traced-activity")
	tracedChild    = durable.NewOrchestration[string, string]("traced-child")
	tracedParent   = durable.NewOrchestration[string, string]("traced-parent")
)

type text struct {
	Text string `body:""`
}

// tracedParts pass an event from a request through everything there is.
func tracedParts() []perdure.Part {
	return []perdure.Part{
		perdure.HTTP("POST /begin", func(ctx context.Context, _ *empty) (*empty, error) {
			return nil, tracedQueue.Send(ctx, "x")
		}),
		perdure.OnQueue(tracedQueue, func(ctx context.Context, in *text) (*empty, error) {
			return nil, tracedStream.Append(ctx, in.Text)
		}),
		perdure.OnStream(tracedStream, func(ctx context.Context, in *text) (*empty, error) {
			_, err := tracedParent.Start(ctx, in.Text)
			return nil, err
		}, perdure.FunctionName("from-stream")),
		tracedParent.Impl(func(ctx *durable.Context, in string) (string, error) { return tracedChild.Call(ctx, in) }),
		tracedChild.Impl(func(ctx *durable.Context, in string) (string, error) { return tracedActivity.Call(ctx, in) }),
		tracedActivity.Impl(func(_ context.Context, in string) (string, error) { return in, nil }),
	}
}

// TestOneTrace: everything that follows from a request is in its trace.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	app := perduretest.Start(t, perdure.Config{TracerProvider: trace.NewTracerProvider(trace.WithSpanProcessor(spans))}, tracedParts()...)
	app.Do("POST", "/begin", nil, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").Want(204)
	app.Restart() // a trace is stored with what waits
	var names []string
	for _, span := range spans.Ended() {
		if span.SpanContext().TraceID().String() == "0af7651916cd43dd8448eb211c80319c" {
			names = append(names, span.Name())
		}
	}
	want := "request POST /begin, function queue/traced-queue, function from-stream, activity traced-activity"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("the trace has %s\nwant %s", got, want)
	}
}

func TestMetricsAreShown(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, tracedParts()...)
	app.Do("POST", "/begin", nil).Want(204)
	got := string(app.Do("GET", "/metrics", nil).Want(200).Body)
	for _, want := range []string{
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="204",http_route="/begin"} 1`,
		`perdure_function_duration_seconds_count{outcome="success",perdure_function="queue/traced-queue"} 1`,
		`perdure_function_duration_seconds_count{outcome="success",perdure_function="from-stream"} 1`,
		`perdure_activity_duration_seconds_count{outcome="success",perdure_activity="traced-activity"} 1`,
		`perdure_orchestration_ended_total{perdure_orchestration="traced-child",state="Completed"} 1`,
		`perdure_commit_group_size_count`,
		`perdure_commit_duration_seconds_count`,
		`perdure_function_depth{perdure_function="queue/traced-queue"} 0`,
		`perdure_stream_lag{perdure_function="from-stream",perdure_stream="traced-stream"} 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
