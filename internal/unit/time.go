package unit

import (
	"context"
	"time"
)

// Now returns the time of the app whose unit, open or ended, ctx carries; the
// machine's without one.
func Now(ctx context.Context) time.Time {
	if u, _ := ctx.Value(contextKey{}).(*Unit); u != nil {
		return u.Now()
	}
	return time.Now()
}
