package jwa

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// decrypt15 is RSAES-PKCS1-v1_5 with implicit rejection: instead of an error for a wrong padding it gives bytes that depend on
// key and value alone and cannot be told from a message (draft-irtf-cfrg-rsa-guidance, section 7). With an error, whoever may
// decrypt could also sign. The bytes are made before anything is known of the padding, so that the time does not tell.
func (k *Key) decrypt15(value []byte) ([]byte, error) {
	if bigInt(value).Cmp(k.rsa.N) >= 0 { // of no encryption; everybody can tell
		return nil, model.ErrCiphertext
	}
	instead := k.rejected(value)
	//lint:ignore SA1019 clients of Azure Key Vault have it; whether it fails is not told to anybody
	plain, err := rsa.DecryptPKCS1v15(nil, k.rsa, value)
	switch {
	case errors.Is(err, rsa.ErrDecryption):
		return instead, nil
	case err != nil: // nothing of this value
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return plain, nil
}

// rejected is what stands for the message of a value without one.
func (k *Key) rejected(value []byte) []byte {
	secret := sha256.New()
	_, _ = secret.Write([]byte("perdure rsa1_5 rejection v1\x00"))
	_, _ = secret.Write(k.rsa.D.FillBytes(make([]byte, k.rsa.Size())))
	seed := hmac.New(sha256.New, secret.Sum(nil))
	_, _ = seed.Write(value)
	key := seed.Sum(nil)

	block := func(n uint32) []byte {
		h := hmac.New(sha256.New, key)
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, n))
		return h.Sum(nil)
	}
	most := k.rsa.Size() - 11
	var out []byte
	for n := uint32(1); len(out) < most; n++ {
		out = append(out, block(n)...)
	}
	// A length of 64 bits modulo some hundred is even enough.
	return out[:binary.BigEndian.Uint64(block(0))%uint64(most+1)]
}
