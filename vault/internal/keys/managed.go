package keys

import (
	"context"
	"crypto"
	"fmt"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// AddManaged makes a version of a key that belongs to the certificate of the same name and version, in the unit of work of
// ctx. Private is what jwa.New takes: an *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey. Ops are its key_ops, none for
// all that its type can do; the times are those of the certificate. It asks for no right and writes no audit
// entry: that is for who makes the certificate. ErrExists: a key of that name is there without a certificate.
func (s *Service) AddManaged(ctx context.Context, id model.ID, private any, ops []string, a model.Attributes, tags map[string]string) error {
	id.Kind = model.Keys
	k, err := jwa.New(private)
	if err != nil {
		return err
	}
	if ops, err = opsFor(k.Spec(), ops); err != nil {
		return err
	}
	v := &items.Version{ID: id, Attributes: a, Managed: true}
	if err := items.Apply(v, model.Change{Tags: tags}); err != nil {
		return err
	}
	return s.add(ctx, v, k, false, ops)
}

// Signer returns the private key of a version, the current one when id.Version is empty, in the unit of work of ctx: an
// *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey, which must not be changed. It asks for no right: that is for who signs a certificate with
// it. ErrDisabled: the version is. ErrOperation: it is a symmetric key. Its times do not count.
func (s *Service) Signer(ctx context.Context, id model.ID) (crypto.Signer, error) {
	id.Kind = model.Keys
	v, err := s.store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if !v.Enabled {
		return nil, fmt.Errorf("%q: %w", v.ID.String(), model.ErrDisabled)
	}
	k, err := s.open(ctx, v)
	if err != nil {
		return nil, err
	}
	return k.Signer()
}

// open returns the key of a version, from memory if it is there.
func (s *Service) open(ctx context.Context, v *items.Version) (*jwa.Key, error) {
	if k := s.cache.get(v.ID); k != nil {
		return k, nil
	}
	secret, err := s.store.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	k, err := jwa.Decode(secret)
	if err != nil {
		return nil, fmt.Errorf("vault: %q: %w", v.ID.String(), err)
	}
	s.cache.put(v.ID, k)
	return k, nil
}
