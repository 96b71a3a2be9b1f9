package identity

import (
	"context"
	"sync"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
)

// keysFor is how long the public keys are taken from memory: a token whose key was revoked
// is refused after that time at the latest.
const keysFor = time.Second

// keys are the public keys that verify the provider's tokens, for who is in the same process. It is an
// auth.KeySource.
type keys struct {
	env *directory.Env

	mu    sync.Mutex
	read  time.Time
	known []auth.Key
}

// Keys implements auth.KeySource.
func (k *keys) Keys(ctx context.Context, kid string) ([]auth.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.env.Now()
	fresh := !k.read.IsZero() && !now.Before(k.read) && now.Sub(k.read) < keysFor
	if found := named(k.known, kid); fresh && len(found) > 0 {
		return found, nil
	}
	err := k.env.Unit(ctx, func(ctx context.Context) error {
		set, err := k.env.PublicKeys(ctx)
		k.known = make([]auth.Key, 0, len(set.Keys))
		for _, one := range set.Keys {
			k.known = append(k.known, auth.Key{ID: one.KeyID, Algorithm: one.Algorithm, Public: one.Key})
		}
		return err
	})
	if err != nil {
		k.known, k.read = nil, time.Time{}
		return nil, err
	}
	k.read = now
	return named(k.known, kid), nil
}

// named returns the keys of an id; all for none.
func named(all []auth.Key, kid string) []auth.Key {
	if kid == "" {
		return all
	}
	for i := range all {
		if all[i].ID == kid {
			return all[i : i+1 : i+1]
		}
	}
	return nil
}
