package durable

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/replay"
	"github.com/perdure/perdure/internal/unit"
)

// Orchestration is the typed name of an orchestration: a plain Go function that
// survives crashes and can wait for as long as it takes. Declare it once, as a
// package-level value.
type Orchestration[In, Out any] struct{ name string }

// NewOrchestration declares an orchestration.
func NewOrchestration[In, Out any](name string) *Orchestration[In, Out] {
	return &Orchestration[In, Out]{name: name}
}

// Name returns the name.
func (o *Orchestration[In, Out]) Name() string { return o.name }

// Implementation ties an orchestration or activity to the function that implements
// it. Add it to an app.
type Implementation struct {
	name     string
	register func(*engine.Engine) error
}

// Name returns the name of what is implemented.
func (i Implementation) Name() string { return i.name }

// Register makes the implementation known to an engine. An app does that for what
// is added to it.
func (i Implementation) Register(e *engine.Engine) error {
	if i.register == nil {
		return fmt.Errorf("%w: an empty Implementation", ErrInvalid)
	}
	return i.register(e)
}

// Impl says which function implements the orchestration.
//
// The function must be deterministic: it decides only by its input and by what ctx
// gives it. No clock, random numbers, goroutines, channels, I/O or iteration over
// maps; those belong into activities and steps.
func (o *Orchestration[In, Out]) Impl(f func(ctx *Context, in In) (Out, error), opts ...OrchestrationOption) Implementation {
	return Implementation{name: o.name, register: func(e *engine.Engine) error {
		if f == nil {
			return fmt.Errorf("%w: orchestration %q is implemented by nil", ErrInvalid, o.name)
		}
		impl := engine.Orchestration{Name: o.name, Code: func(m *replay.Machine, input []byte) ([]byte, error) {
			in, err := decode[In](input)
			if err != nil {
				return nil, &replay.FailureError{Failure: decodeError(fmt.Sprintf("input of orchestration %q", o.name), err).Failure()}
			}
			ctx := &Context{m: m, log: e.Logger()}
			out, err := f(ctx, in)
			if err != nil {
				var next *replay.Continue
				if errors.As(err, &next) {
					return nil, next
				}
				ctx.undo()
				return nil, &replay.FailureError{Failure: engine.FailureOf(err)}
			}
			return mustEncode("output of orchestration", o.name, out), nil
		}}
		for _, opt := range opts {
			opt.applyOrchestration(&impl)
		}
		return e.RegisterOrchestration(impl)
	}}
}

// Start starts an instance as part of the unit of work of ctx and returns its id.
// The instance begins when the unit has committed. Without a unit it fails with
// ErrNoUnit; use a Client there.
func (o *Orchestration[In, Out]) Start(ctx context.Context, in In, opts ...StartOption) (string, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return "", err
	}
	s, err := o.request(in, opts)
	if err != nil {
		return "", err
	}
	if s.IfExists != engine.UseSame {
		return "", fmt.Errorf("%w: start of %q: RefuseExisting and ReplaceEnded are for starts by a Client; a unit of work reads whether the instance exists, and decides", ErrInvalid, o.name)
	}
	if u.Env().Orchestrator == nil {
		return "", fmt.Errorf("%w: orchestration %q", ErrNotRegistered, o.name)
	}
	return u.Env().Orchestrator.StartIn(u, s.Start)
}

func (o *Orchestration[In, Out]) request(in In, opts []StartOption) (engine.StartRequest, error) {
	input, err := encodeArgument("input of orchestration", o.name, in)
	if err != nil {
		return engine.StartRequest{}, err
	}
	s := engine.StartRequest{Start: unit.Start{Name: o.name, Input: input}}
	for _, opt := range opts {
		opt.applyStart(&s)
	}
	return s, nil
}

// Call starts a sub-orchestration and waits for its result.
func (o *Orchestration[In, Out]) Call(ctx *Context, in In, opts ...ChildOption) (Out, error) {
	return o.Begin(ctx, in, opts...).Wait(ctx)
}

// Begin starts a sub-orchestration without waiting. If the given id is taken, the
// task fails with the code "exists".
func (o *Orchestration[In, Out]) Begin(ctx *Context, in In, opts ...ChildOption) *Task[Out] {
	var c child
	for _, opt := range opts {
		opt.applyChild(&c)
	}
	options := history.CallOptions{Tags: c.tags}
	call, _ := ctx.m.StartChild(o.name, c.id, mustEncode("input of orchestration", o.name, in), options.Encode())
	t := newTask[Out](call, "orchestration", o.name)
	return &t
}

// ContinueAsNew, returned by the orchestration itself, ends its history and starts
// it again with in: the way to run for ever. Events that nobody has waited for are
// taken over, and so is a wish that the instance end.
func (o *Orchestration[In, Out]) ContinueAsNew(in In) (Out, error) {
	var zero Out
	return zero, &replay.Continue{Input: mustEncode("input of orchestration", o.name, in)}
}
