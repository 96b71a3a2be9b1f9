package main

import "context"

// measureSequence runs many workflows of five activities, a given number in flight.
func measureSequence(ctx context.Context, s *session) (row, error) {
	return s.measureClosedLoop(ctx, max(s.task.N/10, s.task.Inflight), s.task.Inflight)
}
