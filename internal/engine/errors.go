package engine

import (
	"errors"

	"github.com/perdure/perdure/internal/history"
)

// The errors the engine answers. Package durable exports them again, with the
// situations they stand for.
var (
	ErrNotFound            = errors.New("durable: no such instance")
	ErrExists              = errors.New("durable: instance exists already")
	ErrEnded               = errors.New("durable: instance has ended")
	ErrNotEnded            = errors.New("durable: instance has not ended")
	ErrNotRegistered       = errors.New("durable: not registered")
	ErrInvalid             = errors.New("durable: invalid argument")
	ErrStopped             = errors.New("durable: engine is stopped")
	ErrTimeout       error = coded{TimeoutType, "durable: timed out"}
	ErrCanceled      error = coded{canceledType, "durable: canceled"}
	ErrToken               = errors.New("durable: no activity waits for this token")
	// ErrPending, returned by an activity, says that it will be completed from
	// outside.
	ErrPending = errors.New("durable: activity will be completed from outside")
)

// The types of failures that the engine itself makes.
const (
	TimeoutType       = "timeout"
	PanicType         = "panic"
	TerminatedType    = "terminated"
	NotRegisteredType = "not registered"
	ExistsType        = "exists"
	DeathsType        = "process deaths"
	InvalidType       = "invalid"
)

// coded is an error that equals every other one that history keeps under the same
// type.
type coded struct{ code, message string }

// Failure implements Failer.
func (c coded) Failure() *history.Failure { return &history.Failure{Type: c.code} }

// Error implements error.
func (c coded) Error() string { return c.message }

// Is implements errors.Is.
func (c coded) Is(target error) bool {
	f, ok := target.(Failer)
	return ok && f.Failure().Type == c.code
}
