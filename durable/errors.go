package durable

import (
	"context"
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

	call string // what failed, for people
}

// NewError returns an error with a code.
func NewError(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error names the call that failed, if one did, and says how often it was made if
// that was more than once.
func (e *Error) Error() string {
	text := e.Message
	if e.call != "" {
		text = e.call + ": " + text
	}
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts)", e.Attempts)
	}
	return text
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
	return &history.Failure{Type: e.Code, Message: e.Message, NonRetryable: e.Final}
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
	failure := engine.FailureOf(f.err)
	failure.NonRetryable = true
	return failure
}

// asError returns the error that the failure of a call stands for.
func asError(call string, f *history.Failure) error {
	if f == nil {
		return nil
	}
	return &Error{Code: f.Type, Message: f.Message, Final: f.NonRetryable, Attempts: int(f.Attempts), call: call}
}

// decodeError is the failure of a value that does not fit its type.
func decodeError(what string, err error) *Error {
	return &Error{Code: DecodeCode, Message: fmt.Sprintf("%s: %v", what, err), Final: true}
}

// DecodeCode is the code of an error that says that a stored value does not fit the
// type that the program has for it now.
const DecodeCode = "decode"
