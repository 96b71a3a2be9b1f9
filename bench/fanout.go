package main

import (
	"context"
	"time"
)

// measureFanOut runs a workflow that calls all its activities at once.
func measureFanOut(ctx context.Context, s *session) (row, error) {
	return s.measureOne(ctx, parallel)
}

// mostWarmUpActivities keeps the warm-up short on slow engines.
const mostWarmUpActivities = 20

// measureOne runs workflows of the task's size one after another, after one of a tenth of it.
func (s *session) measureOne(ctx context.Context, k kind) (row, error) {
	warmUp := s.input(min(max(s.task.N/10, 1), mostWarmUpActivities))
	if err := s.runOne(ctx, instanceID("warm", 0), k, warmUp); err != nil {
		return row{}, err
	}
	in := s.input(s.task.N)
	samples, total, err := repeat(mostRounds, func(round int) ([]time.Duration, time.Duration, error) {
		start := time.Now()
		err := s.runOne(ctx, instanceID(s.task.Workload, round), k, in)
		took := time.Since(start)
		return []time.Duration{took}, took, err
	})
	if err != nil {
		return row{}, err
	}
	result := s.newRow(1)
	result.setTotals(len(samples), s.task.N, total)
	result.setPercentiles(samples)
	return result, nil
}
