package keystore

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// MaxDerived bounds what Derive returns, in bytes (RFC 5869: 255 blocks).
const MaxDerived = 255 * sha256.Size

// macSize is the size of the keys of MAC.
const macSize = sha256.Size

// Derive returns n secret bytes for a purpose, such as the key of a cookie: the same ones after
// each start, after RotateKey and after a change of the master key. Those of two purposes, and
// of two lengths, have nothing to do with each other. It panics when n is not 1 to MaxDerived or
// the purpose is empty, which are mistakes of the caller.
func (k *Keystore) Derive(purpose string, n int) []byte { return k.derive("derive", purpose, n) }

func (k *Keystore) derive(use, purpose string, n int) []byte {
	if n < 1 || n > MaxDerived || purpose == "" {
		panic(fmt.Sprintf("keystore: %d bytes derived for purpose %q; want 1 to %d, for a purpose", n, purpose, MaxDerived))
	}
	info := fmt.Sprintf("perdure %s v1\x00%d\x00%s", use, n, purpose)
	out, err := hkdf.Key(sha256.New, k.ring.Load().root[:], nil, info, n)
	if err != nil {
		panic(fmt.Sprintf("keystore: derive: %v", err)) // n is in bounds
	}
	return out
}

// MAC returns a code of 32 bytes that data was authenticated for a purpose (HMAC-SHA-256). As
// the keys of Derive, that of a purpose stays.
func (k *Keystore) MAC(purpose string, data []byte) []byte {
	m := hmac.New(sha256.New, k.derive("mac", purpose, macSize))
	_, _ = m.Write(data) // never fails
	return m.Sum(nil)
}

// Verify reports whether mac is what MAC returns, in the same time whatever it is.
func (k *Keystore) Verify(purpose string, data, mac []byte) bool {
	return hmac.Equal(k.MAC(purpose, data), mac)
}
