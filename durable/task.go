package durable

import (
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/replay"
)

// Task is something an orchestration has begun and can wait for.
type Task[T any] struct {
	call   *replay.Call
	kind   string // what was called, for errors
	name   string
	decode func([]byte) (T, error) // nil: the result is JSON
}

// newTask returns the task of a call whose result is JSON.
func newTask[T any](call *replay.Call, kind, name string) Task[T] {
	return Task[T]{call: call, kind: kind, name: name}
}

// what says what was called.
func (t *Task[T]) what() string {
	if t.name == "" {
		return t.kind
	}
	return fmt.Sprintf("%s %q", t.kind, t.name)
}

// Awaitable is a Task of any type.
type Awaitable interface {
	// Done reports whether the task has its result.
	Done() bool
	awaited() *replay.Call
}

func (t *Task[T]) awaited() *replay.Call { return t.call }

// Done reports whether the task has its result.
func (t *Task[T]) Done() bool { return t.call.Done() }

// Wait waits for the task and returns its result.
func (t *Task[T]) Wait(ctx *Context) (T, error) {
	ctx.m.Wait(t.call)
	return t.result()
}

// WaitFor is Wait for at most d, then ErrTimeout. The task goes on; CancelTask
// ends it.
func (t *Task[T]) WaitFor(ctx *Context, d time.Duration) (T, error) {
	var zero T
	if !t.call.Done() {
		timer := ctx.Timer(d)
		first := ctx.m.WaitAny([]*replay.Call{t.call, timer.call})
		if first == 1 {
			if _, err := timer.result(); err != nil {
				return zero, err
			}
			return zero, &Error{Code: engine.TimeoutType, Message: "timed out", call: t.what()}
		}
		ctx.CancelTask(timer)
	}
	return t.result()
}

// result decodes the result of a task that is done.
func (t *Task[T]) result() (T, error) {
	var zero T
	data, failure := t.call.Result()
	if failure != nil {
		return zero, asError(t.what(), failure)
	}
	if t.decode != nil {
		return t.decode(data)
	}
	v, err := decode[T](data)
	if err != nil {
		return zero, &Error{Code: DecodeCode, Message: "result: " + err.Error(), Final: true, call: t.what()}
	}
	return v, nil
}

// All waits for every task and returns the results in the order of the tasks. If
// some failed, the error joins theirs, and their results are zero.
func All[T any](ctx *Context, tasks ...*Task[T]) ([]T, error) {
	results := make([]T, len(tasks))
	var errs []error
	for i, t := range tasks {
		var err error
		if results[i], err = t.Wait(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return results, errors.Join(errs...)
}

// Any waits until one of the tasks is done and returns its index and result. The
// others go on. Of several that are done the first in order is taken. It panics
// without a task.
func Any[T any](ctx *Context, tasks ...*Task[T]) (int, T, error) {
	all := make([]Awaitable, len(tasks))
	for i, t := range tasks {
		all[i] = t
	}
	i := Select(ctx, all...)
	v, err := tasks[i].result()
	return i, v, err
}

// Select waits until one of the tasks, which may be of different types, is done
// and returns its index. Of several that are done the first in order is taken. It
// panics without a task.
func Select(ctx *Context, tasks ...Awaitable) int {
	if len(tasks) == 0 {
		panic("durable: Select without a task would wait forever")
	}
	calls := make([]*replay.Call, len(tasks))
	for i, t := range tasks {
		calls[i] = t.awaited()
	}
	return ctx.m.WaitAny(calls)
}
