package perdure

import (
	"context"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// How the answers that were stored for an Idempotency-Key, and the ids by which queues
// know messages that come again, are removed when they have expired.
const (
	// expireEvery is the time between two looks.
	expireEvery = time.Hour
	// expireBatch bounds what is removed in one unit.
	expireBatch = 1000
)

// expireAnswers removes expired answers and ids until ctx ends: at the start, then hourly.
func (r *running) expireAnswers(ctx context.Context) {
	for {
		for what, expire := range map[string]func(records.Unit, time.Time, int) (int, error){
			"answers": records.ExpireAnswers, "ids of messages": records.ExpireIDs,
		} {
			if err := r.expireDue(ctx, expire); err != nil && ctx.Err() == nil {
				r.config.Logger.Error("what has expired could not be removed", "what", what, "error", err)
			}
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

func (r *running) expireDue(ctx context.Context, expire func(records.Unit, time.Time, int) (int, error)) error {
	for n := expireBatch; n == expireBatch; {
		err := unit.Run(ctx, r.env, r.committer, unitAttempts, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			n, err = expire(u, r.clock.Now(), expireBatch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
