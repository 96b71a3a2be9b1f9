package items

import (
	"context"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// Free reports why Add could not make an item of a name: ErrExists when there is one, ErrDeleted when a deleted one keeps it.
func (s *Store) Free(ctx context.Context, id model.ID) error {
	if err := checkID(id); err != nil {
		return err
	}
	item, err := getItem(ctx, liveItems, id)
	if err != nil {
		return err
	}
	if item != nil {
		return fmt.Errorf("%q: %w", id.String(), model.ErrExists)
	}
	return s.free(ctx, id)
}

// Reseal replaces the secret part of a version that is managed, the current one when id.Version is empty; nil takes it away.
// A copy of what it was stays in backups, and in what the store has not yet compacted: sealed, as all of it is.
func (s *Store) Reseal(ctx context.Context, id model.ID, secret []byte) error {
	item, err := live(ctx, id)
	if err != nil {
		return err
	}
	version := id.Version
	if version == "" {
		version = item.Current
	}
	v, err := item.version(ctx, id, version)
	if err != nil {
		return err
	}
	if !v.Managed {
		return fmt.Errorf("%q belongs to no certificate: its secret part stays: %w", v.ID.String(), model.ErrExists)
	}
	if v.sealed, err = s.seal(v.ID, secret); err != nil {
		return err
	}
	v.Updated = s.now()
	s.changed(ctx, v.ID)
	return tooLarge(versions.Put(ctx, versionKey(item.Generation, version), v.row()))
}
