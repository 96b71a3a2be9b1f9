package engine

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// observe begins the measurement and, where traces are made, the span of an attempt, as a
// part of the trace that its instance was started in. End ends them.
func (e *Engine) observe(a *attempt) (end func(error)) {
	t := a.t
	if !e.opts.Telemetry.Traces() {
		_, end = e.opts.Telemetry.Begin(e.base, telemetry.Activity, t.name, nil)
		return end
	}
	a.base, end = e.opts.Telemetry.Begin(e.base, telemetry.Activity, t.name, t.trace,
		attribute.String("perdure.instance.id", t.instance), attribute.Int("perdure.attempt", int(t.kept.Attempts)+1))
	unit.Trace(a)
	return end
}

// traceOf returns the headers of the trace of ctx; nil without one.
func (e *Engine) traceOf(ctx context.Context) map[string]string {
	if e.opts.Env.Trace == nil {
		return nil
	}
	return e.opts.Env.Trace(ctx)
}
