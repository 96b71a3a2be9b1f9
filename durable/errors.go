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

// The errors of this package. Compare with errors.Is; the package documentation
// lists the situations.
var (
	// ErrTimeout: what was waited for did not come in time. It matches
	// context.DeadlineExceeded, too.
	ErrTimeout error = &Error{Code: engine.TimeoutType, Message: "timed out"}
	// ErrCanceled: the instance, or the call, was canceled. It matches
	// context.Canceled, too.
	ErrCanceled error = &Error{Code: replay.CanceledType, Message: "canceled"}
	// ErrNotFound: there is no instance with this id.
	ErrNotFound = engine.ErrNotFound
	// ErrExists: the id is taken by an instance that was started differently.
	ErrExists = engine.ErrExists
	// ErrEnded: the instance has ended and takes nothing any more.
	ErrEnded = engine.ErrEnded
	// ErrNotEnded: only an instance that has ended can be purged.
	ErrNotEnded = engine.ErrNotEnded
	// ErrNotRegistered: no implementation was added to the app.
	ErrNotRegistered = engine.ErrNotRegistered
	// ErrInvalid: an argument is malformed or too large.
	ErrInvalid = engine.ErrInvalid
	// ErrStopped: the app is stopping or has stopped.
	ErrStopped = engine.ErrStopped
	// ErrToken: no activity waits to be completed with this token.
	ErrToken = engine.ErrToken
	// ErrPending, returned by an activity, leaves the call open: whoever holds
	// its token completes it (Client.Complete).
	ErrPending = engine.ErrPending
	// ErrNoUnit: the context carries no unit of work.
	ErrNoUnit = unit.ErrNoUnit
	// ErrUnitClosed: the unit of work has ended.
	ErrUnitClosed = unit.ErrUnitClosed
	// ErrInsideUnit: the call would wait for what cannot exist before the
	// unit of work it is made in has committed.
	ErrInsideUnit = unit.ErrInsideUnit
)

// Error is a failure with a code that survives storage: the error an activity
// returned arrives at its orchestration as an *Error with the same code.
type Error struct {
	// Code tells kinds of errors apart; empty for errors without one.
	Code string
	// Message is for people.
	Message string
	// Final ends retries at once.
	Final bool
	// Attempts is how often the call was made.
	Attempts int
}

// NewError returns an error with a code.
func NewError(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string {
	if e.Attempts > 1 {
		return fmt.Sprintf("%s (%d attempts)", e.Message, e.Attempts)
	}
	return e.Message
}

// Is reports whether target is an *Error with the same, non-empty code.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == engine.TimeoutType
	case context.Canceled:
		return e.Code == replay.CanceledType
	}
	t, ok := target.(*Error)
	return ok && t.Code != "" && t.Code == e.Code
}

// Failure returns how the error is kept in history.
func (e *Error) Failure() *history.Failure {
	return &history.Failure{Type: e.Code, Message: e.Message, NonRetryable: e.Final, Attempts: uint32(max(e.Attempts, 0))}
}

// Final returns err so that it is not retried. Its code, if it has one, is kept.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &final{err}
}

type final struct{ err error }

func (f *final) Error() string { return f.err.Error() }
func (f *final) Unwrap() error { return f.err }

// Failure implements engine.Failer.
func (f *final) Failure() *history.Failure {
	failure := &history.Failure{Message: f.err.Error()}
	var e *Error
	if errors.As(f.err, &e) {
		failure.Type = e.Code
	}
	failure.NonRetryable = true
	return failure
}

// asError returns the error that a failure stands for.
func asError(f *history.Failure) error {
	if f == nil {
		return nil
	}
	return &Error{Code: f.Type, Message: f.Message, Final: f.NonRetryable, Attempts: int(f.Attempts)}
}
