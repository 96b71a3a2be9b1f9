package guides_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/window"
)

// What follows is in the guide, word for word.

func tracing(to trace.SpanExporter) *trace.TracerProvider {
	return trace.NewTracerProvider(
		trace.WithBatcher(to),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(0.1))),
	)
}

// Here the guide's words end.

var (
	watchedQueue    = queue.Of[string]("watched")
	watchedStream   = stream.Of[string]("noted")
	watchedActivity = durable.NewActivity[string, string]("Note")
	watchedFlow     = durable.NewOrchestration[string, string]("Noting")
)

type watchedText struct {
	Text string `body:""`
}

// TestGuideTelemetry: an app with one of everything shows each metric that the guide lists.
func TestGuideTelemetry(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := tracing(spans)
	app := perduretest.Start(t, perdure.Config{TracerProvider: provider},
		perdure.HTTP("POST /note", func(ctx context.Context, in *watchedText) (*struct{}, error) {
			return nil, watchedQueue.Send(ctx, in.Text)
		}),
		perdure.OnQueue(watchedQueue, func(ctx context.Context, in *watchedText) (*struct{}, error) {
			if in.Text == "bad" {
				return nil, perdure.Permanent(errors.New("not this"))
			}
			if err := watchedStream.Append(ctx, in.Text); err != nil {
				return nil, err
			}
			_, err := watchedFlow.Start(ctx, in.Text)
			return nil, err
		}),
		perdure.OnWindow(watchedStream, window.Tumbling(time.Second), func(s string) string { return s }, window.Count,
			func(context.Context, window.Result[string, int]) error { return nil }),
		watchedFlow.Impl(func(ctx *durable.Context, in string) (string, error) { return watchedActivity.Call(ctx, in) }),
		watchedActivity.Impl(func(_ context.Context, in string) (string, error) { return in, nil }),
	)
	app.Do("POST", "/note", "good", "Content-Type", "text/plain").Want(204)
	app.Do("POST", "/note", "bad", "Content-Type", "text/plain").Want(204)
	app.Advance(time.Minute)
	shown := string(app.Do("GET", "/metrics", nil).Want(200).Body)
	page, err := os.ReadFile("telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z._]+)` \\|").FindAllStringSubmatch(string(page), -1)
	if len(listed) < 10 {
		t.Errorf("the guide lists %d metrics", len(listed))
	}
	known := map[string]bool{}
	for _, m := range listed {
		name := strings.ReplaceAll(m[1], ".", "_")
		known[name] = true
		if !strings.Contains(shown, "# TYPE "+name) {
			t.Errorf("metric %s is not shown", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE ((?:perdure|http)_\w+) `).FindAllStringSubmatch(shown, -1) {
		name := m[1]
		for _, unit := range []string{"", "_total", "_seconds", "_ratio"} {
			if known[strings.TrimSuffix(name, unit)] {
				name = ""
				break
			}
		}
		if name != "" {
			t.Errorf("metric %s is not in the guide", name)
		}
	}
	if err := provider.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
