package secrets

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// Set gives a secret a new value, and makes the secret when there is none. The right is model.OpSet. It is enabled unless
// set says otherwise, and takes nothing from the version before.
func (s *Service) Set(ctx context.Context, by model.Caller, id model.ID, set model.SetSecret) (*model.Secret, error) {
	secret, err := s.set(ctx, by, id, set, "")
	if err == nil {
		secret.Value = set.Value
	}
	return secret, err
}

func (s *Service) set(ctx context.Context, by model.Caller, id model.ID, set model.SetSecret, detail string) (out *model.Secret, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpSet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		if err := checkValue(set.Value); err != nil {
			return err
		}
		v := &items.Version{ID: id, Attributes: model.Attributes{Enabled: true}}
		if err := items.Apply(v, set.Change); err != nil {
			return err
		}
		value := []byte(set.Value)
		defer clear(value)
		if err := s.store.Add(ctx, v, value); err != nil {
			return err
		}
		o.ID, o.Detail = v.ID, detail
		out = secretOf(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func checkValue(value string) error {
	switch {
	case len(value) > model.MaxSecret:
		return &model.FieldError{Field: "value", Detail: fmt.Sprintf("it has %d bytes, at most %d are allowed", len(value), model.MaxSecret)}
	case !utf8.ValidString(value):
		return &model.FieldError{Field: "value", Detail: "it is not UTF-8: put bytes in base64"}
	}
	return nil
}

// Get returns a version with its value, the current one when id.Version is empty. The right is model.OpGet. ErrDisabled when
// the version is; its times do not count.
func (s *Service) Get(ctx context.Context, by model.Caller, id model.ID) (out *model.Secret, err error) {
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		if !v.Enabled {
			return fmt.Errorf("%q: %w", v.ID.String(), model.ErrDisabled)
		}
		value, err := s.store.Open(ctx, v)
		if err != nil {
			return err
		}
		defer clear(value)
		if value == nil {
			return fmt.Errorf("vault: %q has lost its value", v.ID.String())
		}
		o.ID = v.ID
		out = secretOf(v)
		out.Value = string(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Update changes what is not the value of a version, of the current one when id.Version is empty. The right is model.OpUpdate.
func (s *Service) Update(ctx context.Context, by model.Caller, id model.ID, c model.Change) (out *model.Secret, err error) {
	err = s.do(ctx, by, model.OpUpdate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Update(ctx, id, func(v *items.Version) error {
			if v.Managed {
				return managed(id)
			}
			return items.Apply(v, c)
		})
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

// List returns the secrets of a vault that the caller may see, at their current versions and without values. The right is model.OpList.
func (s *Service) List(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[*model.Secret], err error) {
	err = s.visible(ctx, by, vault, func(ctx context.Context, visible func(string) bool) error {
		found, err := s.store.List(ctx, vault, model.Secrets, p, visible)
		out = model.MapList(found, secretOf)
		return err
	})
	return out, err
}

// Versions returns the versions of a secret without values, the current one first. The right is model.OpList.
func (s *Service) Versions(ctx context.Context, by model.Caller, id model.ID, p model.Page) (out model.List[*model.Secret], err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpList, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		found, err := s.store.Versions(ctx, id, p)
		out = model.MapList(found, secretOf)
		return err
	})
	return out, err
}

// Backup returns a secret with all its versions, sealed. The right is model.OpBackup.
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

// Restore makes the secret of a backup, under its own name. The right is model.OpRestore, for that name. ErrExists when
// something has the name.
func (s *Service) Restore(ctx context.Context, by model.Caller, vault string, backup []byte) (out *model.Secret, err error) {
	_, name, err := items.BackupOf(backup)
	if err != nil {
		return nil, err
	}
	err = s.do(ctx, by, model.OpRestore, model.ID{Vault: vault, Name: name}, func(ctx context.Context, _ model.ID, o *model.Operation) error {
		v, err := s.store.Restore(ctx, vault, model.Secrets, backup)
		if err != nil {
			return err
		}
		if v.Managed {
			return managed(v.ID)
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

// checkLive reports why a secret must not be changed by this service.
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
