package records

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// dedupUpgrades has no step yet: format 1 is the time from which on the id may come
// again.
var dedupUpgrades upgrades

// dedupHashSize is how much of the hash of an id is kept.
const dedupHashSize = 16

func dedupKey(function, id string) []byte {
	hash := sha256.Sum256([]byte(id))
	return append(functionKey(spaceDedup, function), hash[:dedupHashSize]...)
}

// dedupExpiryKey names the key of a record by the time of its expiry.
func dedupExpiryKey(at time.Time, key []byte) []byte {
	return append(tuple.AppendTime([]byte{spaceDedupExpiry}, at), key[1:]...)
}

// ClaimID reports whether an id comes for the first time among those of a function
// since now, and keeps it from coming again until a time. Two units that claim one id
// conflict.
func ClaimID(u Unit, function, id string, now, until time.Time) (first bool, err error) {
	key := dedupKey(function, id)
	value, err := u.Get(key)
	if err != nil {
		return false, err
	}
	if value != nil {
		expiry, err := decodeDedup(value)
		if err != nil {
			return false, err
		}
		if expiry.After(now) {
			return false, nil
		}
		if err := u.Delete(dedupExpiryKey(expiry, key)); err != nil {
			return false, err
		}
	}
	if err := u.Put(key, tuple.AppendTime([]byte{dedupUpgrades.current()}, until)); err != nil {
		return false, err
	}
	return true, u.Put(dedupExpiryKey(until, key), nil)
}

func decodeDedup(value []byte) (time.Time, error) {
	body, err := dedupUpgrades.body(value)
	if err != nil {
		return time.Time{}, err
	}
	t := tuple.Decode(body)
	expiry := t.Time()
	return expiry, t.End()
}

// ExpireIDs removes up to limit claims that are over at now, and returns how many.
func ExpireIDs(u Unit, now time.Time, limit int) (n int, err error) {
	var failed error
	expired := store.Range{Start: []byte{spaceDedupExpiry}, End: tuple.AppendTime([]byte{spaceDedupExpiry}, now)}
	err = u.Scan(expired, func(it store.Item) bool {
		failed = expireID(u, it.Key)
		n++
		return failed == nil && n < limit
	})
	return n, errors.Join(err, failed)
}

// expireID removes the claim that a key of its expiry names, unless it was renewed.
func expireID(u Unit, expiryKey []byte) error {
	t := tuple.Decode(expiryKey[1:])
	at := t.Time()
	if err := t.Err(); err != nil {
		return err
	}
	key := append([]byte{spaceDedup}, t.Rest()...)
	value, err := u.Get(key)
	if err != nil {
		return err
	}
	if value != nil {
		until, err := decodeDedup(value)
		if err != nil {
			return err
		}
		if until.Equal(at) {
			if err := u.Delete(key); err != nil {
				return err
			}
		}
	}
	return u.Delete(append([]byte(nil), expiryKey...))
}
