package unit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/store"
)

// ErrConflict: a unit was run as often as allowed and each time something it
// had read was changed by another before it could commit.
var ErrConflict = errors.New("perdure: unit of work kept conflicting with others")

// Committer commits a transaction and waits until it is durable. After an error
// that does not match store.ErrOutcomeUnknown nothing was written.
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
		conflict, err := runOnce(ctx, env, c, fn)
		if !conflict {
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

// runOnce reports, with the error, whether the commit failed for a conflict. Fn's
// own error may match store.ErrConflict as well, when it ran other units.
func runOnce(ctx context.Context, env *Env, c Committer, fn func(context.Context) error) (conflict bool, err error) {
	u := New(env)
	sealed := false
	defer func() {
		if !sealed { // fn failed, panicked or left by Goexit
			u.Discarded()
		}
	}()
	if err := fn(With(ctx, u)); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err // a run that timed out must not commit
	}
	var txn store.Txn
	if err := u.Seal(&txn); err != nil {
		return false, err
	}
	sealed = true
	if txn.Empty() {
		u.Committed()
		return false, nil
	}
	failpoint.Hit(failpoint.UnitSealed)
	err = c.Commit(ctx, &txn)
	failpoint.Hit(failpoint.UnitCommitted)
	switch {
	case err == nil:
		u.Committed()
	case errors.Is(err, store.ErrOutcomeUnknown): // what was staged may be in use: leave it to the collector
	default:
		u.Discarded()
	}
	return errors.Is(err, store.ErrConflict), err
}

// backoff waits a random time whose bound doubles with each attempt, from 2 to
// 128 ms.
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
