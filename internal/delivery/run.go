package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// maxConflicts is how often a run that conflicted is run again before that counts
// as a failed attempt.
const maxConflicts = 20

// errGoexit: the handler's goroutine ended without returning.
var errGoexit = errors.New("perdure: function called runtime.Goexit")

// result is how a run ended.
type result struct {
	kind    kind
	outcome outcome
	at      ref   // again: where the delivery is stored now
	err     error // storeFailed, failed: why

	// Of a lane:
	held    bool // its first one is a dead letter, or cannot be run at all
	next    ref  // the one behind that which was run
	hasNext bool
}

type kind int

const (
	done        kind = iota // the delivery is handled, given up or gone
	blocked                 // the first one of its lane waits or is a dead letter
	again                   // it is stored elsewhere, to be run again
	suspect                 // it must be run alone
	storeFailed             // nothing is known to have changed
	cutShort                // by Stop; nothing has changed
	conflicted              // the unit did not commit; inside run only
	failed                  // by the function's fault; inside run only
)

// run runs a delivery until it is handled, or has failed.
func (d *Dispatcher) run(f *function, r *run) result {
	res := d.tries(f, r)
	res.next, res.hasNext = r.next, r.hasNext
	return res
}

func (d *Dispatcher) tries(f *function, r *run) result {
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
	if r.at.Lane != 0 {
		first, err := d.lookUpLane(f, r)
		switch {
		case err != nil:
			return discard(u, result{kind: storeFailed, err: err})
		case first.Ref.ID == ID{}:
			return discard(u, result{kind: done})
		case first.Dead:
			return discard(u, result{kind: blocked, held: true})
		case first.Ref.Due > d.clock.Now().UnixNano():
			return discard(u, result{kind: blocked, at: first.Ref})
		}
	}
	delivery, err := records.GetDelivery(u, f.Name, r.head)
	switch {
	case errors.Is(err, records.ErrUnreadableDelivery):
		d.logUnreadable(f, r, err)
		return discard(u, result{kind: done, held: true})
	case err != nil:
		return discard(u, result{kind: storeFailed, err: err})
	case delivery == nil:
		return discard(u, result{kind: done})
	case delivery.ProcessDeaths > 0 && r.release == nil:
		return discard(u, result{kind: suspect, held: true})
	}
	// Before the function's own writes, so that these cannot leave it no room.
	if err := records.DeleteDelivery(u, delivery); err != nil {
		return discard(u, result{kind: storeFailed, err: err})
	}
	err = d.call(f, u, delivery)
	switch {
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrOutcomeUnknown):
		return discard(u, result{kind: storeFailed, err: err})
	case err != nil:
		return discard(u, result{kind: failed, err: err})
	}
	return d.commit(u)
}

// discard ends a unit that is known not to commit.
func discard(u *unit.Unit, res result) result {
	u.Discarded()
	return res
}

func (d *Dispatcher) commit(u *unit.Unit) result {
	var txn store.Txn
	if err := u.Seal(&txn); err != nil {
		return discard(u, result{kind: failed, err: err})
	}
	switch err := d.committer.Commit(context.WithoutCancel(d.base), &txn); {
	case err == nil:
		u.Committed()
		return result{kind: done, outcome: succeeded}
	case errors.Is(err, store.ErrConflict):
		return discard(u, result{kind: conflicted, err: err})
	case errors.Is(err, store.ErrMalformed):
		return discard(u, result{kind: failed, err: err})
	case errors.Is(err, store.ErrLeaseLost):
		return discard(u, result{kind: storeFailed, err: err})
	default:
		// The outcome may be unknown: what was staged is left to the collector.
		// If the unit committed, the next run finds no delivery.
		return result{kind: storeFailed, err: err}
	}
}

// call runs the function's code and waits for it, as long as it may take.
func (d *Dispatcher) call(f *function, u *unit.Unit, delivery *Delivery) (failure error) {
	lease := NewLease(d.clock, f.policy.Timeout)
	defer lease.End()
	traced, end := d.telemetry.Begin(d.base, telemetry.Function, f.Name, delivery.Headers,
		attribute.String("messaging.message.id", delivery.ID.String()), attribute.Int("perdure.attempt", delivery.Attempts+1))
	defer func() { end(failure) }()
	ctx, cancel := context.WithCancelCause(WithLease(unit.With(traced, u), lease))
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

	var cut error
	select {
	case err := <-ended:
		cancel(nil)
		return err
	case <-lease.Expired():
		cut = fmt.Errorf("%w after %v", ErrTimeout, lease.Length())
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
		delivery, err := records.GetDelivery(u, f.Name, r.head)
		if err != nil || delivery == nil {
			return err
		}
		if letter = f.failed(delivery, d.clock.Now(), cause); letter != nil {
			return d.bury(u, f, letter)
		}
		next = delivery
		return records.MoveDelivery(u, next, r.head)
	})
	outcome := broke
	if IsPermanent(cause) {
		outcome = refused
	}
	switch {
	case errors.Is(err, records.ErrUnreadableDelivery):
		d.logUnreadable(f, r, err)
		return result{kind: done, held: true}
	case err != nil:
		return result{kind: storeFailed, err: err}
	case letter != nil:
		d.logFailure(&letter.Delivery, cause)
		d.mourn(letter)
		return result{kind: done, outcome: outcome, held: !f.policy.SkipDeadLetters}
	case next != nil:
		d.logFailure(next, cause)
		return result{kind: again, outcome: outcome, at: next.Ref()}
	}
	return result{kind: done, outcome: outcome}
}

// failed notes on a delivery that an attempt failed at now: it waits for its next
// attempt then, unless it is given up, as the dead letter that is returned.
func (f *function) failed(delivery *Delivery, now time.Time, cause error) *DeadLetter {
	delivery.Attempts++
	delivery.Fail(now, cause.Error())
	switch {
	case IsPermanent(cause):
		return &DeadLetter{Delivery: *delivery, Cause: records.PermanentError, Reason: cause.Error(), DeadAt: now}
	case delivery.Attempts >= f.policy.Attempts:
		reason := fmt.Sprintf("%d attempts failed, the last one: %s", delivery.Attempts, cause)
		return &DeadLetter{Delivery: *delivery, Cause: records.AttemptsExhausted, Reason: reason, DeadAt: now}
	}
	delivery.NextAttempt = now.Add(f.policy.Backoff.delay(delivery.Attempts))
	return nil
}

func (d *Dispatcher) logFailure(delivery *Delivery, cause error) {
	args := []any{"function", delivery.Function, "id", delivery.ID, "topic", delivery.Topic, "attempt", delivery.Attempts, "error", cause}
	if p := (*PanicError)(nil); errors.As(cause, &p) {
		args = append(args, "stack", string(p.Stack))
	}
	d.log.Warn("event function failed", args...)
}

func (d *Dispatcher) logUnreadable(f *function, r *run, err error) {
	d.log.Error("a delivery cannot be read and stays stored", "function", f.Name, "id", r.head.ID, "error", err)
}

// bury replaces the delivery, as it was read in u, by a dead letter.
func (d *Dispatcher) bury(u *unit.Unit, f *function, letter *DeadLetter) error {
	if err := records.DeleteDelivery(u, &letter.Delivery); err != nil {
		return err
	}
	return d.putDeadLetter(u, letter, !f.policy.SkipDeadLetters)
}

// putDeadLetter adds a dead letter to u, and the delivery that tells of it.
func (d *Dispatcher) putDeadLetter(u *unit.Unit, letter *DeadLetter, hold bool) error {
	if err := records.PutDeadLetter(u, letter, hold); err != nil {
		return err
	}
	if d.alert == "" || letter.Function == d.alert {
		return nil
	}
	event, err := json.Marshal(Alert{
		Function: letter.Function, ID: letter.ID.String(), Cause: letter.Cause.String(), Reason: letter.Reason, Time: letter.DeadAt,
	})
	if err != nil {
		return err
	}
	return d.Deliver(u, &Delivery{Function: d.alert, Topic: AlertTopic, Event: event})
}

// mourn tells of a dead letter that was committed.
func (d *Dispatcher) mourn(letter *DeadLetter) {
	d.log.Warn("event became a dead letter", "function", letter.Function, "id", letter.ID, "topic", letter.Topic,
		"cause", letter.Cause, "attempts", letter.Attempts, "process_deaths", letter.ProcessDeaths)
	d.telemetry.DeadLetter(letter.Function, letter.Cause.String())
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
