package people

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/table"
)

// networkLifetime is how long a network is known after a user has signed in from it.
const networkLifetime = 90 * 24 * time.Hour

// knownNetwork is a network from which a user has signed in.
type knownNetwork struct {
	Expires time.Time `json:"expires"`
}

// knownNetworks are by user (partition) and network (row).
var knownNetworks = table.Of("perdure.known-networks", table.ExpiresAt(func(n *knownNetwork) time.Time { return n.Expires }))

func isKnownNetwork(ctx context.Context, userID, network string) (bool, error) {
	_, err := knownNetworks.Get(ctx, directory.Key2(userID, network))
	if errors.Is(err, directory.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func rememberNetwork(ctx context.Context, now time.Time, userID, network string) error {
	return knownNetworks.Put(ctx, directory.Key2(userID, network), &knownNetwork{Expires: now.Add(networkLifetime)})
}

func forgetNetworks(ctx context.Context, userID string) error {
	for row, err := range knownNetworks.Scan(ctx, userID, table.Limit(1000)) {
		if err != nil {
			return err
		}
		if err := knownNetworks.Delete(ctx, row.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

// networkOf is the network of an address in text; "unknown" when it is none.
func networkOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	return guard.Network(addr)
}
