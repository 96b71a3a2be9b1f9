package records

import (
	"fmt"

	"github.com/perdure/perdure/internal/tuple"
)

// ownerUpgrades has no step yet: format 1 is owner string.
var ownerUpgrades upgrades

// BlobOwner returns the name by which places for blobs know this store: fresh at the
// first call, and the same ever after.
func BlobOwner(u Unit, fresh string) (string, error) {
	key := []byte{spaceBlobOwner}
	value, err := u.Get(key)
	if err != nil {
		return "", err
	}
	if value == nil {
		return fresh, u.Put(key, tuple.AppendString([]byte{ownerUpgrades.current()}, fresh))
	}
	body, err := ownerUpgrades.body(value)
	if err != nil {
		return "", fmt.Errorf("owner of blobs: %w", err)
	}
	d := tuple.Decode(body)
	owner := d.String()
	if err := d.End(); err != nil {
		return "", fmt.Errorf("owner of blobs: %w", err)
	}
	return owner, nil
}
