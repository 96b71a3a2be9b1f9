package durable

import (
	"time"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/unit"
)

// CallOption configures one call of an activity or step.
type CallOption interface{ applyCall(*history.CallOptions) }

// ActivityOption sets what calls of an activity use unless they say otherwise.
type ActivityOption interface{ CallOption }

// Retry makes a call again after a failure. Zero fields mean the defaults. It is a
// CallOption.
type Retry struct {
	// Attempts is how often the call is made in all. Default 1: no retry.
	Attempts int
	// Initial is the wait before the second attempt. Default 1 s.
	Initial time.Duration
	// Max bounds the waits. Default 100 times Initial.
	Max time.Duration
	// Multiplier makes each wait longer than the one before. Default 2.
	Multiplier float64
}

func (r Retry) applyCall(o *history.CallOptions) {
	o.Attempts, o.Initial, o.Max, o.Multiplier = uint32(max(r.Attempts, 0)), r.Initial, r.Max, r.Multiplier
}

type callOption func(*history.CallOptions)

func (f callOption) applyCall(o *history.CallOptions) { f(o) }

// StartToClose bounds each attempt. When it is over the attempt has failed with
// ErrTimeout, its context is canceled, and nothing it still writes counts.
func StartToClose(d time.Duration) CallOption {
	return callOption(func(o *history.CallOptions) { o.StartToClose = d })
}

// ScheduleToStart bounds the wait until the first attempt begins.
func ScheduleToStart(d time.Duration) CallOption {
	return callOption(func(o *history.CallOptions) { o.ScheduleToStart = d })
}

// HeartbeatWithin makes an attempt fail with ErrTimeout when it does not call
// Heartbeat at least every d.
func HeartbeatWithin(d time.Duration) CallOption {
	return callOption(func(o *history.CallOptions) { o.Heartbeat = d })
}

// encodeOptions returns the policy of a call as history keeps it; nil for none.
func encodeOptions(opts []CallOption) []byte {
	if len(opts) == 0 {
		return nil
	}
	var o history.CallOptions
	for _, opt := range opts {
		opt.applyCall(&o)
	}
	return o.Encode()
}

// StartOption configures the start of an instance.
type StartOption interface{ applyStart(*engine.StartRequest) }

// ChildOption configures the start of a sub-orchestration.
type ChildOption interface{ applyChild(*child) }

type child struct {
	id   string
	tags map[string]string
}

// ID gives an instance its id: 1 to 256 bytes. Without it the id is random. It is a
// StartOption and a ChildOption.
type ID string

func (id ID) applyStart(s *engine.StartRequest) { s.ID = string(id) }
func (id ID) applyChild(c *child)               { c.id = string(id) }

// Tags are searchable properties of an instance: at most 32. It is a StartOption
// and a ChildOption.
type Tags map[string]string

func (t Tags) applyStart(s *engine.StartRequest) { s.Tags = t }
func (t Tags) applyChild(c *child)               { c.tags = t }

type startOption func(*engine.StartRequest)

func (f startOption) applyStart(s *engine.StartRequest) { f(s) }

// StartAt lets the instance begin at t. It exists, and keeps events, from now on.
func StartAt(t time.Time) StartOption {
	return startOption(func(s *engine.StartRequest) { s.At = t })
}

// RefuseExisting makes a start fail with ErrExists when the id is taken, even by an
// instance that was started with the same input. It is
// for starts by a Client; others fail with ErrInvalid.
func RefuseExisting() StartOption {
	return startOption(func(s *engine.StartRequest) { s.IfExists = engine.Refuse })
}

// ReplaceEnded makes a start purge an instance of the same id that has ended. It
// is for starts by a Client; others fail with ErrInvalid.
func ReplaceEnded() StartOption {
	return startOption(func(s *engine.StartRequest) { s.IfExists = engine.ReplaceEnded })
}

// WaitOption configures the wait for an event.
type WaitOption interface{ applyWait(*wait) }

type wait struct{ within time.Duration }

type waitOption func(*wait)

func (f waitOption) applyWait(w *wait) { f(w) }

// Within makes a wait fail with ErrTimeout after d.
func Within(d time.Duration) WaitOption {
	return waitOption(func(w *wait) { w.within = d })
}

// RaiseOption configures the delivery of an event.
type RaiseOption interface{ applyRaise(*unit.Raise) }

type raiseOption func(*unit.Raise)

func (f raiseOption) applyRaise(r *unit.Raise) { f(r) }

// KeepFor lets an event wait up to d for an instance that does not exist yet. When
// none comes, the event becomes a dead letter.
func KeepFor(d time.Duration) RaiseOption {
	return raiseOption(func(r *unit.Raise) { r.KeepFor = d })
}

// OrchestrationOption configures an implementation of an orchestration.
type OrchestrationOption interface {
	applyOrchestration(*engine.Orchestration)
}

type orchestrationOption func(*engine.Orchestration)

func (f orchestrationOption) applyOrchestration(o *engine.Orchestration) { f(o) }

// Retention purges an instance when it has ended and d has passed. Without it
// instances are kept until Client.Purge.
func Retention(d time.Duration) OrchestrationOption {
	return orchestrationOption(func(o *engine.Orchestration) { o.Retention = d })
}
