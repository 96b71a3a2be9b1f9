package consumer

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// handle handles one event as a part of the trace that the event carries.
func (r *runner) handle(ctx context.Context, e *Event) (err error) {
	traced, end := r.f.Telemetry.Begin(ctx, telemetry.Function, r.g.Function, e.Headers,
		attribute.String("messaging.destination.name", r.g.Stream))
	defer func() { end(err) }()
	defer unit.Trace(traced)()
	return r.g.Handle(traced, e)
}

// handleBatch handles a batch. Its events may come from many traces; it begins one of its
// own.
func (r *runner) handleBatch(ctx context.Context, events []*Event) (err error) {
	traced, end := r.f.Telemetry.Begin(ctx, telemetry.Function, r.g.Function, nil,
		attribute.String("messaging.destination.name", r.g.Stream), attribute.Int("messaging.batch.message_count", len(events)))
	defer func() { end(err) }()
	defer unit.Trace(traced)()
	return r.g.HandleBatch(traced, events)
}
