package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// maxConflicts is how often a run that conflicted is run again before that counts
// as a failed attempt.
const maxConflicts = 20

// errGoexit: the handler's goroutine ended without returning.
var errGoexit = errors.New("perdure: function called runtime.Goexit")

// result is how a run ended.
type result struct {
	kind kind
	at   ref   // again: where the delivery is stored now
	err  error // storeFailed, failed: why
}

type kind int

const (
	done        kind = iota // the delivery is handled, given up or gone
	again                   // it is stored elsewhere, to be run again
	suspect                 // it must be run alone
	storeFailed             // nothing is known to have changed
	cutShort                // by Stop; nothing has changed
	conflicted              // the unit did not commit; inside run only
	failed                  // by the function's fault; inside run only
)

// run runs a delivery until it is handled, or has failed.
func (d *Dispatcher) run(f *function, r *run) result {
	for conflicts := 1; ; conflicts++ {
		res := d.attempt(f, r)
		if res.kind == conflicted {
			if conflicts <= maxConflicts && d.wait(jitter(time.Millisecond<<min(conflicts, 7))) {
				continue
			}
			res = result{kind: failed, err: fmt.Errorf("%w: %d runs", unit.ErrConflict, conflicts)}
		}
		if d.base.Err() != nil && (res.kind == failed || res.kind == storeFailed) {
			return result{kind: cutShort}
		}
		if res.kind == failed {
			return d.fail(f, r, res.err)
		}
		return res
	}
}

// wait waits, unless the dispatcher stops.
func (d *Dispatcher) wait(wait time.Duration) bool {
	timer := d.clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-d.base.Done():
		return false
	}
}

// attempt runs the function once, in a unit that removes the delivery, and
// commits it.
func (d *Dispatcher) attempt(f *function, r *run) result {
	u := unit.New(d.env)
	delivery, err := records.GetDelivery(u, f.Name, r.at)
	switch {
	case errors.Is(err, records.ErrUnreadableDelivery):
		d.logUnreadable(f, r, err)
		return discard(u, done, nil)
	case err != nil:
		return discard(u, storeFailed, err)
	case delivery == nil:
		return discard(u, done, nil)
	case delivery.ProcessDeaths > 0 && r.release == nil:
		return discard(u, suspect, nil)
	}
	// Before the function's own writes, so that these cannot leave it no room.
	if err := records.DeleteDelivery(u, f.Name, r.at); err != nil {
		return discard(u, storeFailed, err)
	}
	err = d.call(f, u, delivery)
	switch {
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrOutcomeUnknown):
		return discard(u, storeFailed, err)
	case err != nil:
		return discard(u, failed, err)
	}
	return d.commit(u)
}

// discard ends a unit that is known not to commit.
func discard(u *unit.Unit, k kind, err error) result {
	u.Discarded()
	return result{kind: k, err: err}
}

func (d *Dispatcher) commit(u *unit.Unit) result {
	var txn store.Txn
	if err := u.Seal(&txn); err != nil {
		return discard(u, failed, err)
	}
	switch err := d.committer.Commit(context.WithoutCancel(d.base), &txn); {
	case err == nil:
		u.Committed()
		return result{kind: done}
	case errors.Is(err, store.ErrConflict):
		return discard(u, conflicted, err)
	case errors.Is(err, store.ErrMalformed):
		return discard(u, failed, err)
	case errors.Is(err, store.ErrLeaseLost):
		return discard(u, storeFailed, err)
	default:
		// The outcome may be unknown: what was staged is left to the collector.
		// If the unit committed, the next run finds no delivery.
		return result{kind: storeFailed, err: err}
	}
}

// call runs the function's code and waits for it, as long as it may take.
func (d *Dispatcher) call(f *function, u *unit.Unit, delivery *Delivery) error {
	ctx, cancel := context.WithCancelCause(unit.With(d.base, u))
	ended := make(chan error, 1)
	go func() {
		slot := d.journal.Enter(poison.Delivery, journalID(f.Name, delivery.Ref()))
		err := errGoexit
		defer func() {
			d.journal.Leave(slot)
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
			ended <- err
		}()
		failpoint.Hit(failpoint.DeliveryStarted)
		err = f.Handle(ctx, delivery)
		failpoint.Hit(failpoint.DeliveryRan)
	}()

	var late <-chan time.Time
	if f.policy.Timeout > 0 {
		timer := d.clock.NewTimer(f.policy.Timeout)
		defer timer.Stop()
		late = timer.C()
	}
	var cut error
	select {
	case err := <-ended:
		cancel(nil)
		return err
	case <-late:
		cut = fmt.Errorf("%w after %v", ErrTimeout, f.policy.Timeout)
	case <-d.base.Done():
		cut = ErrStopping
	}
	// The unit is closed before anyone can see that the run is over: whatever
	// the function still does, it cannot commit.
	u.Discarded()
	cancel(cut)
	d.abandon(f, ended)
	return cut
}

// abandon counts a run that was given up until its code returns.
func (d *Dispatcher) abandon(f *function, ended <-chan error) {
	d.mu.Lock()
	f.abandoned++
	d.mu.Unlock()
	go func() {
		<-ended
		d.mu.Lock()
		defer d.mu.Unlock()
		f.abandoned--
		d.schedule()
	}()
}

// fail stores that a run failed: the delivery waits for its next attempt, or
// becomes a dead letter.
func (d *Dispatcher) fail(f *function, r *run, cause error) result {
	var (
		next   *Delivery
		letter *DeadLetter
	)
	err := unit.Run(context.WithoutCancel(d.base), d.env, d.committer, maxConflicts, func(ctx context.Context) error {
		next, letter = nil, nil
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		delivery, err := records.GetDelivery(u, f.Name, r.at)
		if err != nil || delivery == nil {
			return err
		}
		now := d.clock.Now()
		delivery.Attempts++
		delivery.Fail(now, cause.Error())
		switch {
		case IsPermanent(cause):
			letter = &DeadLetter{Delivery: *delivery, Cause: records.PermanentError, Reason: cause.Error(), DeadAt: now}
		case delivery.Attempts >= f.policy.Attempts:
			reason := fmt.Sprintf("%d attempts failed, the last one: %s", delivery.Attempts, cause)
			letter = &DeadLetter{Delivery: *delivery, Cause: records.AttemptsExhausted, Reason: reason, DeadAt: now}
		default:
			next = delivery
			next.NextAttempt = now.Add(f.policy.Backoff.delay(next.Attempts))
			if err := records.DeleteDelivery(u, f.Name, r.at); err != nil {
				return err
			}
			return records.PutDelivery(u, next)
		}
		return bury(u, r.at, letter)
	})
	switch {
	case errors.Is(err, records.ErrUnreadableDelivery):
		d.logUnreadable(f, r, err)
		return result{kind: done}
	case err != nil:
		return result{kind: storeFailed, err: err}
	case letter != nil:
		d.logFailure(&letter.Delivery, cause)
		d.mourn(letter)
		return result{kind: done}
	case next != nil:
		d.logFailure(next, cause)
		return result{kind: again, at: next.Ref()}
	}
	return result{kind: done}
}

func (d *Dispatcher) logFailure(delivery *Delivery, cause error) {
	args := []any{"function", delivery.Function, "id", delivery.ID, "topic", delivery.Topic, "attempt", delivery.Attempts, "error", cause}
	if p := (*PanicError)(nil); errors.As(cause, &p) {
		args = append(args, "stack", string(p.Stack))
	}
	d.log.Warn("event function failed", args...)
}

func (d *Dispatcher) logUnreadable(f *function, r *run, err error) {
	d.log.Error("a delivery cannot be read and stays stored", "function", f.Name, "id", r.at.ID, "error", err)
}

// bury replaces the delivery at at by a dead letter.
func bury(u *unit.Unit, at ref, letter *DeadLetter) error {
	if err := records.DeleteDelivery(u, letter.Function, at); err != nil {
		return err
	}
	return records.PutDeadLetter(u, letter)
}

// mourn tells of a dead letter that was committed.
func (d *Dispatcher) mourn(letter *DeadLetter) {
	d.log.Warn("event became a dead letter", "function", letter.Function, "id", letter.ID, "topic", letter.Topic,
		"cause", letter.Cause, "attempts", letter.Attempts, "process_deaths", letter.ProcessDeaths)
	if d.onDeadLetter == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			d.log.Error("the hook for dead letters panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	d.onDeadLetter(*letter)
}
