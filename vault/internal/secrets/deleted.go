package secrets

import (
	"context"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

func deletedOf(d model.Deleted[*items.Version]) model.Deleted[*model.Secret] {
	return model.Deleted[*model.Secret]{Item: secretOf(d.Item), Deletion: d.Deletion}
}

// Delete deletes a secret with all its versions. It can be recovered until its Deletion.PurgeAt. The right is model.OpDelete.
func (s *Service) Delete(ctx context.Context, by model.Caller, id model.ID) (out *model.Deleted[*model.Secret], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpDelete, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		if err := s.checkLive(ctx, id); err != nil {
			return err
		}
		d, err := s.store.Delete(ctx, id)
		if err != nil {
			return err
		}
		deleted := deletedOf(*d)
		out = &deleted
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListDeleted returns the deleted secrets of a vault that the caller may see, without values. The right is model.OpList.
func (s *Service) ListDeleted(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[model.Deleted[*model.Secret]], err error) {
	err = s.visible(ctx, by, vault, func(ctx context.Context, visible func(string) bool) error {
		found, err := s.store.ListDeleted(ctx, vault, model.Secrets, p, visible)
		out = model.MapList(found, deletedOf)
		return err
	})
	return out, err
}

// GetDeleted returns a deleted secret, without its value. The right is model.OpGet.
func (s *Service) GetDeleted(ctx context.Context, by model.Caller, id model.ID) (out *model.Deleted[*model.Secret], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		d, err := s.store.Deleted(ctx, id)
		if err != nil {
			return err
		}
		o.Detail = "deleted"
		deleted := deletedOf(*d)
		out = &deleted
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Recover undoes Delete. The right is model.OpRecover. ErrExists when another secret has got the name.
func (s *Service) Recover(ctx context.Context, by model.Caller, id model.ID) (out *model.Secret, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpRecover, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		if err := s.checkDeleted(ctx, id); err != nil {
			return err
		}
		v, err := s.store.Recover(ctx, id)
		if err != nil {
			return err
		}
		o.ID = v.ID
		out = secretOf(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Purge removes a deleted secret for good. The right is model.OpPurge. ErrProtected in a vault where nobody may.
func (s *Service) Purge(ctx context.Context, by model.Caller, id model.ID) error {
	id.Version = ""
	return s.do(ctx, by, model.OpPurge, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		if err := s.checkDeleted(ctx, id); err != nil {
			return err
		}
		return s.store.Purge(ctx, id)
	})
}
