package main

import "context"

const latencyWarmUp = 5

// measureLatency runs workflows of five activities one at a time.
func measureLatency(ctx context.Context, s *session) (row, error) {
	return s.measureClosedLoop(ctx, latencyWarmUp, 1)
}
