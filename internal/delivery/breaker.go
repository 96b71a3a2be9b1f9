package delivery

import "time"

// Break pauses a function that fails again and again, since what it depends on seems to
// be down: attempts then would only be used up. The zero value never pauses.
type Break struct {
	// After is how many failures in a row begin a pause. Errors marked as
	// permanent do not count: they speak of the event.
	After int
	// Pause is how long it lasts; default 30 seconds. Then one event is tried; its
	// failure begins the next pause.
	Pause time.Duration
}

// outcome is what the run of a function says of the function.
type outcome int

const (
	notRun    outcome = iota // nothing: it was not called, or not by its fault cut off
	succeeded                // it works
	refused                  // it said that the event is at fault
	broke                    // it failed
)

// breaker counts failures and pauses its function.
type breaker struct {
	policy   Break
	failures int       // in a row
	until    time.Time // when the pause ends; zero when the function is not suspected
	trial    bool      // the run after the pause is under way
}

// blocked reports whether no run may begin, and until when, if that is known.
func (b *breaker) blocked(now time.Time) (until time.Time, blocked bool) {
	switch {
	case b.until.IsZero():
		return time.Time{}, false
	case b.until.After(now):
		return b.until, true
	}
	return time.Time{}, b.trial
}

// started notes that a run begins.
func (b *breaker) started() { b.trial = !b.until.IsZero() }

// change is what a run changed.
type change int

const (
	unchanged change = iota
	opened           // the function pauses now
	closed           // it does not any more
)

// ended notes that a run has ended.
func (b *breaker) ended(o outcome, now time.Time) change {
	if b.policy.After <= 0 {
		return unchanged
	}
	wasTrial := b.trial
	switch o {
	case notRun, refused:
		b.trial = false
		return unchanged
	case succeeded:
		paused := !b.until.IsZero()
		b.failures, b.until, b.trial = 0, time.Time{}, false
		if paused {
			return closed
		}
		return unchanged
	}
	b.failures++
	open := !b.until.IsZero()
	if open && !wasTrial { // it began before the pause
		return unchanged
	}
	if b.failures < b.policy.After {
		return unchanged
	}
	b.until, b.trial = now.Add(b.policy.Pause), false
	return opened
}
