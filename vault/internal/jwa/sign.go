package jwa

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// Sign returns the signature of value by an algorithm: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA,
// HS256, HS384 or HS512. For RS, PS and ES the value is the digest of the message, by the hash of the algorithm; for EdDSA and
// HS, which hash otherwise, it is the message itself, of at most MaxData bytes. Signatures are those of JWS (RFC 7518
// section 3): for ES, r and s beside each other, each as long as the curve's field.
func (k *Key) Sign(alg string, value []byte) ([]byte, error) {
	a, err := k.toSign(alg, value)
	if err != nil {
		return nil, err
	}
	var sig []byte
	switch a.scheme {
	case pkcs1:
		sig, err = rsa.SignPKCS1v15(nil, k.rsa, a.hash, value)
	case pss:
		sig, err = rsa.SignPSS(rand.Reader, k.rsa, a.hash, value, saltAsHash)
	case ecdsaRaw:
		sig, err = k.signECDSA(value)
	case eddsa:
		sig = ed25519.Sign(k.ed, value)
	case hmacTag:
		sig = k.hmac(a, value)
	}
	if err != nil {
		return nil, fmt.Errorf("sign by %s: %w", alg, err)
	}
	return sig, nil
}

// Verify reports whether a signature is one that Sign could have made of value. A signature of a wrong length or form is
// not, and no error; a value that could not be signed is.
func (k *Key) Verify(alg string, value, signature []byte) (bool, error) {
	a, err := k.toSign(alg, value)
	if err != nil {
		return false, err
	}
	switch a.scheme {
	case pkcs1:
		return rsa.VerifyPKCS1v15(&k.rsa.PublicKey, a.hash, value, signature) == nil, nil
	case pss:
		return rsa.VerifyPSS(&k.rsa.PublicKey, a.hash, value, signature, saltAsHash) == nil, nil
	case ecdsaRaw:
		size := k.fieldSize()
		if len(signature) != 2*size {
			return false, nil
		}
		return ecdsa.Verify(&k.ec.PublicKey, value, bigInt(signature[:size]), bigInt(signature[size:])), nil
	case eddsa:
		return ed25519.Verify(ed25519.PublicKey(k.ed[ed25519.SeedSize:]), value, signature), nil
	}
	return hmac.Equal(k.hmac(a, value), signature), nil
}

// saltAsHash: RFC 7518 section 3.5 wants a salt as long as the digest.
var saltAsHash = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func (k *Key) toSign(alg string, value []byte) (algorithm, error) {
	a, err := k.algorithm(alg, signing, "signatures")
	if err != nil {
		return a, err
	}
	if a.scheme == eddsa || a.scheme == hmacTag {
		return a, checkData(value)
	}
	if len(value) != a.hash.Size() {
		return a, &model.FieldError{Field: "value", Detail: fmt.Sprintf("%s wants the %s digest of the message, %d bytes, not %d", alg, a.hash, a.hash.Size(), len(value))}
	}
	return a, nil
}

func checkData(value []byte) error {
	if len(value) > MaxData {
		return &model.FieldError{Field: "value", Detail: fmt.Sprintf("want at most %d bytes, not %d", MaxData, len(value))}
	}
	return nil
}

func (k *Key) fieldSize() int { return (k.ec.Params().BitSize + 7) / 8 }

func (k *Key) signECDSA(digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, k.ec, digest)
	if err != nil {
		return nil, err
	}
	size := k.fieldSize()
	sig := make([]byte, 2*size)
	r.FillBytes(sig[:size])
	s.FillBytes(sig[size:])
	return sig, nil
}

func (k *Key) hmac(a algorithm, message []byte) []byte {
	h := hmac.New(a.hash.New, k.oct)
	_, _ = h.Write(message) // never fails
	return h.Sum(nil)
}
