package main

import "context"

// measureReplay runs a workflow with many activities one after another. Rows of several sizes show whether an
// activity costs more when the history before it is longer.
func measureReplay(ctx context.Context, s *session) (row, error) {
	return s.measureOne(ctx, sequence)
}
