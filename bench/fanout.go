package main

import (
	"context"
	"time"
)

// measureFanOut runs a workflow that calls all its activities at once.
func measureFanOut(ctx context.Context, s *session) (row, error) {
	return s.measureOne(ctx, parallel)
}

const (
	// One workflow alone is a short measurement on a fast engine, so it is repeated until this time has passed.
	leastTime = time.Second
	mostRuns  = 50
	// mostWarmUpActivities keeps the warm-up short on slow engines.
	mostWarmUpActivities = 20
)

// measureOne runs workflows of the task's size one after another, after one of a tenth of it.
func (s *session) measureOne(ctx context.Context, k kind) (row, error) {
	warmUp := s.input(min(max(s.task.N/10, 1), mostWarmUpActivities))
	if err := s.runOne(ctx, instanceID("warm", 0), k, warmUp); err != nil {
		return row{}, err
	}
	in := s.input(s.task.N)
	var samples []time.Duration
	var total time.Duration
	for len(samples) < mostRuns && total < leastTime {
		start := time.Now()
		if err := s.runOne(ctx, instanceID(s.task.Workload, len(samples)), k, in); err != nil {
			return row{}, err
		}
		samples = append(samples, time.Since(start))
		total += samples[len(samples)-1]
	}
	result := s.newRow(1)
	result.setTotals(len(samples), s.task.N, total)
	result.setPercentiles(samples)
	return result, nil
}
