package main

import "context"

const latencyWarmUp = 5

// measureLatency runs workflows of five activities one at a time.
func measureLatency(ctx context.Context, s *session) (row, error) {
	in := s.input(sequenceLength)
	if _, _, err := each(ctx, latencyWarmUp, 1, func(ctx context.Context, i int) error {
		return s.runOne(ctx, instanceID("warm", i), sequence, in)
	}); err != nil {
		return row{}, err
	}
	samples, total, err := each(ctx, s.task.N, 1, func(ctx context.Context, i int) error {
		return s.runOne(ctx, instanceID("latency", i), sequence, in)
	})
	if err != nil {
		return row{}, err
	}
	result := s.newRow(1)
	result.setTotals(s.task.N, sequenceLength, total)
	result.setPercentiles(samples)
	return result, nil
}
