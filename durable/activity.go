package durable

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/replay"
)

// Activity is the typed name of an activity: a function that does what an
// orchestration must not, such as I/O. Declare it once, as a package-level value.
type Activity[In, Out any] struct {
	name     string
	defaults history.CallOptions
}

// NewActivity declares an activity. The options count for each call that does not
// say otherwise.
func NewActivity[In, Out any](name string, opts ...ActivityOption) *Activity[In, Out] {
	a := &Activity[In, Out]{name: name}
	for _, opt := range opts {
		opt.applyCall(&a.defaults)
	}
	return a
}

// Name returns the name.
func (a *Activity[In, Out]) Name() string { return a.name }

// Impl says which function implements the activity. A run of f is a unit of work:
// what it writes through ctx commits together with its result, or not at all.
func (a *Activity[In, Out]) Impl(f func(ctx context.Context, in In) (Out, error)) Implementation {
	return Implementation{name: a.name, register: func(e *engine.Engine) error {
		if f == nil {
			return fmt.Errorf("%w: activity %q is implemented by nil", ErrInvalid, a.name)
		}
		return e.RegisterActivity(engine.Activity{
			Name: a.name, Defaults: a.defaults,
			Run: func(ctx context.Context, input []byte) ([]byte, error) {
				in, err := decode[In](input)
				if err != nil {
					return nil, decodeError("input", err)
				}
				out, err := f(ctx, in)
				if err != nil {
					return nil, err
				}
				return encodeResult(out)
			},
		})
	}}
}

// Call calls the activity and waits for its result. A failure after the last
// attempt is an *Error.
func (a *Activity[In, Out]) Call(ctx *Context, in In, opts ...CallOption) (Out, error) {
	t := newTask[Out](a.schedule(ctx, in, opts), "activity", a.name)
	return t.Wait(ctx)
}

// Start calls the activity without waiting.
func (a *Activity[In, Out]) Start(ctx *Context, in In, opts ...CallOption) *Task[Out] {
	t := newTask[Out](a.schedule(ctx, in, opts), "activity", a.name)
	return &t
}

func (a *Activity[In, Out]) schedule(ctx *Context, in In, opts []CallOption) *replay.Call {
	return ctx.m.Schedule(a.name, mustEncode("input of activity", a.name, in), encodeOptions(opts))
}

// Step runs f inline and keeps its result: a replay takes the result from history
// instead of running f again. It is for short work that needs no activity of its
// own. Like an activity's, a run of f is a unit of work, and may happen more than
// once if the process dies in it.
func Step[T any](ctx *Context, name string, f func(ctx context.Context) (T, error), opts ...CallOption) (T, error) {
	call := ctx.m.RunStep(name, encodeOptions(opts), func(ctx context.Context) ([]byte, error) {
		v, err := f(ctx)
		if err != nil {
			return nil, err
		}
		return encodeResult(v)
	})
	t := newTask[T](call, "step", name)
	return t.result()
}

// Heartbeat says that a running activity is alive, and keeps progress, any JSON
// value or nil, for the next attempt. It returns why the activity should end, or
// nil. Outside an activity it fails with ErrInvalid.
func Heartbeat(ctx context.Context, progress any) error {
	t, ok := engine.TaskOf(ctx)
	if !ok {
		return fmt.Errorf("%w: Heartbeat outside an activity", ErrInvalid)
	}
	var b json.RawMessage
	if progress != nil {
		var err error
		if b, err = json.Marshal(progress); err != nil {
			return fmt.Errorf("durable: progress: %w", err)
		}
	}
	t.Heartbeat(b)
	return context.Cause(ctx)
}

// ActivityInfo describes the running attempt of an activity or step.
type ActivityInfo struct {
	Name       string
	InstanceID string
	// Attempt counts from 1.
	Attempt int
	// IdempotencyKey is the same in each attempt of a call and differs between
	// calls: hand it to systems outside that can recognise a repetition.
	IdempotencyKey string
	// Progress is what the latest stored Heartbeat of this or an earlier attempt
	// said, as JSON; nil for nothing.
	Progress json.RawMessage
}

// Info describes the activity that ctx belongs to; false outside one.
func Info(ctx context.Context) (ActivityInfo, bool) {
	t, ok := engine.TaskOf(ctx)
	if !ok {
		return ActivityInfo{}, false
	}
	return ActivityInfo{
		Name: t.Name(), InstanceID: t.InstanceID(), Attempt: t.Attempt(),
		IdempotencyKey: t.IdempotencyKey(), Progress: t.Progress(),
	}, true
}

// Token returns what completes the running activity from outside after it has returned
// ErrPending. Whoever holds it can end the call, so it is a secret. Outside an activity
// it fails with ErrInvalid.
func Token(ctx context.Context) (string, error) {
	t, ok := engine.TaskOf(ctx)
	if !ok {
		return "", fmt.Errorf("%w: Token outside an activity", ErrInvalid)
	}
	return t.Token(), nil
}
