package perdure

import (
	"context"
	"time"

	"github.com/perdure/perdure/internal/unit"
)

// Unit runs fn in a unit of work: what fn reads and writes through its ctx commits
// together, or not at all. When others changed what fn has read, it runs again, up to
// ten times, then it fails with ErrConflict. Inside a unit it fails with ErrInsideUnit.
func (a *App) Unit(ctx context.Context, fn func(ctx context.Context) error) error {
	r := a.running.Load()
	if r == nil {
		return ErrNotRunning
	}
	return unit.Run(ctx, r.env, r.committer, unitAttempts, fn)
}

// unitAttempts is how often a unit is run before its conflict is an error.
const unitAttempts = 10

// Now returns the time of the app whose unit of work ctx carries, in UTC: what user code
// calls instead of time.Now, so that tests can move its time. Without a unit it is the
// machine's.
func Now(ctx context.Context) time.Time { return unit.Now(ctx).UTC() }
