package durable

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/history"
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
	return a.Start(ctx, in, opts...).Wait(ctx)
}

// Start calls the activity without waiting.
func (a *Activity[In, Out]) Start(ctx *Context, in In, opts ...CallOption) *Task[Out] {
	o := callOptions(opts)
	call := ctx.m.Schedule(a.name, mustEncode("input of activity", a.name, in), o.Encode())
	return newTask[Out](call, "activity", a.name)
}

// Step runs f inline and keeps its result: a replay takes the result from history
// instead of running f again. It is for short work that needs no activity of its
// own. Like an activity's, a run of f is a unit of work, and may happen more than
// once if the process dies in it.
func Step[T any](ctx *Context, name string, f func(ctx context.Context) (T, error), opts ...CallOption) (T, error) {
	o := callOptions(opts)
	call := ctx.m.RunStep(name, o.Encode(), func(ctx context.Context) ([]byte, error) {
		v, err := f(ctx)
		if err != nil {
			return nil, err
		}
		return encodeResult(v)
	})
	return newTask[T](call, "step", name).result()
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

// decode decodes JSON as this package always does: nothing, and null, is the zero
// value; unknown fields are ignored; missing fields are zero.
func decode[T any](b []byte) (T, error) {
	var v T
	if len(b) == 0 {
		return v, nil
	}
	err := json.Unmarshal(b, &v)
	return v, err
}

// encodeResult encodes what user code returned.
func encodeResult(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, Final(fmt.Errorf("result: %w", err))
	}
	if len(b) > engine.MaxPayload {
		return nil, Final(fmt.Errorf("%w: result of %d bytes, want at most %d; keep it in a blob and return its name",
			ErrInvalid, len(b), engine.MaxPayload))
	}
	return b, nil
}

// encodeArgument encodes what is handed to an orchestration from outside.
func encodeArgument(what, name string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %q: %w", ErrInvalid, what, name, err)
	}
	return b, nil // the engine bounds its size
}

// mustEncode encodes what an orchestration hands over. What cannot be encoded is a
// mistake in the code, so the instance stalls with the explanation.
func mustEncode(what, name string, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("durable: %s %q: %w", what, name, err))
	}
	if len(b) > engine.MaxPayload {
		panic(fmt.Errorf("durable: %s %q: %d bytes, want at most %d", what, name, len(b), engine.MaxPayload))
	}
	return b
}
