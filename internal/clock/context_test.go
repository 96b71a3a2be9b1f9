package clock_test

import (
	"testing"

	"github.com/perdure/perdure/internal/clock"
)

func TestClockOfContext(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	if got := clock.From(clock.With(t.Context(), m)); got != m {
		t.Errorf("From = %v, want the clock that With put there", got)
	}
	if got := clock.From(t.Context()); got != clock.System() {
		t.Errorf("From = %v without a clock, want the system's", got)
	}
}
