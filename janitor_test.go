package perdure_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestExpiredAnswersAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(items, perdure.HTTP("POST /add/{id}", addOne))
	for i := range 3 {
		r.do("POST", "/add/a", "", "Idempotency-Key", fmt.Sprint("k", i))
	}
	r.advance(25 * time.Hour)
	r.do("POST", "/add/a", "", "Idempotency-Key", "late")
	if err := r.App.ExpireAnswers(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.unit(func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		left, err := records.ExpireAnswers(u, u.Now().Add(1000*time.Hour), 10)
		if left != 1 {
			t.Errorf("%d answers are left, want the one that is good", left)
		}
		return err
	})
}
