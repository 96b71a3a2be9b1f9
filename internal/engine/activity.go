package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Failer is an error that knows how it is kept in history.
type Failer interface {
	error
	// Failure returns the failure that stands for the error.
	Failure() *history.Failure
}

// failureOf returns how an error is kept.
func failureOf(err error) *history.Failure {
	var f Failer
	if errors.As(err, &f) {
		failure := *f.Failure()
		if failure.Message == "" {
			failure.Message = err.Error()
		}
		return &failure
	}
	switch {
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return &history.Failure{Type: TimeoutType, Message: err.Error()}
	default:
		return &history.Failure{Message: err.Error()}
	}
}

// attempt runs a task once and hands its outcome to the instance.
func (e *Engine) attempt(t *task) {
	if e.isStopping() {
		return // it runs again after the next start
	}
	if t.run == nil {
		e.complete(t, nil, nil, &history.Failure{
			Type: NotRegisteredType, NonRetryable: true,
			Message: fmt.Sprintf("activity %q is not registered", t.name),
		})
		return
	}
	if wait := t.opts.ScheduleToStart; wait > 0 && t.kept.Attempts == 0 && e.now().After(t.since.Add(wait)) {
		e.complete(t, nil, nil, &history.Failure{
			Type: TimeoutType, NonRetryable: true,
			Message: fmt.Sprintf("%q did not start within %v", t.name, wait),
		})
		return
	}
	if t.kept.Deaths >= e.opts.MaxDeaths {
		e.complete(t, nil, nil, &history.Failure{
			Type: DeathsType, NonRetryable: true,
			Message: fmt.Sprintf("%q: the process died %d times while it ran", t.name, t.kept.Deaths),
		})
		return
	}
	if t.kept.Deaths > 0 {
		again := func() { e.pool.dispatch(t) }
		release, ok := e.journal.Alone(again)
		if !ok {
			return
		}
		defer release()
	}
	ctx, cancel, err := t.begin(e)
	if err != nil {
		return // nobody wants it any more
	}
	defer cancel(nil)
	u := unit.New(e.opts.Env)
	ctx = unit.With(context.WithValue(ctx, runKey{}, Task{e, t}), u)
	out, err := e.call(ctx, t, u, cancel)
	e.outcome(t, u, out, err)
}

// call runs the user's function: on this goroutine, or beside it when a timeout
// may have to end the attempt without the function's help.
func (e *Engine) call(ctx context.Context, t *task, u *unit.Unit, cancel context.CancelCauseFunc) ([]byte, error) {
	if t.opts.StartToClose <= 0 && t.opts.Heartbeat <= 0 {
		return e.invoke(ctx, t)
	}
	expire := func(what string, d time.Duration) func() {
		return func() {
			u.Discarded() // before anybody learns of it: a late run cannot commit
			cancel(fmt.Errorf("%w: %q: no %s within %v", ErrTimeout, t.name, what, d))
		}
	}
	if d := t.opts.StartToClose; d > 0 {
		timer := e.clock.AfterFunc(d, expire("end", d))
		defer timer.Stop()
	}
	if d := t.opts.Heartbeat; d > 0 {
		timer := e.clock.AfterFunc(d, expire("heartbeat", d))
		t.mu.Lock()
		t.beat = timer
		t.mu.Unlock()
		defer func() {
			timer.Stop()
			t.mu.Lock()
			t.beat = nil
			t.mu.Unlock()
		}()
	}
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errGoexit}
		defer func() { done <- r }()
		r.out, r.err = e.invoke(ctx, t)
	}()
	select {
	case r := <-done:
		if cause := context.Cause(ctx); errors.Is(cause, ErrTimeout) {
			return nil, cause // it ended after its unit had been closed
		}
		return r.out, r.err
	case <-ctx.Done():
		if cause := context.Cause(ctx); errors.Is(cause, ErrTimeout) {
			return nil, cause
		}
		r := <-done // canceled, not timed out: the function is asked to end
		return r.out, r.err
	}
}

var errGoexit = errors.New("the function called runtime.Goexit")

// invoke calls the user's function under the poison journal; a panic is an error.
func (e *Engine) invoke(ctx context.Context, t *task) (out []byte, err error) {
	var id [12]byte
	binary.BigEndian.PutUint64(id[:], uint64(t.in.key))
	binary.BigEndian.PutUint32(id[8:], t.seq)
	slot := e.journal.Enter(poison.Activity, id[:])
	defer e.journal.Leave(slot)
	defer func() {
		if value := recover(); value != nil {
			e.log.Error("durable activity panicked", "activity", t.name, "instance", t.instance,
				"panic", value, "stack", string(debug.Stack()))
			err = &panicError{fmt.Sprintf("%q panicked: %v", t.name, value)}
		}
	}()
	failpoint.Hit(failpoint.ActivityStarted)
	return t.run(ctx, t.input)
}

// panicError is a panic of user code as a failure that may be retried.
type panicError struct{ message string }

// Error implements error.
func (p *panicError) Error() string { return p.message }

// Failure implements Failer.
func (p *panicError) Failure() *history.Failure {
	return &history.Failure{Type: PanicType, Message: p.message}
}

// lost does what a job owed when user code ended its goroutine by Goexit.
func (e *Engine) lost(j job) {
	defer e.work.end()
	switch {
	case j.t != nil:
		e.outcome(j.t, nil, nil, errGoexit)
		if t := e.pool.next(); t != nil {
			e.pool.do(job{t: t})
		}
	case j.in != nil:
		e.stall(j.in, nil, &stallError{"orchestration ended its goroutine: runtime.Goexit called"})
	}
}

// outcome turns the end of an attempt into what the instance learns.
func (e *Engine) outcome(t *task, u *unit.Unit, out []byte, err error) {
	failpoint.Hit(failpoint.ActivityRan)
	switch {
	case err == nil:
		if u.ReadOnly() {
			u.Discarded() // one snapshot is one moment: there is nothing to validate
			u = nil
		}
		e.complete(t, u, out, nil)
	case errors.Is(err, ErrPending):
		discard(u)
		e.await(t)
	default:
		discard(u)
		if e.isStopping() && e.base.Err() != nil {
			return // it was cut off by the stop, and runs again
		}
		e.failedAttempt(t, err)
	}
}

func discard(u *unit.Unit) {
	if u != nil {
		u.Discarded()
	}
}

// complete hands the final answer of a task to its instance.
func (e *Engine) complete(t *task, u *unit.Unit, out []byte, failure *history.Failure) {
	ev := history.Event{Kind: history.ActivityCompleted, Seq: t.seq, Data: out}
	switch {
	case t.step && failure != nil:
		ev = history.Event{Kind: history.StepFailed, Seq: t.seq, Name: t.name, Failure: failure}
	case t.step:
		ev = history.Event{Kind: history.StepCompleted, Seq: t.seq, Name: t.name, Data: out}
	case failure != nil:
		ev = history.Event{Kind: history.ActivityFailed, Seq: t.seq, Failure: failure}
	}
	e.deliver(t.in.key, &inbound{event: ev, task: t, unit: u}, true)
}

// failedAttempt counts a failed attempt: another one follows after a wait, or the
// failure is final.
func (e *Engine) failedAttempt(t *task, err error) {
	failure := failureOf(err)
	t.mu.Lock()
	t.kept.Attempts++
	t.kept.Error = failure.Message
	t.conflicts = 0
	kept := t.kept
	t.mu.Unlock()
	failure.Attempts = kept.Attempts
	if failure.NonRetryable || kept.Attempts >= max(t.opts.Attempts, 1) {
		e.complete(t, nil, nil, failure)
		return
	}
	e.log.Warn("durable activity failed, trying again", slog.String("activity", t.name),
		slog.String("instance", t.instance), slog.Int("attempt", int(kept.Attempts)), slog.String("error", failure.Message))
	wait := t.opts.Backoff(kept.Attempts)
	kept.NextAt = e.now().Add(wait - time.Duration(rand.Int64N(int64(wait)/10+1)))
	e.setAside(t, &kept, kept.NextAt)
}

// await leaves the call open until it is completed from outside.
func (e *Engine) await(t *task) {
	Task{e, t}.Token()
	t.mu.Lock()
	kept := t.kept
	kept.Token = t.token
	t.mu.Unlock()
	if d := t.opts.StartToClose; d > 0 {
		kept.ExpiresAt = e.now().Add(d)
	}
	e.setAside(t, &kept, kept.ExpiresAt)
}

// setAside stores a task that does not run now. It is looked at again at wake,
// unless that is zero.
func (e *Engine) setAside(t *task, kept *records.Task, wake time.Time) {
	e.deliver(t.in.key, &inbound{control: func(in *instance, c *change) error {
		if in.tasks[t.seq] != t {
			return nil // nobody wants it any more
		}
		t.stored = true
		records.PutTask(&c.txn, in.key, t.seq, kept)
		if !wake.IsZero() {
			c.setTimer(records.Timer{Due: wake.UnixNano(), Key: in.key, Seq: t.seq, Kind: records.TimerTask})
		}
		c.remove = append(c.remove, t.seq)
		c.park = map[uint32]*records.Task{t.seq: kept}
		c.mark()
		return nil
	}}, true)
}

// maxConflicts is how often an activity may be refused in a row because others
// changed what it had read; then the attempt has failed.
const maxConflicts = 20

// conflicted runs an activity again whose writes were refused.
func (e *Engine) conflicted(t *task) {
	t.conflicts++
	if t.conflicts > maxConflicts {
		e.failedAttempt(t, unit.ErrConflict)
		return
	}
	bound := time.Millisecond << min(t.conflicts, 7)
	e.work.begin()
	time.AfterFunc(rand.N(bound), func() {
		e.pool.dispatch(t)
		e.work.end()
	})
}
