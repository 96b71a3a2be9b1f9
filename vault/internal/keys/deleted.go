package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// Delete deletes a key with all its versions. It can be recovered until its Deletion.PurgeAt, and does nothing until then. The right
// is model.OpDelete.
func (s *Service) Delete(ctx context.Context, by model.Caller, id model.ID) (out *model.Deleted[*model.Key], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpDelete, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		if err := s.checkLive(ctx, id); err != nil {
			return err
		}
		d, err := s.store.Delete(ctx, id)
		if err != nil {
			return err
		}
		if err := unschedule(ctx, id); err != nil {
			return err
		}
		s.forget(ctx, id)
		out, err = deletedOf(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListDeleted returns the deleted keys of a vault that the caller may see. The right is model.OpList.
func (s *Service) ListDeleted(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[model.Deleted[*model.Key]], err error) {
	o := model.Operation{ID: model.ID{Vault: vault}, Op: model.OpList, Detail: "deleted"}
	err = s.visible(ctx, by, o, func(ctx context.Context, visible func(string) bool) error {
		found, err := s.store.ListDeleted(ctx, vault, model.Keys, p, visible)
		if err != nil {
			return err
		}
		out, err = mapped(found, func(d model.Deleted[*items.Version]) (model.Deleted[*model.Key], error) {
			k, err := keyOf(d.Item)
			return model.Deleted[*model.Key]{Item: k, Deletion: d.Deletion}, err
		})
		return err
	})
	return out, err
}

// GetDeleted returns a deleted key. The right is model.OpGet.
func (s *Service) GetDeleted(ctx context.Context, by model.Caller, id model.ID) (out *model.Deleted[*model.Key], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		d, err := s.store.Deleted(ctx, id)
		if err != nil {
			return err
		}
		o.Detail = "deleted"
		out, err = deletedOf(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Recover undoes Delete. The right is model.OpRecover. ErrExists when another key has got the name.
func (s *Service) Recover(ctx context.Context, by model.Caller, id model.ID) (out *model.Key, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpRecover, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		if err := s.checkDeleted(ctx, id); err != nil {
			return err
		}
		v, err := s.store.Recover(ctx, id)
		if err != nil {
			return err
		}
		if err := s.schedule(ctx, v.ID); err != nil {
			return err
		}
		o.ID = v.ID
		out, err = keyOf(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Purge removes a deleted key for good: what it encrypted stays so. The right is model.OpPurge. ErrProtected in a vault where nobody may.
func (s *Service) Purge(ctx context.Context, by model.Caller, id model.ID) error {
	id.Version = ""
	return s.do(ctx, by, model.OpPurge, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		if err := s.checkDeleted(ctx, id); err != nil {
			return err
		}
		return s.store.Purge(ctx, id)
	})
}

// Backup returns a key with all its versions and its rotation policy, sealed. The right is model.OpBackup.
func (s *Service) Backup(ctx context.Context, by model.Caller, id model.ID) (backup []byte, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpBackup, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		if err := s.checkLive(ctx, id); err != nil {
			return err
		}
		backup, err = s.store.Backup(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return backup, nil
}

// Restore makes the key of a backup, under its own name. The right is model.OpRestore, for that name. ErrExists when something
// has the name.
func (s *Service) Restore(ctx context.Context, by model.Caller, vault string, backup []byte) (out *model.Key, err error) {
	_, name, err := items.BackupOf(backup)
	if err != nil {
		return nil, err
	}
	err = s.do(ctx, by, model.OpRestore, model.ID{Vault: vault, Name: name}, func(ctx context.Context, _ model.ID, o *model.Operation) error {
		v, err := s.store.Restore(ctx, vault, model.Keys, backup)
		if err != nil {
			return err
		}
		if v.Managed {
			return managed(v.ID)
		}
		if err := s.schedule(ctx, v.ID); err != nil {
			return err
		}
		o.ID = v.ID
		out, err = keyOf(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkLive reports why a key must not be changed by this service.
func (s *Service) checkLive(ctx context.Context, id model.ID) error {
	item, err := s.store.Item(ctx, id)
	if err == nil && item.Managed {
		err = managed(id)
	}
	return err
}

// checkDeleted is checkLive for a deleted one.
func (s *Service) checkDeleted(ctx context.Context, id model.ID) error {
	item, err := s.store.DeletedItem(ctx, id)
	if err == nil && item.Managed {
		err = managed(id)
	}
	if errors.Is(err, model.ErrNotFound) {
		return fmt.Errorf("deleted %w", err)
	}
	return err
}

// forget drops the opened versions of a key once the unit is durable.
func (s *Service) forget(ctx context.Context, id model.ID) {
	if s.env.OnCommit == nil {
		s.Forget(id)
		return
	}
	s.env.OnCommit(ctx, func() { s.Forget(id) })
}

// Forget drops what is in memory of a key. It is for who changes keys without this service, as certificates do; items.Options.Changed
// can call it.
func (s *Service) Forget(id model.ID) { s.cache.forget(id) }
