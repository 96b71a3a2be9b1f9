// Package delivery runs event functions: it keeps each event for each function
// that it triggers until that function has handled it, and gives it up, as a dead
// letter, when the function cannot.
//
// An event is published as part of a unit of work and becomes one stored delivery
// for each function. Each run of a function is a unit of work of its own, whose
// commit removes the delivery together with all that the function wrote: either
// both happen or neither. A run that fails, times out or panics is tried again
// after a while; how often and when is stored with the delivery, so that a restart
// keeps it.
//
// The store holds what is to be done. Memory holds only where the next few
// deliveries of each function are stored, and learns of new ones from the commits
// that made them, so nothing is polled.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// The nouns of this package are records.
type (
	// Delivery is an event that a function has to handle.
	Delivery = records.Delivery
	// DeadLetter is an event that was given up.
	DeadLetter = records.DeadLetter
	// ID names a delivery, also after it became a dead letter.
	ID = records.DeliveryID
)

// The errors of this package.
var (
	// ErrNoDeadLetter: there is no dead letter of that function with that id.
	ErrNoDeadLetter = errors.New("perdure: no such dead letter")
	// ErrTimeout is the cause with which the context of a run that takes too
	// long is canceled, and the failure that is noted.
	ErrTimeout = errors.New("perdure: function ran out of time")
	// ErrStopping is the cause with which contexts are canceled when the
	// dispatcher stops and does not wait any more.
	ErrStopping = errors.New("perdure: stopping")
	// ErrBadFunction: a function cannot be registered. The text says why.
	ErrBadFunction = errors.New("perdure: function cannot be registered")
	// ErrNameTaken: another function has the name.
	ErrNameTaken = fmt.Errorf("%w: the name is taken", ErrBadFunction)
)

// Function is an event function.
type Function struct {
	// Name names the function in the store; it is unique and must not change.
	Name string
	// Topics are what it is triggered by.
	Topics []string
	// Accepts, unless nil, chooses among the events of its topics. It must be
	// quick and depend on nothing but the event.
	Accepts func(topic string, event []byte) bool
	// Policy says how it is run.
	Policy Policy
	// Handle handles one delivery in the unit of work of ctx. ctx is canceled
	// when the run takes too long or is cut short.
	Handle func(ctx context.Context, d *Delivery) error
}

// Config is what a dispatcher is made of.
type Config struct {
	// Env makes the units in which functions run.
	Env *unit.Env
	// Committer commits them.
	Committer unit.Committer
	// Clock is when retries are due and runs time out. Default: the system's.
	Clock clock.Clock
	// Journal notes what is running. Default: one in memory, which does not
	// outlive the process.
	Journal *poison.Journal
	// Log gets what an operator should know. Default: slog.Default().
	Log *slog.Logger
	// OnDeadLetter, unless nil, is called once after an event was given up,
	// unless the process dies in between. It must return soon.
	OnDeadLetter func(DeadLetter)
	// Alert, unless empty, names a function that gets an Alert as a delivery for
	// each dead letter but its own, in the commit that makes it.
	Alert string
	// Telemetry is told of each run and dead letter. Nil tells nobody.
	Telemetry *telemetry.Telemetry
	// MaxRunning bounds the runs at a time of all functions; default 1024.
	MaxRunning int
	// Window is how many deliveries of a function memory knows of, at most;
	// default 4096.
	Window int
	// SweepEvery is how often the store is searched for deliveries whose
	// commit was not heard of; default one minute.
	SweepEvery time.Duration
}

// AlertTopic is the topic of alerts.
const AlertTopic = "dead-letter"

// Alert tells of a dead letter. It does not show the event.
type Alert struct {
	Function string `json:"function"`
	// ID names the dead letter among those of its function.
	ID     string    `json:"id"`
	Cause  string    `json:"cause"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

func (c Config) withDefaults() (Config, error) {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.Journal == nil {
		var err error
		if c.Journal, err = poison.Open(""); err != nil {
			return c, err
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.MaxRunning <= 0 {
		c.MaxRunning = 1024
	}
	if c.Window <= 0 {
		c.Window = 4096
	}
	if c.SweepEvery <= 0 {
		c.SweepEvery = time.Minute
	}
	return c, nil
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error as one that trying again does not help against: the
// event becomes a dead letter at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err was marked with Permanent.
func IsPermanent(err error) bool { return errors.As(err, new(permanentError)) }

// PanicError is the failure of a function that panicked.
type PanicError struct {
	// Value is what it panicked with.
	Value any
	// Stack is where, as debug.Stack prints it.
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }
