package keys

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// use is a use of keys.
type use struct {
	op   model.Op // the right
	need string   // of the version's ops
	past bool     // it is for what was made before: times do not count
}

var (
	signing    = use{op: model.OpSign, need: opSign}
	verifying  = use{op: model.OpVerify, need: opVerify, past: true}
	encrypting = use{op: model.OpEncrypt, need: opEncrypt}
	decrypting = use{op: model.OpDecrypt, need: opDecrypt, past: true}
	wrapping   = use{op: model.OpWrap, need: opWrap}
	unwrapping = use{op: model.OpUnwrap, need: opUnwrap, past: true}
)

// using runs fn with the key of a version, if the version is for that use and may be used now. The unit may run several
// times, and fn does once for each version that it finds.
func using[T any](ctx context.Context, s *Service, by model.Caller, u use, id model.ID, alg string, fn func(*jwa.Key) (T, error)) (out T, used model.ID, err error) {
	err = s.do(ctx, by, u.op, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		p, err := publicOf(v)
		if err != nil {
			return err
		}
		switch {
		case !v.Enabled:
			return fmt.Errorf("%q: %w", v.ID.String(), model.ErrDisabled)
		case !u.past:
			if err := v.Usable(s.env.Now()); err != nil {
				return fmt.Errorf("%q: %w", v.ID.String(), err)
			}
		}
		if !slices.Contains(p.Ops, u.need) {
			return fmt.Errorf("%q: %w: its key_ops have no %s", v.ID.String(), model.ErrOperation, u.need)
		}
		if used != v.ID {
			k, err := s.open(ctx, v)
			if err != nil {
				return err
			}
			if out, err = fn(k); err != nil {
				return err
			}
			used = v.ID
		}
		o.ID, o.Detail = v.ID, alg
		return nil
	})
	if err != nil {
		var none T
		return none, model.ID{}, err
	}
	return out, used, nil
}

// Sign signs with a version, the current one when id.Version is empty, and returns which it was. The right is model.OpSign. What the digest
// is, and the signature, jwa.Key.Sign says.
func (s *Service) Sign(ctx context.Context, by model.Caller, id model.ID, alg string, digest []byte) ([]byte, model.ID, error) {
	return using(ctx, s, by, signing, id, alg, func(k *jwa.Key) ([]byte, error) { return k.Sign(alg, digest) })
}

// Verify reports whether a signature is one of a version, the current one when id.Version is empty. The right is model.OpVerify.
func (s *Service) Verify(ctx context.Context, by model.Caller, id model.ID, alg string, digest, signature []byte) (bool, error) {
	ok, _, err := using(ctx, s, by, verifying, id, alg, func(k *jwa.Key) (bool, error) { return k.Verify(alg, digest, signature) })
	return ok, err
}

// Encrypt encrypts with a version, the current one when id.Version is empty, and returns which it was: what decrypts has to name it. The
// right is model.OpEncrypt.
func (s *Service) Encrypt(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return using(ctx, s, by, encrypting, id, in.Alg, func(k *jwa.Key) (*model.Cipher, error) { return k.Encrypt(&in) })
}

// Decrypt decrypts what that version has encrypted. The right is model.OpDecrypt. What jwa.Key.Decrypt says of RSA1_5 and CBC is
// worth reading.
func (s *Service) Decrypt(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return using(ctx, s, by, decrypting, id, in.Alg, func(k *jwa.Key) (*model.Cipher, error) { return k.Decrypt(&in) })
}

// Wrap encrypts a key with a version, the current one when id.Version is empty, and returns which it was. The right is model.OpWrap.
func (s *Service) Wrap(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return using(ctx, s, by, wrapping, id, in.Alg, func(k *jwa.Key) (*model.Cipher, error) { return k.Wrap(&in) })
}

// Unwrap decrypts a key that that version has wrapped. The right is model.OpUnwrap.
func (s *Service) Unwrap(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error) {
	return using(ctx, s, by, unwrapping, id, in.Alg, func(k *jwa.Key) (*model.Cipher, error) { return k.Unwrap(&in) })
}

// MaxRandom bounds the bytes of one Random.
const MaxRandom = 128

// Random returns n random bytes, 1 to MaxRandom. The right is model.OpGet for some key of the vault.
func (s *Service) Random(ctx context.Context, by model.Caller, vault string, n int) ([]byte, error) {
	o := model.Operation{ID: model.ID{Vault: vault}, Op: model.OpGet, Detail: "random bytes"}
	err := s.visible(ctx, by, o, func(context.Context, func(string) bool) error {
		if n < 1 || n > MaxRandom {
			return &model.FieldError{Field: "count", Detail: fmt.Sprintf("want 1 to %d", MaxRandom)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b, nil
}
