// Package clock is time as a dependency: whoever waits takes a Clock, so that a
// test decides when time passes instead of sleeping.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and calls back later. It is safe for concurrent use.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// NewTimer returns a timer that sends the time on its channel once, after
	// at least d.
	NewTimer(d time.Duration) Timer
	// AfterFunc returns a timer that calls f once, after at least d. Its C is
	// nil. F must not block.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a single event in the future, with the meaning of time.Timer: after
// Stop or Reset has returned, no value of the earlier setting is received from C.
type Timer interface {
	// C returns the channel of a timer made by NewTimer.
	C() <-chan time.Time
	// Stop prevents the timer from firing. It reports whether it did.
	Stop() bool
	// Reset makes the timer fire after d from now. It reports whether the timer
	// had been set.
	Reset(d time.Duration) bool
}

// System returns the machine's clock.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time                 { return time.Now() }
func (system) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }
func (system) AfterFunc(d time.Duration, f func()) Timer {
	return systemTimer{time.AfterFunc(d, f)}
}

type systemTimer struct{ *time.Timer }

func (t systemTimer) C() <-chan time.Time { return t.Timer.C }

type contextKey struct{}

// With returns a context by which From finds c: how a test kit gives an app its time.
func With(ctx context.Context, c Clock) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns the clock that ctx carries, the system's when it carries none.
func From(ctx context.Context) Clock {
	if c, ok := ctx.Value(contextKey{}).(Clock); ok {
		return c
	}
	return System()
}
