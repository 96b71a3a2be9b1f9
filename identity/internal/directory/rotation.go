package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/internal/unit"
)

// SigningKey returns the key that signs by an algorithm, and makes the first one. The unit of ctx
// depends on it: when the key is revoked before the unit commits, the unit runs again.
func (e *Env) SigningKey(ctx context.Context, alg string) (*Signer, error) {
	id, err := holder(ctx, NameOfKey, alg)
	if errors.Is(err, ErrNotFound) {
		s, err := e.addKey(ctx, alg, KeyCurrent)
		if err != nil {
			return nil, err
		}
		if err := claim(ctx, NameOfKey, alg, s.ID); err != nil {
			return nil, fmt.Errorf("signing key for %s: %w", alg, err)
		}
		return s, e.note(ctx, Itself, AuditKeyRotated, s.ID, "the first key for %s was made", alg)
	}
	if err != nil {
		return nil, err
	}
	if s := e.keys.get(id); s != nil {
		return s, nil
	}
	row, err := get(ctx, SigningKeys, "signing key", id)
	if err != nil {
		return nil, err
	}
	return e.openKey(row)
}

// addKey makes a key in a state.
func (e *Env) addKey(ctx context.Context, alg, state string) (*Signer, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return nil, err
	}
	for {
		s, err := e.keys.fresh(alg)
		if err != nil {
			return nil, err
		}
		row, err := e.sealKey(s)
		if err != nil {
			return nil, err
		}
		row.State = state
		if state == KeyCurrent {
			row.Activated = row.Created
		}
		err = SigningKeys.Insert(ctx, Key(s.ID), row)
		if errors.Is(err, ErrExists) { // the unit that took it has committed just now
			e.keys.taken(s)
			continue
		}
		u.OnCommit(func() { e.keys.taken(s) })
		return s, err
	}
}

// ListSigningKeys returns all keys that are kept, those that sign first, then the newest.
func (e *Env) ListSigningKeys(ctx context.Context) ([]*SigningKey, error) {
	order := []string{KeyCurrent, KeyNext, KeyRetiring, KeyRevoked}
	keys := []*SigningKey{}
	for row, err := range SigningKeys.Scan(ctx, "") {
		if err != nil {
			return nil, err
		}
		keys = append(keys, row.Value)
	}
	slices.SortFunc(keys, func(a, b *SigningKey) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
			b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// PublicKeys returns the keys by which tokens are verified: those that sign, those that will, and those
// whose tokens have not all expired.
func (e *Env) PublicKeys(ctx context.Context) (jose.JSONWebKeySet, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	keys, err := e.ListSigningKeys(ctx)
	if err != nil {
		return set, err
	}
	now := e.Now()
	for _, row := range keys {
		if row.State == KeyRevoked || !row.Ends.IsZero() && !row.Ends.After(now) {
			continue
		}
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(row.Public); err != nil {
			return set, fmt.Errorf("signing key %q: %w", row.ID, err)
		}
		set.Keys = append(set.Keys, k)
	}
	return set, nil
}

// RotateKeys replaces the keys that sign by the next ones. A next key that has not been published for
// KeyLead takes over once it has, by Maintain. Algorithms are those given, or all that are in use.
func (e *Env) RotateKeys(ctx context.Context, by Actor, algorithms ...string) error {
	keys, err := e.ListSigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range inState(keys, KeyCurrent) {
		if len(algorithms) > 0 && !slices.Contains(algorithms, k.Algorithm) {
			continue
		}
		k.RotateAt = e.Now()
		if err := put(ctx, SigningKeys, "signing key", k.ID, k); err != nil {
			return err
		}
		if err := e.rotate(ctx, by, k, nextOf(keys, k.Algorithm)); err != nil {
			return err
		}
	}
	return nil
}

// inState returns the keys that are in a state now: to rotate changes those that come after.
func inState(keys []*SigningKey, state string) []*SigningKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k *SigningKey) bool { return k.State != state })
}

func nextOf(keys []*SigningKey, alg string) *SigningKey {
	for _, k := range keys {
		if k.State == KeyNext && k.Algorithm == alg {
			return k
		}
	}
	return nil
}

// rotate does what is due for an algorithm: it makes the next key, or lets it take over.
func (e *Env) rotate(ctx context.Context, by Actor, current, next *SigningKey) error {
	now := e.Now()
	if next == nil {
		_, err := e.addKey(ctx, current.Algorithm, KeyNext)
		return err
	}
	asked := !current.RotateAt.IsZero() && !current.RotateAt.After(now)
	if !asked && now.Before(current.Activated.Add(KeyPeriod)) || now.Before(next.Created.Add(KeyLead)) {
		return nil
	}
	current.State, current.Ends, current.Sealed = KeyRetiring, now.Add(MaxTokenLifetime), nil
	if err := put(ctx, SigningKeys, "signing key", current.ID, current); err != nil {
		return err
	}
	if err := e.promote(ctx, next); err != nil {
		return err
	}
	if _, err := e.addKey(ctx, current.Algorithm, KeyNext); err != nil {
		return err
	}
	return e.note(ctx, by, AuditKeyRotated, next.ID, "key for %s was rotated; the one before was %s", next.Algorithm, current.ID)
}

// promote lets a next key sign.
func (e *Env) promote(ctx context.Context, next *SigningKey) error {
	next.State, next.Activated = KeyCurrent, e.Now()
	if err := put(ctx, SigningKeys, "signing key", next.ID, next); err != nil {
		return err
	}
	return Names.Put(ctx, Key2(NameOfKey, next.Algorithm), &Name{ID: next.ID})
}

// RevokeKey makes a key useless at once, with all tokens that it signed. For one that signs the next one takes
// over, however short it has been published: whoever does not have it yet looks for it.
func (e *Env) RevokeKey(ctx context.Context, by Actor, id string) error {
	k, err := get(ctx, SigningKeys, "signing key", id)
	if err != nil {
		return err
	}
	was := k.State
	if was == KeyRevoked {
		return nil
	}
	k.State, k.Ends, k.Sealed = KeyRevoked, e.Now().Add(MaxTokenLifetime), nil
	if err := put(ctx, SigningKeys, "signing key", id, k); err != nil {
		return err
	}
	if was == KeyCurrent {
		keys, err := e.ListSigningKeys(ctx)
		if err != nil {
			return err
		}
		next := nextOf(keys, k.Algorithm)
		if next == nil {
			s, err := e.addKey(ctx, k.Algorithm, KeyNext)
			if err != nil {
				return err
			}
			if next, err = get(ctx, SigningKeys, "signing key", s.ID); err != nil {
				return err
			}
		}
		if err := e.promote(ctx, next); err != nil {
			return err
		}
	}
	if u, err := unit.From(ctx); err == nil {
		u.OnCommit(func() { e.keys.forget(id) })
	}
	return e.note(ctx, by, AuditKeyRotated, id, "key for %s was revoked", k.Algorithm)
}

// Maintain does what time asks for: it makes next keys, rotates those that are due, forgets those that are
// over, and cleans up after roles with many members. Call it every few minutes; it opens its
// own units.
func (e *Env) Maintain(ctx context.Context) error {
	if err := e.Unit(ctx, e.maintainKeys); err != nil {
		return fmt.Errorf("maintain signing keys: %w", err)
	}
	for more := true; more; {
		err := e.Unit(ctx, func(ctx context.Context) (err error) {
			more, err = e.cleanLeftovers(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("clean up after deleted roles: %w", err)
		}
	}
	return nil
}

func (e *Env) maintainKeys(ctx context.Context) error {
	keys, err := e.ListSigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range append(inState(keys, KeyRetiring), inState(keys, KeyRevoked)...) {
		if !k.Ends.After(e.Now()) {
			if err := SigningKeys.Delete(ctx, Key(k.ID)); err != nil {
				return err
			}
		}
	}
	for _, k := range inState(keys, KeyCurrent) {
		if err := e.rotate(ctx, Itself, k, nextOf(keys, k.Algorithm)); err != nil {
			return err
		}
	}
	return nil
}

// cleanLeftovers takes the first deleted role from some of its members, and reports whether there is
// more to do.
func (e *Env) cleanLeftovers(ctx context.Context) (more bool, err error) {
	for row, err := range Leftovers.Scan(ctx, "") {
		if err != nil {
			return false, err
		}
		left, err := e.dropMembers(ctx, row.Value.Role, maxAtOnce)
		if err != nil || left {
			return left, err
		}
		return true, Leftovers.Delete(ctx, row.Key.String())
	}
	return false, nil
}
