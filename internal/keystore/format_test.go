package keystore_test

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/perdure/perdure/internal/keystore"
)

// What is sealed is XAES-256-GCM as C2SP defines it, behind the header that doc says: anyone
// can open it who has the keys, also without this package and tink.
func TestSealedIsXAES256GCM(t *testing.T) {
	t.Parallel()
	k := keystore.NewMemory()
	sealed := seal(t, k, "purpose", "plain")
	secrets := k.Secrets()
	key, header, nonce := secrets[len(secrets)-1], sealed[:9], sealed[9:33]

	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	// K1 of CMAC, then the key of the message by two blocks of CMAC in counter mode.
	var k1 [16]byte
	block.Encrypt(k1[:], k1[:])
	top := byte(0)
	for i := 15; i >= 0; i-- {
		k1[i], top = k1[i]<<1|top, k1[i]>>7
	}
	k1[15] ^= top * 0x87
	messageKey := make([]byte, 32)
	for i := range 2 {
		m := append([]byte{0, byte(i + 1), 'X', 0}, nonce[:12]...)
		for j := range m {
			m[j] ^= k1[j]
		}
		block.Encrypt(messageKey[i*16:], m)
	}
	inner, err := aes.NewCipher(messageKey)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(inner)
	if err != nil {
		t.Fatal(err)
	}
	bound := append(append([]byte("perdure seal v1\x00"), header...), "purpose"...)
	plain, err := gcm.Open(nil, nonce[12:], sealed[33:], bound)
	if err != nil || string(plain) != "plain" {
		t.Errorf("%q: %v", plain, err)
	}
}
