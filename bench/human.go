package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	humanWarmUp = 10
	settleTime  = time.Second
	// humanMostRounds is small, because each round settles.
	humanMostRounds = 10
)

// measureHuman lets many workflows wait for an event, raises one to each, and waits for all. A sample is from the
// call that raises to the result.
func measureHuman(ctx context.Context, s *session) (row, error) {
	if _, _, err := s.decideAll(ctx, "warm", humanWarmUp); err != nil {
		return row{}, err
	}
	samples, total, err := repeat(humanMostRounds, func(round int) ([]time.Duration, time.Duration, error) {
		return s.decideAll(ctx, instanceID("human", round), s.task.N)
	})
	if err != nil {
		return row{}, err
	}
	result := s.newRow(s.task.Inflight)
	result.setTotals(len(samples), 0, total)
	result.setPercentiles(samples)
	return result, nil
}

// startWaiting starts n approval workflows and returns when all of them wait.
func (s *session) startWaiting(ctx context.Context, prefix string, n int) error {
	s.arrivals.expect(prefix, n)
	if _, _, err := each(ctx, n, s.task.Inflight, func(ctx context.Context, i int) error {
		return s.flows.start(ctx, instanceID(prefix, i), approval, input{})
	}); err != nil {
		return fmt.Errorf("start workflows: %w", err)
	}
	if err := s.arrivals.wait(ctx); err != nil {
		return err
	}
	return sleep(ctx, s.settle)
}

// decideAll raises the decision to n waiting workflows, some at once, and waits for all of them together.
func (s *session) decideAll(ctx context.Context, prefix string, n int) ([]time.Duration, time.Duration, error) {
	if err := s.startWaiting(ctx, prefix, n); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	samples := make([]time.Duration, n)
	var waiters sync.WaitGroup
	begin := time.Now()
	_, _, err := each(ctx, n, s.task.Inflight, func(_ context.Context, i int) error {
		id := instanceID(prefix, i)
		start := time.Now()
		if err := s.flows.raise(ctx, id, s.decision()); err != nil {
			return fmt.Errorf("raise to %s: %w", id, err)
		}
		waiters.Go(func() {
			if err := s.awaitDecided(ctx, id); err != nil {
				cancel(err)
			}
			samples[i] = time.Since(start)
		})
		return nil
	})
	if err != nil {
		cancel(err)
	}
	waiters.Wait()
	return samples, time.Since(begin), context.Cause(ctx)
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
