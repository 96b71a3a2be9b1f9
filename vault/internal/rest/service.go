package rest

import (
	"context"

	"github.com/perdure/perdure/vault/internal/model"
)

// Items is what can be done with every kind of item. T is a version of one.
type Items[T any] interface {
	Get(ctx context.Context, by model.Caller, id model.ID) (T, error)
	List(ctx context.Context, by model.Caller, vault string, p model.Page) (model.List[T], error)
	Versions(ctx context.Context, by model.Caller, id model.ID, p model.Page) (model.List[T], error)
	Delete(ctx context.Context, by model.Caller, id model.ID) (*model.Deleted[T], error)
	ListDeleted(ctx context.Context, by model.Caller, vault string, p model.Page) (model.List[model.Deleted[T]], error)
	GetDeleted(ctx context.Context, by model.Caller, id model.ID) (*model.Deleted[T], error)
	Recover(ctx context.Context, by model.Caller, id model.ID) (T, error)
	Purge(ctx context.Context, by model.Caller, id model.ID) error
	Backup(ctx context.Context, by model.Caller, id model.ID) ([]byte, error)
	Restore(ctx context.Context, by model.Caller, vault string, backup []byte) (T, error)
}

// Secrets are the secrets of all vaults.
type Secrets interface {
	Items[*model.Secret]
	Set(ctx context.Context, by model.Caller, id model.ID, in model.SetSecret) (*model.Secret, error)
	Update(ctx context.Context, by model.Caller, id model.ID, c model.Change) (*model.Secret, error)
}

// Keys are the keys of all vaults.
type Keys interface {
	Items[*model.Key]
	Create(ctx context.Context, by model.Caller, id model.ID, in model.CreateKey) (*model.Key, error)
	Import(ctx context.Context, by model.Caller, id model.ID, in model.ImportKey) (*model.Key, error)
	Update(ctx context.Context, by model.Caller, id model.ID, in model.UpdateKey) (*model.Key, error)
	Rotate(ctx context.Context, by model.Caller, id model.ID) (*model.Key, error)
	RotationPolicy(ctx context.Context, by model.Caller, id model.ID) (*model.RotationPolicy, error)
	SetRotationPolicy(ctx context.Context, by model.Caller, id model.ID, p model.RotationPolicy) (*model.RotationPolicy, error)
	Sign(ctx context.Context, by model.Caller, id model.ID, alg string, digest []byte) ([]byte, model.ID, error)
	Verify(ctx context.Context, by model.Caller, id model.ID, alg string, digest, signature []byte) (bool, error)
	Encrypt(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error)
	Decrypt(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error)
	Wrap(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error)
	Unwrap(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error)
	Random(ctx context.Context, by model.Caller, vault string, n int) ([]byte, error)
}

// Certificates are the certificates of all vaults, with who signs them and who is told of their end.
type Certificates interface {
	Items[*model.Certificate]
	Create(ctx context.Context, by model.Caller, id model.ID, in model.CreateCertificate) (*model.Pending, error)
	Pending(ctx context.Context, by model.Caller, id model.ID) (*model.Pending, error)
	CancelPending(ctx context.Context, by model.Caller, id model.ID, cancel bool) (*model.Pending, error)
	DeletePending(ctx context.Context, by model.Caller, id model.ID) (*model.Pending, error)
	Merge(ctx context.Context, by model.Caller, id model.ID, chain [][]byte, c model.Change) (*model.Certificate, error)
	Import(ctx context.Context, by model.Caller, id model.ID, in model.ImportCertificate) (*model.Certificate, error)
	Update(ctx context.Context, by model.Caller, id model.ID, c model.Change) (*model.Certificate, error)
	Policy(ctx context.Context, by model.Caller, id model.ID) (*model.Policy, error)
	SetPolicy(ctx context.Context, by model.Caller, id model.ID, p *model.Policy) (*model.Policy, error)
	ListIssuers(ctx context.Context, by model.Caller, vault string, p model.Page) (model.List[*model.Issuer], error)
	Issuer(ctx context.Context, by model.Caller, vault, name string) (*model.Issuer, error)
	SetIssuer(ctx context.Context, by model.Caller, in model.Issuer) (*model.Issuer, error)
	UpdateIssuer(ctx context.Context, by model.Caller, vault, name string, change func(*model.Issuer) error) (*model.Issuer, error)
	DeleteIssuer(ctx context.Context, by model.Caller, vault, name string) (*model.Issuer, error)
	Contacts(ctx context.Context, by model.Caller, vault string) ([]model.Contact, error)
	SetContacts(ctx context.Context, by model.Caller, vault string, all []model.Contact) ([]model.Contact, error)
	DeleteContacts(ctx context.Context, by model.Caller, vault string) ([]model.Contact, error)
	CRL(ctx context.Context, vault, authority string) ([]byte, error)
}
