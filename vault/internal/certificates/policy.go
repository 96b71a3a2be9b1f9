package certificates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// Policy returns the policy of a certificate. The right is model.OpGet.
func (s *Service) Policy(ctx context.Context, by model.Caller, id model.ID) (out *model.Policy, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpGet, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		o.Detail = "policy"
		out, err = s.policy(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SetPolicy gives a certificate a policy, for its next versions; what it leaves out is as with Azure. The right is
// model.OpUpdate, and model.OpSetIssuers as for Create.
func (s *Service) SetPolicy(ctx context.Context, by model.Caller, id model.ID, p *model.Policy) (out *model.Policy, err error) {
	if p == nil {
		return nil, invalid("policy", "is missing")
	}
	p = pki.Complete(p)
	if err := pki.Check(p); err != nil {
		return nil, err
	}
	if err := s.mayDelegate(ctx, by, id, p); err != nil {
		return nil, err
	}
	id.Version = ""
	err = s.do(ctx, by, model.OpUpdate, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		o.Detail = "policy"
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		next := *p
		old, err := s.policy(ctx, id)
		if err != nil {
			return err
		}
		next.Attributes.Created = old.Attributes.Created
		if err := s.setPolicy(ctx, v.ID, &next); err != nil {
			return err
		}
		out = &next
		return s.live(ctx, v.ID, &next, v.NotBefore, v.Expires)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// mayDelegate checks the right to have an authority signed by another one, which is as much as to set an issuer: what an authority
// signs is trusted as the one above it is.
func (s *Service) mayDelegate(ctx context.Context, by model.Caller, id model.ID, p *model.Policy) error {
	if !delegation(p) {
		return nil
	}
	if err := model.CheckName(id.Name); err != nil {
		return err
	}
	return s.ofVault(ctx, by, model.OpSetIssuers, id.Vault, fmt.Sprintf("authority %q below issuer %q", id.Name, p.Issuer.Name), func(context.Context) error { return nil })
}

// delegation reports whether a policy is for an authority that another one of the vault signs.
func delegation(p *model.Policy) bool {
	return pki.IsAuthority(p) && p.Issuer.Name != pki.IssuerSelf && p.Issuer.Name != pki.IssuerUnknown
}

// policy reads the policy of an item, or of the first version that is being made.
func (s *Service) policy(ctx context.Context, id model.ID) (*model.Policy, error) {
	item, err := s.store.Item(ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		if row, err := pending(ctx, id); err == nil && row.Policy != nil && row.Status == statusInProgress {
			return row.Policy, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return policyOf(item)
}

func policyOf(item *items.Item) (*model.Policy, error) {
	p := new(model.Policy)
	if err := json.Unmarshal(item.Policy, p); err != nil {
		return nil, fmt.Errorf("policy of %q: malformed row: %w", item.Name, err)
	}
	return p, nil
}

// setPolicy writes the policy of an item and its times.
func (s *Service) setPolicy(ctx context.Context, id model.ID, p *model.Policy) error {
	now := s.now()
	if p.Attributes.Created.IsZero() {
		p.Attributes.Created = now
	}
	p.Attributes.Updated = now
	encoded, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.store.SetPolicy(ctx, id, encoded)
}
