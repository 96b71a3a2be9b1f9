package unit_test

import (
	"context"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/unit"
)

func TestNow(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	u := unit.New(&unit.Env{Now: func() time.Time { return noon }})
	ctx := unit.With(context.Background(), u)
	if got := unit.Now(ctx); !got.Equal(noon) {
		t.Errorf("inside a unit: %v, want the app's time", got)
	}
	u.Discarded()
	if got := unit.Now(ctx); !got.Equal(noon) {
		t.Errorf("after the unit: %v, want the app's time", got)
	}
	if got := unit.Now(unit.Without(ctx)); time.Since(got).Abs() > time.Minute {
		t.Errorf("without a unit: %v, want the machine's time", got)
	}
}
