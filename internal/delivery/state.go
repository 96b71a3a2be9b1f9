package delivery

import (
	"time"

	"github.com/perdure/perdure/internal/records"
)

// State is what an operator should know of a function.
type State struct {
	Function string
	// Running is how many runs are under way, Abandoned how many go on after they
	// were given up.
	Running, Abandoned int
	// Depth is how many deliveries are stored, without dead letters.
	Depth int64
	// Oldest is since when the oldest of those that may be handled waits; zero
	// without one.
	Oldest time.Time
	// HeldLanes is how many lanes a dead letter holds.
	HeldLanes   int64
	DeadLetters int64
	// Failures counts those in a row that may lead to a pause; PausedUntil is when the
	// present one ends, zero without one.
	Failures    int
	PausedUntil time.Time
}

// States returns the states of all functions, in the order of their registration.
func (d *Dispatcher) States() ([]State, error) {
	now := d.clock.Now()
	d.mu.Lock()
	states := make([]State, 0, len(d.functions))
	for _, f := range d.functions {
		s := State{Function: f.Name, Running: len(f.running), Abandoned: f.abandoned, Failures: f.breaker.failures}
		if f.breaker.until.After(now) {
			s.PausedUntil = f.breaker.until
		}
		states = append(states, s)
	}
	d.mu.Unlock()

	snap, err := d.env.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	for i := range states {
		s := &states[i]
		if s.Depth, err = records.Depth(snap, s.Function); err != nil {
			return nil, err
		}
		if s.HeldLanes, err = records.HeldLanes(snap, s.Function); err != nil {
			return nil, err
		}
		if s.Oldest, err = records.Oldest(snap, s.Function, now); err != nil {
			return nil, err
		}
		counts, err := records.CountDeadLetters(snap, s.Function)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			s.DeadLetters += c.Count
		}
	}
	return states, nil
}
