package main

import (
	"context"
	"time"
)

// measureFanOut runs one workflow that calls all its activities at once, after a small one to warm up.
func measureFanOut(ctx context.Context, s *session) (row, error) {
	return s.measureOne(ctx, parallel)
}

// measureOne runs one workflow of the task's size, after one of a tenth of it (at most warmUpActivities).
func (s *session) measureOne(ctx context.Context, k kind) (row, error) {
	const warmUpActivities = 20
	if err := s.runOne(ctx, instanceID("warm", 0), k, s.input(min(max(s.task.N/10, 1), warmUpActivities))); err != nil {
		return row{}, err
	}
	start := time.Now()
	if err := s.runOne(ctx, instanceID(s.task.Workload, 0), k, s.input(s.task.N)); err != nil {
		return row{}, err
	}
	total := time.Since(start)
	result := s.newRow(1)
	result.setTotals(1, s.task.N, total)
	result.setPercentiles([]time.Duration{total})
	return result, nil
}
