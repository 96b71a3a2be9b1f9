package people

import (
	"context"
	"errors"

	"github.com/perdure/perdure/identity/internal/directory"
)

// Hashed is how many passwords were hashed.
func (p *People) Hashed() int64 { return p.hasher.Hashed() }

// RowsOf is how many rows there are about a user.
func RowsOf(ctx context.Context, userID string) (n int, err error) {
	if _, err := credentials.Get(ctx, directory.Key(userID)); err == nil {
		n++
	} else if !errors.Is(err, directory.ErrNotFound) {
		return n, err
	}
	for _, err := range tickets.ScanIndex(ctx, ticketsByUser.Equal(userID)) {
		if err != nil {
			return n, err
		}
		n++
	}
	for _, err := range knownNetworks.Scan(ctx, userID) {
		if err != nil {
			return n, err
		}
		n++
	}
	f, err := factorsOf(ctx, userID)
	if f.any() {
		n++
	}
	return n, err
}

// SafeNext is safeNext.
func SafeNext(next string) string { return safeNext(next) }
