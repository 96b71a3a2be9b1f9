package main

import "context"

// measureSequence runs many workflows of five activities, a given number in flight. A sample is start to finish.
func measureSequence(ctx context.Context, s *session) (row, error) {
	in := s.input(sequenceLength)
	if _, _, err := each(ctx, max(s.task.N/10, s.task.Inflight), s.task.Inflight, func(ctx context.Context, i int) error {
		return s.runOne(ctx, instanceID("warm", i), sequence, in)
	}); err != nil {
		return row{}, err
	}
	samples, total, err := each(ctx, s.task.N, s.task.Inflight, func(ctx context.Context, i int) error {
		return s.runOne(ctx, instanceID("seq", i), sequence, in)
	})
	if err != nil {
		return row{}, err
	}
	result := s.newRow(s.task.Inflight)
	result.setTotals(s.task.N, sequenceLength, total)
	result.setPercentiles(samples)
	return result, nil
}
