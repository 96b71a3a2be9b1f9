package keystore

import (
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	saltSize = 12 // with the 12 bytes of GCM's nonce the 192 bits of XAES-256-GCM
	// aeadOverhead is by how much a ciphertext is longer than its plaintext.
	aeadOverhead = saltSize + 12 + 16
)

// newAEAD returns XAES-256-GCM under a key of 32 bytes. The ciphertext is salt, nonce,
// encrypted bytes and tag, without a prefix of tink's.
func newAEAD(key []byte) (tink.AEAD, error) {
	params, err := xaesgcm.NewParameters(xaesgcm.VariantNoPrefix, saltSize)
	if err != nil {
		return nil, err
	}
	k, err := xaesgcm.NewKey(secretdata.NewBytesFromData(key, insecuresecretdataaccess.Token{}), 0, params)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	h, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return aead.New(h)
}

// sealWith encrypts under a key that is used seldom.
func sealWith(key, plain, bound []byte) ([]byte, error) {
	a, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return a.Encrypt(plain, bound)
}

// openWith decrypts what sealWith made.
func openWith(key, sealed, bound []byte) ([]byte, error) {
	a, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return a.Decrypt(sealed, bound)
}
