package windows

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/window"
)

// errGoexit: the user's function left its goroutine.
var errGoexit = errors.New("perdure: function called runtime.Goexit")

// resultError is that the user's function failed.
type resultError struct{ error }

func (e resultError) Unwrap() error { return e.error }

// work is what a unit does with up to limit windows. If cause is not nil, the user's
// function has failed for their results and is not called.
type work func(ctx context.Context, limit int, cause error) error

// attempt runs a unit of work over up to limit windows. When the user's function fails,
// the next attempt is with one, to find out for which; that one's result goes to
// Failures. A unit that keeps conflicting is made smaller. It returns the limit of the next
// attempt.
func (f *Function[T, K, A]) attempt(ctx context.Context, do work, limit int) (int, error) {
	err := f.inUnit(ctx, do, limit, nil)
	failed := errors.As(err, new(resultError)) || errors.Is(err, unit.ErrTooLarge)
	switch {
	case err == nil:
		return perUnit, nil
	case ctx.Err() != nil:
		return 0, err
	case failed && limit > 1:
		return 1, nil
	case failed && f.Failures != nil:
		f.Log.Warn("a function failed for the result of a window", "error", err)
		return perUnit, f.inUnit(ctx, do, 1, err)
	case errors.Is(err, unit.ErrConflict) && limit > 1:
		return max(limit/8, 1), nil
	default:
		return 0, err
	}
}

// inUnit runs work in a unit, on a goroutine that user code may leave.
func (f *Function[T, K, A]) inUnit(ctx context.Context, do work, limit int, cause error) error {
	err := error(resultError{errGoexit})
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = unit.Run(ctx, f.Env, f.Committer, conflicts, func(ctx context.Context) error { return do(ctx, limit, cause) })
	}()
	<-done
	return err
}

// closeDue takes up to limit windows that are due: those that are complete have their
// result, and those that are forgotten are removed.
func (f *Function[T, K, A]) closeDue(ctx context.Context, limit int, cause error) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	p, err := records.PeekWindowProgress(u, f.Name)
	if err != nil || p == nil {
		return err
	}
	due, err := f.first(u, records.ScanWindowsDue, f.done.due, p.Closed, limit)
	if err != nil {
		return err
	}
	plan := newPlan(f, u, p.Closed)
	for _, d := range due { // all that is read is read before the first write
		if d.Free {
			err = plan.free(d)
		} else {
			err = plan.fire(d, true)
		}
		if err != nil {
			return err
		}
	}
	return plan.carryOut(ctx, cause, func() error {
		for _, d := range due {
			if err := records.TakeWindowDue(u, f.Name, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// showSoon has up to limit windows show what they hold so far.
func (f *Function[T, K, A]) showSoon(ctx context.Context, limit int, cause error) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	p, err := records.PeekWindowProgress(u, f.Name)
	if err != nil || p == nil {
		return err
	}
	soon, err := f.first(u, records.ScanWindowsSoon, f.done.soon, f.Clock.Now().UnixNano(), limit)
	if err != nil {
		return err
	}
	plan := newPlan(f, u, p.Closed)
	for _, d := range soon {
		if err := plan.fire(d, false); err != nil {
			return err
		}
	}
	return plan.carryOut(ctx, cause, func() error {
		for _, d := range soon {
			if err := records.TakeWindowSoon(u, f.Name, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// scan is how windows that are due are found.
type scan func(s records.Scanner, function string, from int64, visit func(records.WindowDue) bool) error

// first returns up to limit windows that are due between two times.
func (f *Function[T, K, A]) first(u *unit.Unit, of scan, from, until int64, limit int) ([]records.WindowDue, error) {
	var due []records.WindowDue
	err := of(u, f.Name, from, func(d records.WindowDue) bool {
		if d.At > until {
			return false
		}
		due = append(due, d)
		return len(due) < limit
	})
	return due, err
}

// maxCalls is how many calls of the user's function there are at a time: one, and those
// that were given up and go on. When there are so many, no window is closed.
const maxCalls = 16

// call calls the user's function and waits for it, as long as it may take.
func (f *Function[T, K, A]) call(ctx context.Context, r window.Result[K, A]) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	select {
	case f.calls <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if f.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Timeout)
		defer cancel()
	}
	ended := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if v := recover(); v != nil {
				f.Log.Error("a function panicked", "panic", v, "stack", string(debug.Stack()))
				err = fmt.Errorf("panic: %v", v)
			}
			<-f.calls
			ended <- err
		}()
		err = f.Handle(ctx, r)
	}()
	select {
	case err = <-ended:
		if err == nil {
			err = context.Cause(ctx)
		}
	case <-ctx.Done():
		// The unit is closed before anyone can see that the call is over: whatever the
		// function still does, it cannot commit.
		u.Discarded()
		err = context.Cause(ctx)
	}
	if err != nil {
		return resultError{err}
	}
	return nil
}
