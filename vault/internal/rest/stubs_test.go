package rest_test

import (
	"context"
	"strings"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rest"
)

// stub answers for a service: by an error when it has one.
type stub[T any] struct {
	err error
	one T
	by  *model.Caller // who called last
	id  *model.ID
}

func (s *stub[T]) note(by model.Caller, id model.ID) {
	if s.by != nil {
		*s.by, *s.id = by, id
	}
}

func (s *stub[T]) Get(_ context.Context, by model.Caller, id model.ID) (T, error) {
	s.note(by, id)
	return s.one, s.err
}

func (s *stub[T]) List(_ context.Context, by model.Caller, vault string, _ model.Page) (model.List[T], error) {
	s.note(by, model.ID{Vault: vault})
	return model.List[T]{Items: []T{s.one}, Next: "a b&c"}, s.err
}

func (s *stub[T]) Versions(_ context.Context, by model.Caller, id model.ID, _ model.Page) (model.List[T], error) {
	s.note(by, id)
	return model.List[T]{Items: []T{s.one}}, s.err
}

func (s *stub[T]) Delete(_ context.Context, by model.Caller, id model.ID) (*model.Deleted[T], error) {
	s.note(by, id)
	return &model.Deleted[T]{Item: s.one}, s.err
}

func (s *stub[T]) ListDeleted(context.Context, model.Caller, string, model.Page) (model.List[model.Deleted[T]], error) {
	return model.List[model.Deleted[T]]{Items: []model.Deleted[T]{{Item: s.one}}}, s.err
}

func (s *stub[T]) GetDeleted(context.Context, model.Caller, model.ID) (*model.Deleted[T], error) {
	return &model.Deleted[T]{Item: s.one}, s.err
}
func (s *stub[T]) Recover(context.Context, model.Caller, model.ID) (T, error) { return s.one, s.err }
func (s *stub[T]) Purge(context.Context, model.Caller, model.ID) error        { return s.err }
func (s *stub[T]) Backup(context.Context, model.Caller, model.ID) ([]byte, error) {
	return []byte{0xfb, 0xff}, s.err
}
func (s *stub[T]) Restore(context.Context, model.Caller, string, []byte) (T, error) {
	return s.one, s.err
}

type stubSecrets struct{ stub[*model.Secret] }

func (s *stubSecrets) Set(_ context.Context, by model.Caller, id model.ID, _ model.SetSecret) (*model.Secret, error) {
	s.note(by, id)
	return s.one, s.err
}

func (s *stubSecrets) Update(context.Context, model.Caller, model.ID, model.Change) (*model.Secret, error) {
	return s.one, s.err
}

type stubKeys struct{ stub[*model.Key] }

func (s *stubKeys) Create(context.Context, model.Caller, model.ID, model.CreateKey) (*model.Key, error) {
	return s.one, s.err
}

func (s *stubKeys) Import(context.Context, model.Caller, model.ID, model.ImportKey) (*model.Key, error) {
	return s.one, s.err
}

func (s *stubKeys) Update(context.Context, model.Caller, model.ID, model.UpdateKey) (*model.Key, error) {
	return s.one, s.err
}

func (s *stubKeys) Rotate(context.Context, model.Caller, model.ID) (*model.Key, error) {
	return s.one, s.err
}

func (s *stubKeys) RotationPolicy(context.Context, model.Caller, model.ID) (*model.RotationPolicy, error) {
	return &model.RotationPolicy{}, s.err
}

func (s *stubKeys) SetRotationPolicy(_ context.Context, _ model.Caller, _ model.ID, p model.RotationPolicy) (*model.RotationPolicy, error) {
	return &p, s.err
}

func (s *stubKeys) Sign(_ context.Context, _ model.Caller, id model.ID, _ string, _ []byte) ([]byte, model.ID, error) {
	return []byte{1}, id, s.err
}

func (s *stubKeys) Verify(context.Context, model.Caller, model.ID, string, []byte, []byte) (bool, error) {
	return false, s.err
}

func (s *stubKeys) cipher(id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return &in, id, s.err
}

func (s *stubKeys) Encrypt(_ context.Context, _ model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return s.cipher(id, in)
}

func (s *stubKeys) Decrypt(_ context.Context, _ model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return s.cipher(id, in)
}

func (s *stubKeys) Wrap(_ context.Context, _ model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return s.cipher(id, in)
}

func (s *stubKeys) Unwrap(_ context.Context, _ model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return s.cipher(id, in)
}

func (s *stubKeys) Random(_ context.Context, _ model.Caller, _ string, n int) ([]byte, error) {
	return make([]byte, n), s.err
}

type stubCertificates struct{ stub[*model.Certificate] }

func (s *stubCertificates) pending(id model.ID) (*model.Pending, error) {
	return &model.Pending{ID: id, Status: "completed", RequestID: "r1"}, s.err
}

func (s *stubCertificates) Create(_ context.Context, _ model.Caller, id model.ID, _ model.CreateCertificate) (*model.Pending, error) {
	return s.pending(id)
}

func (s *stubCertificates) Pending(_ context.Context, _ model.Caller, id model.ID) (*model.Pending, error) {
	return s.pending(id)
}

func (s *stubCertificates) CancelPending(_ context.Context, _ model.Caller, id model.ID, _ bool) (*model.Pending, error) {
	return s.pending(id)
}

func (s *stubCertificates) DeletePending(_ context.Context, _ model.Caller, id model.ID) (*model.Pending, error) {
	return s.pending(id)
}

func (s *stubCertificates) Merge(context.Context, model.Caller, model.ID, [][]byte, model.Change) (*model.Certificate, error) {
	return s.one, s.err
}

func (s *stubCertificates) Import(context.Context, model.Caller, model.ID, model.ImportCertificate) (*model.Certificate, error) {
	return s.one, s.err
}

func (s *stubCertificates) Update(context.Context, model.Caller, model.ID, model.Change) (*model.Certificate, error) {
	return s.one, s.err
}

func (s *stubCertificates) Policy(context.Context, model.Caller, model.ID) (*model.Policy, error) {
	return &model.Policy{}, s.err
}

func (s *stubCertificates) SetPolicy(_ context.Context, _ model.Caller, _ model.ID, p *model.Policy) (*model.Policy, error) {
	return p, s.err
}

func (s *stubCertificates) ListIssuers(context.Context, model.Caller, string, model.Page) (model.List[*model.Issuer], error) {
	return model.List[*model.Issuer]{}, s.err
}

func (s *stubCertificates) Issuer(context.Context, model.Caller, string, string) (*model.Issuer, error) {
	return &model.Issuer{}, s.err
}

func (s *stubCertificates) SetIssuer(_ context.Context, _ model.Caller, in model.Issuer) (*model.Issuer, error) {
	return &in, s.err
}

func (s *stubCertificates) UpdateIssuer(_ context.Context, _ model.Caller, _, name string, change func(*model.Issuer) error) (*model.Issuer, error) {
	i := &model.Issuer{Name: name}
	if err := change(i); err != nil {
		return nil, err
	}
	return i, s.err
}

func (s *stubCertificates) DeleteIssuer(context.Context, model.Caller, string, string) (*model.Issuer, error) {
	return &model.Issuer{}, s.err
}

func (s *stubCertificates) Contacts(context.Context, model.Caller, string) ([]model.Contact, error) {
	return nil, s.err
}

func (s *stubCertificates) SetContacts(_ context.Context, _ model.Caller, _ string, all []model.Contact) ([]model.Contact, error) {
	return all, s.err
}

func (s *stubCertificates) DeleteContacts(context.Context, model.Caller, string) ([]model.Contact, error) {
	return nil, s.err
}

func (s *stubCertificates) CRL(_ context.Context, _, authority string) ([]byte, error) {
	return []byte(authority), s.err
}

// stubs are services that answer with an error; nil for items that say nothing.
func stubs(err error) rest.Options {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := func(kind model.Kind) model.ID {
		return model.ID{Vault: "one", Kind: kind, Name: "it", Version: strings.Repeat("0a", 16)}
	}
	attributes := model.Attributes{Enabled: true, Created: at, Updated: at}
	return rest.Options{
		Secrets:      &stubSecrets{stub[*model.Secret]{err: err, one: &model.Secret{ID: id(model.Secrets), Attributes: attributes, Value: "the-value"}}},
		Keys:         &stubKeys{stub[*model.Key]{err: err, one: &model.Key{ID: id(model.Keys), Attributes: attributes, Type: "oct-HSM", JWK: []byte(`{"kty":"oct","k":"AAAA"}`)}}},
		Certificates: &stubCertificates{stub[*model.Certificate]{err: err, one: &model.Certificate{ID: id(model.Certificates), Attributes: attributes, DER: []byte{1}}}},
	}
}
