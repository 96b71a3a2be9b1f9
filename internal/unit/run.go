package unit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// ErrConflict: a unit was run as often as allowed and each time something it
// had read was changed by another before it could commit.
var ErrConflict = errors.New("perdure: unit of work kept conflicting with others")

// Committer commits a transaction and waits until it is durable.
type Committer interface {
	Commit(ctx context.Context, txn *store.Txn) error
}

// Run runs fn in a new unit and commits it; on a conflict it runs fn again, at
// most attempts times, then fails with ErrConflict. Fn's error discards the unit
// and is returned as it is. A unit that wrote nothing is not committed: one
// snapshot is one moment, so what it read together was true together.
func Run(ctx context.Context, env *Env, c Committer, attempts int, fn func(context.Context) error) error {
	if Inside(ctx) {
		return ErrInsideUnit
	}
	for attempt := 1; ; attempt++ {
		err := runOnce(ctx, env, c, fn)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if attempt >= attempts {
			return fmt.Errorf("%w: %d attempts: %w", ErrConflict, attempt, err)
		}
		if err := backoff(ctx, attempt); err != nil {
			return err
		}
	}
}

func runOnce(ctx context.Context, env *Env, c Committer, fn func(context.Context) error) error {
	u := New(env)
	committed := false
	defer func() {
		if !committed { // fn failed, panicked or left by Goexit
			u.Discarded()
		}
	}()
	if err := fn(With(ctx, u)); err != nil {
		return err
	}
	var txn store.Txn
	if err := u.Seal(&txn); err != nil {
		return err
	}
	committed = true
	if txn.Empty() {
		u.Committed()
		return nil
	}
	switch err := c.Commit(ctx, &txn); {
	case err == nil:
		u.Committed()
		return nil
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrLeaseLost):
		u.Discarded()
		return err
	default:
		return err // the outcome may be unknown: leave what was staged to the collector
	}
}

// backoff waits a random time that doubles its bound with each attempt, from 1
// to 128 ms.
func backoff(ctx context.Context, attempt int) error {
	bound := time.Millisecond << min(attempt, 7)
	t := time.NewTimer(rand.N(bound))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
