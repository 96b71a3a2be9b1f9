package certificates

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// TakeOffline returns the current version of an authority with its key, in PEM, and takes the key out of the vault: it can be had
// once, and whatever the authority signs from then on is signed where the key is: certificates, which Merge takes, and lists of what
// is revoked, which SetCRL takes. The last list that is made here is good for a year. The certificate stays, and what it has signed
// stays good. Older versions keep their keys. The right is model.OpPurge, since the vault loses the key for good; the
// policy must let it be exported. The key is still in backups that were made before.
func (s *Service) TakeOffline(ctx context.Context, by model.Caller, id model.ID) (out []byte, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpPurge, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		o.ID, o.Detail = v.ID, "the key was taken out"
		p, err := s.policy(ctx, v.ID)
		if err != nil {
			return err
		}
		t, err := textOf(v)
		if err != nil {
			return err
		}
		switch {
		case !pki.IsAuthority(p):
			return invalid("name", "%q is no authority", v.Name)
		case !p.Key.Exportable:
			return invalid("name", "the key of %q cannot be exported", v.Name)
		case t.Offline:
			return invalid("name", "the key of %q was taken out before", v.Name)
		}
		a, err := s.open(ctx, v, t)
		if err != nil {
			return err
		}
		b := &pki.Bundle{Key: a.Key, Certificate: a.Certificate, Chain: a.Chain}
		if out, err = b.PEM(); err != nil {
			return err
		}
		b.Key = nil
		if err := s.lastList(ctx, v, a); err != nil {
			return err
		}
		return s.withoutKey(ctx, v, t, b)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// lastList makes the list that stays until SetCRL brings another.
func (s *Service) lastList(ctx context.Context, v *items.Version, a *pki.Authority) error {
	row, err := lists.Get(ctx, listKey(v.Vault, v.Version))
	if errors.Is(err, table.ErrNotFound) {
		row, err = &listRow{}, nil
	}
	if err != nil {
		return err
	}
	next := s.env.Now().Add(listLast)
	if end := a.Certificate.NotAfter; next.After(end) {
		next = end
	}
	return s.makeList(ctx, v, a, row, next)
}

// withoutKey takes the key of a version away: it is disabled, so that what has it in memory does not use it either.
func (s *Service) withoutKey(ctx context.Context, v *items.Version, t *text, b *pki.Bundle) error {
	if err := s.store.Reseal(ctx, of(v.ID, model.Keys), nil); err != nil {
		return err
	}
	if _, err := s.store.Update(ctx, of(v.ID, model.Keys), func(k *items.Version) error {
		k.Enabled = false
		return nil
	}); err != nil {
		return err
	}
	plain, err := b.PEM()
	if err != nil {
		return err
	}
	if err := s.store.Reseal(ctx, of(v.ID, model.Secrets), plain); err != nil {
		return err
	}
	if _, err := s.store.Update(ctx, of(v.ID, model.Secrets), func(c *items.Version) error {
		c.ContentType = pki.TypePEM
		return nil
	}); err != nil {
		return err
	}
	t.Offline = true
	encoded, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if _, err := s.store.Update(ctx, v.ID, func(c *items.Version) error {
		c.Public = encoded
		return nil
	}); err != nil {
		return err
	}
	return dropLife(ctx, v.ID) // nobody here can make the next version of it
}
