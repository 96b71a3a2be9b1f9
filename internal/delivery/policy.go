package delivery

import (
	"math"
	"math/rand/v2"
	"time"
)

// Policy says how a function's deliveries are run. The zero value means the
// defaults.
type Policy struct {
	// Attempts is after how many failed attempts an event is given up; default
	// 5.
	Attempts int
	// Backoff is the wait before the next attempt.
	Backoff Backoff
	// Timeout bounds one run; default 5 minutes, none if negative.
	Timeout time.Duration
	// Concurrency is how many deliveries run at a time; default 64. Runs that
	// timed out and do not heed their context come on top, as many again at
	// most.
	Concurrency int
	// ProcessDeaths is after how many deaths of the process during its run an
	// event is given up; default 3.
	ProcessDeaths int
	// Rate bounds how many runs begin in a time.
	Rate Rate
	// Break pauses the function after failures in a row.
	Break Break
	// SkipDeadLetters lets a lane go on behind a dead letter, which otherwise holds
	// it.
	SkipDeadLetters bool
}

// Backoff is a wait that grows with each failed attempt. The zero value means the
// defaults.
type Backoff struct {
	// Initial is the wait after the first failure; default 1 second.
	Initial time.Duration
	// Max bounds the wait; default 5 minutes.
	Max time.Duration
	// Multiplier is by how much the wait grows; default 2, at least 1.
	Multiplier float64
}

func (p Policy) withDefaults() Policy {
	if p.Attempts <= 0 {
		p.Attempts = 5
	}
	if p.Timeout == 0 {
		p.Timeout = 5 * time.Minute
	}
	if p.Concurrency <= 0 {
		p.Concurrency = 64
	}
	p.Rate.Burst = max(p.Rate.Burst, 1)
	if p.Break.Pause <= 0 {
		p.Break.Pause = 30 * time.Second
	}
	if p.ProcessDeaths <= 0 {
		p.ProcessDeaths = 3
	}
	p.Backoff = p.Backoff.withDefaults()
	return p
}

func (b Backoff) withDefaults() Backoff {
	if b.Initial <= 0 {
		b.Initial = time.Second
	}
	if b.Max <= 0 {
		b.Max = 5 * time.Minute
	}
	if b.Multiplier == 0 {
		b.Multiplier = 2
	}
	b.Multiplier = max(b.Multiplier, 1)
	return b
}

// delay returns the wait after the given number of failed attempts: a random time
// between half of what the policy says and all of it, so that what failed
// together does not come back together.
func (b Backoff) delay(failed int) time.Duration {
	full := min(float64(b.Initial)*math.Pow(b.Multiplier, float64(failed-1)), float64(b.Max))
	return jitter(time.Duration(full))
}

func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }
