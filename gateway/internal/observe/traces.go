package observe

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// scope names this library among those that a program is made of.
const scope = "github.com/perdure/perdure/gateway"

// Traces makes spans: one of each request, and one below it for each attempt to reach an upstream. Traces that a client has begun
// go on, and upstreams are told of them (W3C Trace Context). Attributes follow OpenTelemetry's semantic conventions for HTTP.
//
// It is a proxy.Access, which must come before all others, a proxy.Log, and a proxy.Attempts.
type Traces struct {
	tracer     trace.Tracer
	propagator propagation.TraceContext
}

// NewTraces returns what makes spans by a provider; nil if that makes none, so that nothing is spent.
func NewTraces(provider trace.TracerProvider) *Traces {
	if provider == nil {
		return nil
	}
	// A provider that makes nothing gives spans without identity.
	tracer := provider.Tracer(scope)
	_, span := tracer.Start(context.Background(), "gateway start")
	span.End()
	if !span.SpanContext().IsValid() {
		return nil
	}
	return &Traces{tracer: tracer}
}

// spans are those of an exchange.
type spans struct {
	server, attempt trace.Span
	ctx             context.Context
}

type spansKey struct{}

var spansPool = sync.Pool{New: func() any { return new(spans) }}

// Access implements proxy.Access: it begins the span of a request.
func (t *Traces) Access(x *proxy.Exchange) {
	if x.DryRun {
		return
	}
	s := spansPool.Get().(*spans)
	s.ctx, s.server = t.start(x)
	x.SetValue(spansKey{}, s)
	x.SetContext(s.ctx)
	t.propagator.Inject(s.ctx, carrier{x})
}

// start begins the span of a request, as a part of the trace that it brings.
func (t *Traces) start(x *proxy.Exchange) (context.Context, trace.Span) {
	ctx := t.propagator.Extract(x.Context(), carrier{x})
	q := &x.Request
	host, port := splitHost(q.Host)
	attributes := append(make([]attribute.KeyValue, 0, 12), attribute.String("http.request.method", method(q.Method)),
		attribute.String("url.scheme", q.Scheme), attribute.String("url.path", bound(scrub(q.Path), maxPath)),
		attribute.String("server.address", bound(host, maxValue)), attribute.String("client.address", x.Client.String()),
		attribute.String("network.protocol.version", protocol(q.Major, q.Minor)[len("HTTP/"):]), attribute.String("perdure.request.id", x.ID()))
	if port > 0 {
		attributes = append(attributes, attribute.Int("server.port", port))
	}
	name := spanName(q.Method)
	if r, ok := x.Route.(*entity.Route); ok && r != nil {
		name += " " + r.Label()
		attributes = append(attributes, attribute.String("http.route", r.Label()))
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.Start), trace.WithAttributes(attributes...))
}

// Begin implements proxy.Attempts: it begins the span of an attempt, which the upstream's is below. A handler in this process has
// that of the request in its context.
func (t *Traces) Begin(x *proxy.Exchange) {
	s, ok := x.Value(spansKey{}).(*spans)
	if !ok || s == nil || x.Endpoint.Address() == "" {
		return
	}
	host, port := splitHost(x.Endpoint.Address())
	attributes := append(make([]attribute.KeyValue, 0, 6), attribute.String("http.request.method", method(x.Request.Method)), attribute.String("server.address", host))
	if port > 0 {
		attributes = append(attributes, attribute.Int("server.port", port))
	}
	if x.Attempts > 1 {
		attributes = append(attributes, attribute.Int("http.request.resend_count", x.Attempts-1))
	}
	var ctx context.Context
	ctx, s.attempt = t.tracer.Start(s.ctx, spanName(x.Request.Method), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	t.propagator.Inject(ctx, carrier{x})
}

// End implements proxy.Attempts.
func (t *Traces) End(x *proxy.Exchange, err error) {
	s, ok := x.Value(spansKey{}).(*spans)
	if !ok || s == nil || s.attempt == nil {
		return
	}
	status := 0
	if !x.Local() {
		status = x.Response.Status
	}
	finish(x, s.attempt, status, err, http.StatusBadRequest)
	s.attempt = nil
}

// Log implements proxy.Log: it ends the span of a request.
func (t *Traces) Log(x *proxy.Exchange) {
	s, ok := x.Value(spansKey{}).(*spans)
	if !ok || s == nil {
		return
	}
	for i := range x.Notes {
		if n := &x.Notes[i]; n.Refusal {
			s.server.SetAttributes(attribute.String("perdure.gateway.refused_by", n.Who))
			break
		}
	}
	finish(x, s.server, x.Response.Status, x.Err, http.StatusInternalServerError)
	x.SetValue(spansKey{}, nil)
	*s = spans{}
	spansPool.Put(s)
}

// finish ends a span. From a status on it is one of an error: 500 for servers, 400 for clients, as OpenTelemetry says.
func finish(x *proxy.Exchange, span trace.Span, status int, err error, from int) {
	if status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	switch {
	case err != nil:
		kind := "_OTHER"
		if status >= from {
			kind = strconv.Itoa(status)
		}
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, bound(clean(x, err.Error()), maxValue))
	case status >= from:
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// method is that of a request, if it is a known one: the names of spans are few.
func method(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY":
		return m
	}
	return "_OTHER"
}

// spanName is a method in the name of a span.
func spanName(m string) string {
	if known := method(m); known != "_OTHER" {
		return known
	}
	return "HTTP"
}

// splitHost splits an authority; the port is 0 if it has none.
func splitHost(authority string) (host string, port int) {
	host, text, err := net.SplitHostPort(authority)
	if err != nil {
		return authority, 0
	}
	port, _ = strconv.Atoi(text) // 0 is none
	return host, port
}

// carrier are header fields that carry a trace.
type carrier struct{ x *proxy.Exchange }

// traceparent says that the field is the gateway's.
var traceparent = plugin.AddedKey("Traceparent")

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string { return c.x.Request.Fields.Get(key) }

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) {
	c.x.Request.Fields.Set(key, value)
	if key == "traceparent" {
		c.x.SetValue(traceparent, true)
	}
}

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() (keys []string) {
	for name := range c.x.Request.Fields.All() {
		keys = append(keys, string(name))
	}
	return keys
}

var (
	_ proxy.Access   = (*Traces)(nil)
	_ proxy.Attempts = (*Traces)(nil)
	_ proxy.Log      = (*Traces)(nil)
	_ proxy.Log      = (*Recent)(nil)
	_ proxy.Log      = (*AccessLog)(nil)
)
