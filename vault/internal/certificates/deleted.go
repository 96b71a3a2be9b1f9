package certificates

import (
	"context"
	"fmt"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

func (s *Service) deletedOf(ctx context.Context, d *model.Deleted[*items.Version]) (*model.Deleted[*model.Certificate], error) {
	c := certificateOf(d.Item)
	item, err := s.store.DeletedItem(ctx, d.Item.ID)
	if err != nil {
		return nil, err
	}
	if c.Policy, err = policyOf(item); err != nil {
		return nil, err
	}
	return &model.Deleted[*model.Certificate]{Item: c, Deletion: d.Deletion}, nil
}

// Delete deletes a certificate with its key, its secret and all their versions, and the request of one that is being made. It can be
// recovered until its Deletion.PurgeAt. The right is model.OpDelete.
func (s *Service) Delete(ctx context.Context, by model.Caller, id model.ID) (out *model.Deleted[*model.Certificate], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpDelete, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		d, err := s.store.Delete(ctx, id)
		if err != nil {
			return err
		}
		for _, kind := range []model.Kind{model.Keys, model.Secrets} {
			if _, err := s.store.Delete(ctx, of(id, kind)); err != nil {
				return err
			}
		}
		if err := dropPending(ctx, id); err != nil {
			return err
		}
		if err := dropLife(ctx, id); err != nil {
			return err
		}
		o.ID = d.Item.ID
		out, err = s.deletedOf(ctx, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListDeleted returns the deleted certificates of a vault that the caller may see, without policies. The right is
// model.OpList.
func (s *Service) ListDeleted(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[model.Deleted[*model.Certificate]], err error) {
	err = s.visible(ctx, by, vault, func(ctx context.Context, visible func(string) bool) error {
		found, err := s.store.ListDeleted(ctx, vault, model.Certificates, p, visible)
		out = model.MapList(found, func(d model.Deleted[*items.Version]) model.Deleted[*model.Certificate] {
			return model.Deleted[*model.Certificate]{Item: certificateOf(d.Item), Deletion: d.Deletion}
		})
		return err
	})
	return out, err
}

// GetDeleted returns a deleted certificate with its policy. The right is model.OpGet.
func (s *Service) GetDeleted(ctx context.Context, by model.Caller, id model.ID) (out *model.Deleted[*model.Certificate], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		d, err := s.store.Deleted(ctx, id)
		if err != nil {
			return err
		}
		o.ID, o.Detail = d.Item.ID, "deleted"
		out, err = s.deletedOf(ctx, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Recover undoes Delete. The right is model.OpRecover. ErrExists when something else has got the name.
func (s *Service) Recover(ctx context.Context, by model.Caller, id model.ID) (out *model.Certificate, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpRecover, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		if err := s.checkWhole(ctx, id); err != nil {
			return err
		}
		v, err := s.store.Recover(ctx, id)
		if err != nil {
			return err
		}
		for _, kind := range []model.Kind{model.Keys, model.Secrets} {
			if _, err := s.store.Recover(ctx, of(id, kind)); err != nil {
				return err
			}
		}
		o.ID = v.ID
		out, err = s.again(ctx, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// again takes up the life of a certificate that is back.
func (s *Service) again(ctx context.Context, v *items.Version) (*model.Certificate, error) {
	c, err := s.withPolicy(ctx, v)
	if err != nil {
		return nil, err
	}
	return c, s.live(ctx, v.ID, c.Policy, v.NotBefore, v.Expires)
}

// Purge removes a deleted certificate with its key and secret for good. The right is model.OpPurge. ErrProtected in a vault where
// nobody may.
func (s *Service) Purge(ctx context.Context, by model.Caller, id model.ID) error {
	id.Version = ""
	return s.do(ctx, by, model.OpPurge, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		if err := s.checkWhole(ctx, id); err != nil {
			return err
		}
		return each(id, func(id model.ID) error { return s.store.Purge(ctx, id) })
	})
}

// checkWhole reports that another deleted key or secret is in the way, where names are used again: what is recovered and purged
// is what was deleted last.
func (s *Service) checkWhole(ctx context.Context, id model.ID) error {
	c, err := s.store.DeletedItem(ctx, id)
	if err != nil {
		return err
	}
	for _, kind := range []model.Kind{model.Keys, model.Secrets} {
		other, err := s.store.DeletedItem(ctx, of(id, kind))
		if err != nil {
			return err
		}
		if !other.Managed || other.Current != c.Current {
			return fmt.Errorf("deleted %q is no certificate's, and was deleted after that of the certificate: recover or purge it first: %w", of(id, kind).String(), model.ErrExists)
		}
	}
	return nil
}
