package perdure

import (
	"context"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// How the answers that were stored for an Idempotency-Key are removed when they have
// expired.
const (
	// expireEvery is the time between two looks.
	expireEvery = time.Hour
	// expireBatch bounds the answers removed in one unit.
	expireBatch = 1000
)

// expireAnswers removes expired answers until ctx ends: at the start, then hourly.
func (r *running) expireAnswers(ctx context.Context) {
	for {
		if err := r.expireDueAnswers(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Error("expired answers could not be removed", "error", err)
		}
		t := r.clock.NewTimer(expireEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C():
		}
	}
}

func (r *running) expireDueAnswers(ctx context.Context) error {
	for n := expireBatch; n == expireBatch; {
		err := unit.Run(ctx, r.env, r.committer, unitAttempts, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			n, err = records.ExpireAnswers(u, r.clock.Now(), expireBatch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
