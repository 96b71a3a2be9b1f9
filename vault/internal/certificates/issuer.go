package certificates

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// Provider is the provider of issuers that sign here: another certificate of the vault is the authority, named by AccountID.
const Provider = "Perdure"

// The bounds of issuers.
const (
	maxProvider     = 256
	maxOrganization = 16 << 10
	// maxAuthority leaves room for what listName adds.
	maxAuthority = model.MaxName - 33
)

// issuers are by vault (partition) and lower-case name (row).
var issuers = table.Of[model.Issuer]("perdure.vault.certificates.issuers")

func issuerKey(vault, name string) string {
	return table.Key{Partition: vault, Row: strings.ToLower(name)}.String()
}

// issuer returns an issuer of a vault.
func (s *Service) issuer(ctx context.Context, vault, name string) (*model.Issuer, error) {
	if err := model.CheckName(name); err != nil {
		return nil, err
	}
	i, err := issuers.Get(ctx, issuerKey(vault, name))
	if errors.Is(err, table.ErrNotFound) {
		return nil, fmt.Errorf("issuer %q of %q: %w", name, vault, model.ErrNotFound)
	}
	return i, err
}

// ListIssuers lists the issuers of a vault by their names. The right is model.OpListIssuers.
func (s *Service) ListIssuers(ctx context.Context, by model.Caller, vault string, p model.Page) (out model.List[*model.Issuer], err error) {
	err = s.ofVault(ctx, by, model.OpListIssuers, vault, "", func(ctx context.Context) error {
		size := p.Max
		if size <= 0 || size > model.PageSize {
			size = model.PageSize
		}
		page, next, err := table.Page(issuers.Scan(ctx, vault, table.After(p.Cursor)), size)
		if errors.Is(err, table.ErrCursor) {
			return invalid("cursor", "it is none of this list")
		}
		if err != nil {
			return err
		}
		out = model.List[*model.Issuer]{Items: make([]*model.Issuer, len(page)), Next: next}
		for i, row := range page {
			out.Items[i] = row.Value
		}
		return nil
	})
	return out, err
}

// Issuer returns an issuer. The right is model.OpGetIssuers.
func (s *Service) Issuer(ctx context.Context, by model.Caller, vault, name string) (out *model.Issuer, err error) {
	if err := model.CheckName(name); err != nil {
		return nil, err
	}
	err = s.ofVault(ctx, by, model.OpGetIssuers, vault, "issuer "+name, func(ctx context.Context) error {
		out, err = s.issuer(ctx, vault, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SetIssuer makes an issuer, or replaces it. That of another provider than "Perdure" is kept and signs nothing here. The right is
// model.OpSetIssuers.
func (s *Service) SetIssuer(ctx context.Context, by model.Caller, in model.Issuer) (out *model.Issuer, err error) {
	if err := model.CheckName(in.Name); err != nil {
		return nil, err
	}
	err = s.ofVault(ctx, by, model.OpSetIssuers, in.Vault, "issuer "+in.Name, func(ctx context.Context) error {
		next := in
		next.Created = s.now()
		switch old, err := s.issuer(ctx, in.Vault, in.Name); {
		case err == nil:
			next.Created, next.Name = old.Created, old.Name
		case !errors.Is(err, model.ErrNotFound):
			return err
		}
		out = &next
		return s.putIssuer(ctx, &next)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateIssuer changes an issuer by a function, which may run several times. The right is model.OpSetIssuers.
func (s *Service) UpdateIssuer(ctx context.Context, by model.Caller, vault, name string, change func(*model.Issuer) error) (out *model.Issuer, err error) {
	if err := model.CheckName(name); err != nil {
		return nil, err
	}
	err = s.ofVault(ctx, by, model.OpSetIssuers, vault, "issuer "+name, func(ctx context.Context) error {
		old, err := s.issuer(ctx, vault, name)
		if err != nil {
			return err
		}
		next := *old
		if err := change(&next); err != nil {
			return err
		}
		next.Vault, next.Name, next.Created = old.Vault, old.Name, old.Created
		out = &next
		return s.putIssuer(ctx, &next)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteIssuer removes an issuer and returns what it was. Certificates that it has issued stay, but do not get their next
// version by it. The right is model.OpDeleteIssuers.
func (s *Service) DeleteIssuer(ctx context.Context, by model.Caller, vault, name string) (out *model.Issuer, err error) {
	if err := model.CheckName(name); err != nil {
		return nil, err
	}
	err = s.ofVault(ctx, by, model.OpDeleteIssuers, vault, "issuer "+name, func(ctx context.Context) error {
		if out, err = s.issuer(ctx, vault, name); err != nil {
			return err
		}
		return issuers.Delete(ctx, issuerKey(vault, name))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) putIssuer(ctx context.Context, i *model.Issuer) error {
	switch {
	case strings.EqualFold(i.Name, pki.IssuerSelf) || strings.EqualFold(i.Name, pki.IssuerUnknown):
		return invalid("name", "%q is taken: it stands for no issuer", i.Name)
	case i.Provider == "" || len(i.Provider) > maxProvider:
		return invalid("provider", "want 1 to %d characters", maxProvider)
	case len(i.AccountID) > maxProvider:
		return invalid("credentials.account_id", "want at most %d characters", maxProvider)
	case len(i.Organization) > maxOrganization:
		return invalid("org_details", "want at most %d bytes", maxOrganization)
	}
	if strings.EqualFold(i.Provider, Provider) {
		if err := s.checkAuthority(ctx, i); err != nil {
			return err
		}
	}
	i.Updated = s.now()
	return issuers.Put(ctx, issuerKey(i.Vault, i.Name), i)
}

// checkAuthority reports why the account of an issuer is no authority of the vault.
func (s *Service) checkAuthority(ctx context.Context, i *model.Issuer) error {
	const field = "credentials.account_id"
	if model.CheckName(i.AccountID) != nil || len(i.AccountID) > maxAuthority {
		return invalid(field, "want the name of a certificate of this vault, of at most %d characters, that is an authority", maxAuthority)
	}
	v, err := s.store.Get(ctx, model.ID{Vault: i.Vault, Kind: model.Certificates, Name: i.AccountID})
	if errors.Is(err, model.ErrNotFound) {
		return invalid(field, "there is no certificate %q: make it first, with keyCertSign among its key usages", i.AccountID)
	}
	if err != nil {
		return err
	}
	t, err := textOf(v)
	if err != nil {
		return err
	}
	cert, _, err := t.parse()
	if err != nil {
		return err
	}
	if !cert.IsCA {
		return invalid(field, "the certificate %q is no authority: its policy needs keyCertSign among its key usages", i.AccountID)
	}
	return nil
}
