package certificates

import (
	"context"
	"errors"
	"fmt"
	"net/mail"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// MaxContacts bounds the contacts of a vault.
const MaxContacts = 100

type contactsRow struct {
	Contacts []model.Contact `json:"contacts"`
}

// contacts are by vault.
var contacts = table.Of[contactsRow]("perdure.vault.certificates.contacts")

func contactsOf(ctx context.Context, vault string) ([]model.Contact, error) {
	row, err := contacts.Get(ctx, table.Key{Row: vault}.String())
	if errors.Is(err, table.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return row.Contacts, nil
}

// Contacts returns who is told of the certificates of a vault; nil for nobody. The right is model.OpManageContacts.
func (s *Service) Contacts(ctx context.Context, by model.Caller, vault string) (out []model.Contact, err error) {
	err = s.ofVault(ctx, by, model.OpManageContacts, vault, "", func(ctx context.Context) error {
		out, err = contactsOf(ctx, vault)
		return err
	})
	return out, err
}

// SetContacts says who is told of the certificates of a vault. The right is model.OpManageContacts.
func (s *Service) SetContacts(ctx context.Context, by model.Caller, vault string, all []model.Contact) ([]model.Contact, error) {
	if len(all) > MaxContacts {
		return nil, invalid("contacts", "there are %d, at most %d are allowed", len(all), MaxContacts)
	}
	for i, c := range all {
		a, err := mail.ParseAddress(c.Email)
		if err != nil || a.Address != c.Email || len(c.Email) > 254 {
			return nil, invalid(fmt.Sprintf("contacts[%d].email", i), "%.255q: want an address such as who@example.com", c.Email)
		}
		if len(c.Name) > 256 || len(c.Phone) > 64 {
			return nil, invalid(fmt.Sprintf("contacts[%d]", i), "want at most 256 characters for the name, and 64 for the phone")
		}
	}
	err := s.ofVault(ctx, by, model.OpManageContacts, vault, fmt.Sprintf("%d set", len(all)), func(ctx context.Context) error {
		return contacts.Put(ctx, table.Key{Row: vault}.String(), &contactsRow{Contacts: all})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// DeleteContacts makes nobody be told, and returns who was. The right is model.OpManageContacts. ErrNotFound: nobody was.
func (s *Service) DeleteContacts(ctx context.Context, by model.Caller, vault string) (out []model.Contact, err error) {
	err = s.ofVault(ctx, by, model.OpManageContacts, vault, "deleted", func(ctx context.Context) error {
		if out, err = contactsOf(ctx, vault); err != nil {
			return err
		}
		err := contacts.Delete(ctx, table.Key{Row: vault}.String())
		if errors.Is(err, table.ErrNotFound) {
			return fmt.Errorf("contacts of %q: %w", vault, model.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
