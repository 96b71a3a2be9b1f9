package certificates

import (
	"context"
	"errors"
	"strings"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// Import makes a version of a certificate with its key that was made elsewhere: PKCS #12 in base64, or PEM. What stands in
// the certificate becomes its policy; of the policy that is sent along counts how the secret looks, whether the key can be exported
// and is used again, who issues the next version, and when. Without one nobody does (the issuer is "Unknown"). The right is model.OpImport; for
// an authority whose next version another one signs model.OpSetIssuers too.
func (s *Service) Import(ctx context.Context, by model.Caller, id model.ID, in model.ImportCertificate) (out *model.Certificate, err error) {
	id.Version = ""
	var b *pki.Bundle
	var p *model.Policy
	decode := func() (err error) {
		var contentType string
		if b, contentType, err = pki.Decode(in.Value, in.Password); err != nil {
			return invalid("value", "%v", err)
		}
		if _, err := jwa.New(b.Key); err != nil {
			return err
		}
		if p, err = importPolicy(b, contentType, in.Policy); err != nil {
			return err
		}
		return s.mayDelegate(ctx, by, id, p)
	}
	err = s.prepared(ctx, func() error {
		return s.do(ctx, by, model.OpImport, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
			if b == nil {
				return errPrepare
			}
			row, err := pending(ctx, id)
			if err != nil && !errors.Is(err, model.ErrNotFound) {
				return err
			}
			if row != nil && row.Status == statusInProgress {
				return inProgress(id)
			}
			policy := *p
			if old, err := s.store.Item(ctx, id); err == nil {
				if had, err := policyOf(old); err == nil {
					policy.Attributes.Created = had.Attributes.Created
				}
			}
			v, err := s.add(ctx, id, &issued{Bundle: b}, &policy, in.Change)
			if err != nil {
				return err
			}
			o.ID = v.ID
			out = certificateOf(v)
			out.Policy = &policy
			return nil
		})
	}, decode)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func importPolicy(b *pki.Bundle, contentType string, asked *model.Policy) (*model.Policy, error) {
	p := pki.PolicyOf(b.Certificate, true, contentType)
	if asked == nil {
		return p, nil
	}
	if asked.Key != (model.KeyProperties{}) {
		p.Key.Exportable, p.Key.Reuse = asked.Key.Exportable, asked.Key.Reuse
		if strings.TrimSuffix(asked.Key.Type, "-HSM") == p.Key.Type {
			p.Key.Type = asked.Key.Type
		}
	}
	if asked.Secret.ContentType != "" {
		p.Secret = asked.Secret
	}
	if asked.Lifetime != nil {
		p.Lifetime = asked.Lifetime
	}
	p.Attributes.Enabled = asked.Attributes.Enabled
	if asked.Issuer.Name == "" {
		return p, pki.Check(p)
	}
	p.Issuer = asked.Issuer
	p = pki.Complete(p)
	return p, pki.Check(p)
}
