package unit

import (
	"context"
	"time"
)

// RowExpires tells the app, after the commit, that a row expires at a time.
func (u *Unit) RowExpires(at time.Time) {
	if expires := u.env.RowExpires; expires != nil {
		u.OnCommit(func() { expires(at) })
	}
}

// Now returns the time of the app whose unit, open or ended, ctx carries; the
// machine's without one.
func Now(ctx context.Context) time.Time {
	if u, _ := ctx.Value(contextKey{}).(*Unit); u != nil {
		return u.Now()
	}
	return time.Now()
}
