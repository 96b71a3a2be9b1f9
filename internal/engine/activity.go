package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// Failer is an error that knows how it is kept in history.
type Failer interface {
	error
	// Failure returns the failure that stands for the error.
	Failure() *history.Failure
}

// FailureOf returns how an error is kept in history: with the code of the first
// error in it that has one, and the whole text.
func FailureOf(err error) *history.Failure {
	failure := &history.Failure{}
	var f Failer
	switch {
	case errors.As(err, &f):
		failure = f.Failure()
	case errors.Is(err, context.DeadlineExceeded):
		failure.Type = TimeoutType
	}
	failure.Message, failure.Attempts = err.Error(), 0
	return failure
}

// attempt runs a task once and hands its outcome to the instance.
func (e *Engine) attempt(t *task) {
	if e.isStopping() {
		return // it runs again after the next start
	}
	if failure := e.unrunnable(t); failure != nil {
		e.complete(t, nil, nil, nil, failure)
		return
	}
	if t.kept.Deaths > 0 {
		release, ok := e.journal.Alone(func() { e.pool.dispatch(t) })
		if !ok {
			return
		}
		defer release()
	}
	a, err := t.begin(e)
	if err != nil {
		if t.step { // the code still waits for it
			e.complete(t, nil, nil, nil, FailureOf(err))
		}
		return
	}
	defer a.cancel(nil)
	ended := false
	defer func() {
		if !ended {
			a.unit.Discarded() // the function called Goexit: pool.do goes on with it
		}
	}()
	end := e.observe(a)
	out, err := e.call(a)
	end(err)
	ended = true
	e.outcome(a, out, err)
}

// unrunnable says why a task must not run, or nil.
func (e *Engine) unrunnable(t *task) *history.Failure {
	fail := func(kind, format string, args ...any) *history.Failure {
		return &history.Failure{Type: kind, NonRetryable: true, Message: fmt.Sprintf(format, args...)}
	}
	if t.run == nil {
		return fail(NotRegisteredType, "not registered in this program")
	}
	if wait := t.opts.ScheduleToStart; wait > 0 && t.kept.Attempts == 0 && e.now().After(t.since.Add(wait)) {
		return fail(TimeoutType, "did not start within %v", wait)
	}
	if t.kept.Deaths >= e.opts.MaxDeaths {
		return fail(DeathsType, "the process died %d times while it ran", t.kept.Deaths)
	}
	return nil
}

// call runs the user's function: on this goroutine, or beside it when a timeout
// may have to end the attempt without the function's help. The function and the
// timeouts race for the right to end the attempt: what comes second has no effect.
func (e *Engine) call(a *attempt) ([]byte, error) {
	t := a.t
	if t.opts.StartToClose <= 0 && t.opts.Heartbeat <= 0 {
		return e.invoke(a)
	}
	var ended atomic.Bool
	expired := make(chan error, 1)
	expire := func(what string, d time.Duration) func() {
		return func() {
			if !ended.CompareAndSwap(false, true) {
				return
			}
			err := fmt.Errorf("%w: no %s within %v", ErrTimeout, what, d)
			a.unit.Discarded() // before anybody learns of it: a late run cannot commit
			a.cancel(err)
			expired <- err
		}
	}
	if d := t.opts.StartToClose; d > 0 {
		timer := e.clock.AfterFunc(d, expire("end", d))
		defer timer.Stop()
	}
	if d := t.opts.Heartbeat; d > 0 {
		timer := e.clock.AfterFunc(d, expire("heartbeat", d))
		defer timer.Stop()
		t.setBeat(timer)
		defer t.setBeat(nil)
	}
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errGoexit}
		defer func() { done <- r }()
		r.out, r.err = e.invoke(a)
	}()
	select {
	case r := <-done:
		if ended.CompareAndSwap(false, true) {
			return r.out, r.err
		}
		return nil, <-expired
	case err := <-expired:
		return nil, err
	}
}

var errGoexit = errors.New("the function called runtime.Goexit")

// invoke calls the user's function under the poison journal; a panic is an error.
func (e *Engine) invoke(a *attempt) (out []byte, err error) {
	t := a.t
	var id [12]byte
	binary.BigEndian.PutUint64(id[:], uint64(t.in.key))
	binary.BigEndian.PutUint32(id[8:], t.seq)
	slot := e.journal.Enter(poison.Activity, id[:])
	defer e.journal.Leave(slot)
	defer func() {
		if value := recover(); value != nil {
			e.log.Error("durable activity panicked", "activity", t.name, "instance", t.instance,
				"panic", value, "stack", string(debug.Stack()))
			err = &panicError{fmt.Sprintf("panicked: %v", value)}
		}
	}()
	failpoint.Hit(failpoint.ActivityStarted)
	return t.run(a, t.input)
}

// panicError is a panic of user code as a failure that may be retried.
type panicError struct{ message string }

// Error implements error.
func (p *panicError) Error() string { return p.message }

// Failure implements Failer.
func (p *panicError) Failure() *history.Failure {
	return &history.Failure{Type: PanicType, Message: p.message}
}

// outcome turns the end of an attempt into what the instance learns.
func (e *Engine) outcome(a *attempt, out []byte, err error) {
	failpoint.Hit(failpoint.ActivityRan)
	var writes *store.Txn
	if err == nil {
		if writes, err = seal(&a.unit); err == nil {
			e.complete(a.t, &a.unit, writes, out, nil)
			return
		}
	}
	a.unit.Discarded()
	e.unsuccessful(a.t, err)
}

// unsuccessful deals with the error of an attempt.
func (e *Engine) unsuccessful(t *task, err error) {
	switch {
	case errors.Is(err, ErrPending) && t.step:
		e.failedAttempt(t, errPendingStep)
	case errors.Is(err, ErrPending):
		e.await(t)
	case e.isStopping() && e.base.Err() != nil: // it was cut off by the stop, and runs again
	default:
		e.failedAttempt(t, err)
	}
}

var errPendingStep = errors.New("a step cannot be completed from outside: call an activity")

// complete hands the final answer of a task to its instance. Writes, unless nil, is
// what the sealed unit u commits with it.
func (e *Engine) complete(t *task, u *unit.Unit, writes *store.Txn, out []byte, failure *history.Failure) {
	ev := history.Event{Kind: history.ActivityCompleted, Seq: t.seq, Data: out}
	switch {
	case t.step && failure != nil:
		ev = history.Event{Kind: history.StepFailed, Seq: t.seq, Name: t.name, Failure: failure}
	case t.step:
		ev = history.Event{Kind: history.StepCompleted, Seq: t.seq, Name: t.name, Data: out}
	case failure != nil:
		ev = history.Event{Kind: history.ActivityFailed, Seq: t.seq, Failure: failure}
	}
	b := &inbound{event: ev, task: t}
	if writes != nil {
		b.unit, b.writes = u, writes
	}
	e.deliver(t.in.key, b, true)
}

// failedAttempt counts a failed attempt: another one follows after a wait, or the
// failure is final.
func (e *Engine) failedAttempt(t *task, err error) {
	failure := FailureOf(err)
	t.mu.Lock()
	t.kept.Attempts++
	t.kept.Error = failure.Message
	t.conflicts = 0
	kept, canceled := t.kept, t.canceled
	t.mu.Unlock()
	failure.Attempts = kept.Attempts
	if t.step && canceled != nil {
		failure.NonRetryable = true
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrCanceled) {
			failure.Type = canceledType
		}
	}
	if failure.NonRetryable || kept.Attempts >= max(t.opts.Attempts, 1) {
		e.complete(t, nil, nil, nil, failure)
		return
	}
	e.log.Warn("durable activity failed, trying again", slog.String("activity", t.name),
		slog.String("instance", t.instance), slog.Int("attempt", int(kept.Attempts)), slog.String("error", failure.Message))
	wait := t.opts.Backoff(kept.Attempts)
	kept.NextAt = e.now().Add(wait - time.Duration(rand.Int64N(int64(wait)/10+1)))
	e.setAside(t, kept, kept.NextAt)
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
	e.setAside(t, kept, kept.ExpiresAt)
}

// setAside stores a task that does not run now. It is looked at again at wake,
// unless that is zero.
func (e *Engine) setAside(t *task, kept records.Task, wake time.Time) {
	t.mu.Lock()
	t.kept = kept
	t.mu.Unlock()
	e.deliver(t.in.key, &inbound{control: func(in *instance, c *change) error {
		if in.tasks[t.seq] != t {
			return nil // nobody wants it any more
		}
		t.stored = true
		records.PutTask(&c.txn, in.key, t.seq, &kept)
		if !wake.IsZero() {
			c.setTimer(records.Timer{Due: wake.UnixNano(), Key: in.key, Seq: t.seq, Kind: records.TimerTask})
		}
		c.park = t
		c.mark()
		if t.step && t.canceledBy() != nil {
			// Canceled while it was on its way here: it fails as soon as it is aside.
			c.unload, c.dirty = true, true
		}
		return nil
	}}, true)
}

// taskDue goes on with a task that was set aside, or ends the wait for its
// completion from outside.
func (c *change) taskDue(due records.Timer) error {
	in := c.in
	records.DeleteTimer(&c.txn, due)
	if in.rec.State.Ended() || in.tasks[due.Seq] != nil {
		return nil
	}
	kept, err := c.e.storedTask(in.key, due.Seq)
	switch {
	case err != nil || kept == nil:
		return err
	case !kept.ExpiresAt.IsZero() && kept.ExpiresAt.UnixNano() == due.Due:
		ev := history.Event{
			Kind: history.ActivityFailed, Seq: due.Seq, Num: uint64(in.rec.Base),
			Failure: &history.Failure{Type: TimeoutType, Message: "was not completed from outside in time"},
		}
		c.message(in.key, ev)
		c.closeTask(&ev)
		c.dirty = true
	case !kept.NextAt.IsZero() && kept.NextAt.UnixNano() == due.Due:
		kept.NextAt = time.Time{}
		records.PutTask(&c.txn, in.key, due.Seq, kept)
		if t := in.parked[due.Seq]; t != nil {
			c.unpark = append(c.unpark, due.Seq)
			c.add = append(c.add, t)
		}
		c.setBusy(true) // a suspended one goes on with it when it is loaded
	}
	return nil
}

// storedTask reads what is kept of a task.
func (e *Engine) storedTask(k records.InstanceKey, seq uint32) (*records.Task, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return records.GetTask(snap, k, seq)
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
