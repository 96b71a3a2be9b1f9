package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// waitingPrefix names the instances of the waiting workload, in both of its processes.
const waitingPrefix = "waiting"

// measureWaiting lets instances wait and reads the memory that the engine then holds. A second process goes on with
// measureReady.
func measureWaiting(ctx context.Context, s *session) (row, error) {
	begin := time.Now()
	if err := s.startWaiting(ctx, waitingPrefix, s.task.N); err != nil {
		return row{}, err
	}
	total := time.Since(begin) - s.settle
	// What is garbage is not held by the waiting instances; the peak keeps it.
	debug.FreeOSMemory()
	_, current, err := sumMemory(s.engine.server())
	if err != nil {
		return row{}, err
	}
	result := s.newRow(s.task.Inflight)
	result.setTotals(s.task.N, 0, total)
	result.WaitingRSSMB = new(current)
	return result, nil
}

// readyChecks is how many waiting instances are ended, besides the first, to see that the restart has lost none.
const readyChecks = 100

// measureReady runs in the second process, after the engine has been opened on what the first left: it raises an event
// to one instance, and the engine counts as ready when that instance has ended.
func measureReady(ctx context.Context, s *session) (row, error) {
	if err := s.decideAfterRestart(ctx, s.task.N/2); err != nil {
		return row{}, err
	}
	ready := time.Since(s.task.Started)
	checks := min(readyChecks, s.task.N)
	_, _, err := each(ctx, checks, s.task.Inflight, func(ctx context.Context, i int) error {
		if i = i * s.task.N / checks; i == s.task.N/2 {
			return nil // it has ended
		}
		return s.decideAfterRestart(ctx, i)
	})
	return row{ReadySeconds: new(round(ready.Seconds(), 3))}, err
}

func (s *session) decideAfterRestart(ctx context.Context, i int) error {
	id := instanceID(waitingPrefix, i)
	if err := s.flows.raise(ctx, id, s.decision()); err != nil {
		return fmt.Errorf("raise to %s after the restart: %w", id, err)
	}
	return s.awaitDecided(ctx, id)
}
