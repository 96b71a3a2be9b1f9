package certificates

import (
	"context"
	"errors"
	"maps"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// Get returns a version with its certificate and the policy, the current one when id.Version is empty. A certificate is no
// secret: that it is disabled does not keep anybody from reading it. The right is model.OpGet.
func (s *Service) Get(ctx context.Context, by model.Caller, id model.ID) (out *model.Certificate, err error) {
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		o.ID = v.ID
		out, err = s.withPolicy(ctx, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) withPolicy(ctx context.Context, v *items.Version) (*model.Certificate, error) {
	c := certificateOf(v)
	var err error
	c.Policy, err = s.policy(ctx, v.ID)
	return c, err
}

// Update changes whether a version is enabled, and its tags, and those of its key and secret; the current one when id.Version is empty.
// Its times are those that the certificate says, and stay. The right is model.OpUpdate.
func (s *Service) Update(ctx context.Context, by model.Caller, id model.ID, c model.Change) (out *model.Certificate, err error) {
	err = s.do(ctx, by, model.OpUpdate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Update(ctx, id, func(v *items.Version) error { return items.Apply(v, own(c)) })
		if err != nil {
			return err
		}
		for _, kind := range []model.Kind{model.Keys, model.Secrets} {
			_, err := s.store.Update(ctx, of(v.ID, kind), func(other *items.Version) error {
				other.Enabled, other.Tags = v.Enabled, maps.Clone(v.Tags)
				return nil
			})
			if err != nil {
				return err
			}
		}
		o.ID = v.ID
		out, err = s.withPolicy(ctx, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// List returns the certificates of a vault that the caller may see, at their current versions and without policies. The
// right is model.OpList.
func (s *Service) List(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[*model.Certificate], err error) {
	err = s.visible(ctx, by, vault, func(ctx context.Context, visible func(string) bool) error {
		found, err := s.store.List(ctx, vault, model.Certificates, p, visible)
		out = model.MapList(found, certificateOf)
		return err
	})
	return out, err
}

// Versions returns the versions of a certificate without policies, the current one first. The right is model.OpList.
func (s *Service) Versions(ctx context.Context, by model.Caller, id model.ID, p model.Page) (out model.List[*model.Certificate], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpList, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		found, err := s.store.Versions(ctx, id, p)
		out = model.MapList(found, certificateOf)
		return err
	})
	return out, err
}

// each runs fn for the certificate and for its key and secret.
func each(id model.ID, fn func(id model.ID) error) error {
	var errs []error
	for _, kind := range []model.Kind{model.Certificates, model.Keys, model.Secrets} {
		if err := fn(of(id, kind)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
