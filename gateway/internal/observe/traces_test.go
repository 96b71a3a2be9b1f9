package observe_test

import (
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// attributes writes those of a span.
func attributes(s sdk.ReadOnlySpan) string {
	var b strings.Builder
	for _, a := range s.Attributes() {
		b.WriteString(string(a.Key) + "=" + a.Value.String() + " ")
	}
	return b.String()
}

// A trace goes on from the client through the gateway to the upstream.
func TestTraces(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	traces := observe.NewTraces(sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)))
	begun := len(recorder.Ended())
	w := newFile(t, options{traces: traces})
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	r := w.do("GET /open?token=PLANTED", "Traceparent: 00-"+id+"-00f067aa0ba902b7-01", "Tracestate: a=b")
	w.do("GET /down")
	w.do("GET /weather/secure")
	w.do("BREW /none")
	spans := recorder.Ended()[begun:]
	if len(spans) != 6 {
		t.Fatalf("there are %d spans", len(spans))
	}
	client, server := spans[0], spans[1]
	if server.Name() != "GET open" || server.SpanKind() != trace.SpanKindServer || server.Parent().SpanID().String() != "00f067aa0ba902b7" || server.SpanContext().TraceID().String() != id {
		t.Errorf("the span of the request is %s of %v", server.Name(), server.Parent())
	}
	if client.Name() != "GET" || client.SpanKind() != trace.SpanKindClient || client.Parent().SpanID() != server.SpanContext().SpanID() {
		t.Errorf("the span of the attempt is %s of %v", client.Name(), client.Parent())
	}
	if want := "00-" + id + "-" + client.SpanContext().SpanID().String() + "-01"; r.Header.Get("X-Got") != want {
		t.Errorf("the upstream was told %q, want %q", r.Header.Get("X-Got"), want)
	}
	for i, want := range []string{
		"http.request.method=GET server.address=127.0.0.1 server.port=",
		"http.request.method=GET url.scheme=http url.path=/open server.address=api.test client.address=127.0.0.1 network.protocol.version=1.1 perdure.request.id=",
		"error.type=_OTHER ", "http.response.status_code=502 error.type=502 ", "http.response.status_code=401 ",
		"http.request.method=_OTHER ",
	} {
		if got := attributes(spans[i]); !strings.Contains(got, want) || strings.Contains(got, "PLANTED") {
			t.Errorf("span %d, %s, has %s, want %s", i, spans[i].Name(), got, want)
		}
	}
	for i, want := range []struct {
		name string
		code codes.Code
	}{{"GET", codes.Unset}, {"GET open", codes.Unset}, {"GET", codes.Error}, {"GET down", codes.Error}, {"GET secure", codes.Unset}, {"HTTP", codes.Unset}} {
		if s := spans[i]; s.Name() != want.name || s.Status().Code != want.code {
			t.Errorf("span %d is %q with %v, want %+v", i, s.Name(), s.Status(), want)
		}
	}
	if got := attributes(spans[4]); !strings.Contains(got, "perdure.gateway.refused_by=jwt") {
		t.Errorf("the span of a refusal has %s", got)
	}
	if lines := parse(t, w.written()); lines[0].Trace != id || len(lines[1].Trace) != 32 || lines[1].Trace != spans[3].SpanContext().TraceID().String() {
		t.Errorf("the log has %+v", lines)
	}
}

// A handler in this process finds the span of the request in its context.
func TestTraceInProcess(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	traces := observe.NewTraces(sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)))
	begun := len(recorder.Ended())
	found := make(chan trace.SpanContext, 1)
	w := newFile(t, options{traces: traces, app: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if proxy.FromContext(r.Context()) == nil {
			t.Error("there is no exchange in the context")
		}
		found <- trace.SpanContextFromContext(r.Context())
	})})
	w.do("GET /open")
	if text := parse(t, w.written())[0].Address; text != "in this process" {
		t.Errorf("the log says that it was answered %q", text)
	}
	spans := recorder.Ended()[begun:]
	if got := <-found; len(spans) != 1 || !got.Equal(spans[0].SpanContext()) {
		t.Errorf("the span in the context is %v, and there are %d", got, len(spans))
	}
}

func TestNoTraces(t *testing.T) {
	t.Parallel()
	if observe.NewTraces(nil) != nil || observe.NewTraces(noop.NewTracerProvider()) != nil {
		t.Error("there are traces without a provider that makes any")
	}
}
