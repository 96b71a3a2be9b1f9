package durable

import (
	"context"
	"fmt"

	"github.com/perdure/perdure/internal/unit"
)

// Event is the typed name of something an instance can wait for and others can
// raise. Declare it once, as a package-level value.
//
// An event is never lost: one that comes before the instance asks for it, or while
// it is busy, is kept in order.
type Event[T any] struct{ name string }

// NewEvent declares an event.
func NewEvent[T any](name string) *Event[T] { return &Event[T]{name: name} }

// Name returns the name.
func (e *Event[T]) Name() string { return e.name }

// Wait waits for the event and returns its payload: ErrTimeout when it does not
// come within the time given, ErrCanceled when the instance is canceled.
func (e *Event[T]) Wait(ctx *Context, opts ...WaitOption) (T, error) {
	var w wait
	for _, opt := range opts {
		opt.applyWait(&w)
	}
	task := e.Await(ctx)
	if w.within <= 0 {
		return task.Wait(ctx)
	}
	v, err := task.WaitFor(ctx, w.within)
	if !task.Done() {
		ctx.CancelTask(task) // a later event is for a later wait
	}
	return v, err
}

// Await begins to wait for the event.
func (e *Event[T]) Await(ctx *Context) *Task[T] {
	t := newTask[T](ctx.m.Await(e.name), "event", e.name)
	return &t
}

// Raise raises the event for the instance called id as part of the unit of work of
// ctx. It fails with ErrNotFound when there is no such instance, unless KeepFor is
// given, and with ErrEnded when it has ended. Without a unit it fails with
// ErrNoUnit; use a Client there.
func (e *Event[T]) Raise(ctx context.Context, id string, payload T, opts ...RaiseOption) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	r, err := e.request(id, payload, opts)
	if err != nil {
		return err
	}
	if u.Env().Orchestrator == nil {
		return fmt.Errorf("%w: no orchestration is added to the app", ErrNotRegistered)
	}
	return u.Env().Orchestrator.RaiseIn(u, r)
}

func (e *Event[T]) request(id string, payload T, opts []RaiseOption) (unit.Raise, error) {
	b, err := encodeArgument("payload of event", e.name, payload)
	if err != nil {
		return unit.Raise{}, err
	}
	r := unit.Raise{ID: id, Name: e.name, Payload: b}
	for _, opt := range opts {
		opt.applyRaise(&r)
	}
	return r, nil
}

// Send raises the event for another instance from within an orchestration. An event
// for an instance that does not exist becomes a dead letter.
func (e *Event[T]) Send(ctx *Context, id string, payload T) {
	ctx.m.Send(id, e.name, mustEncode("payload of event", e.name, payload))
}
