package jwa

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// Wrap encrypts a key by another: by RSA1_5, RSA-OAEP, RSA-OAEP-256, or A128KW, A192KW and A256KW (RFC 3394), which want whole
// blocks of 8 bytes, two at least.
func (k *Key) Wrap(in *model.Cipher) (*model.Cipher, error) {
	a, err := k.toCrypt(in, wrapping, "wrapping keys")
	if err != nil {
		return nil, err
	}
	out := &model.Cipher{Alg: in.Alg}
	if a.scheme == keyWrap {
		out.Value, err = k.wrapAES(in.Value)
	} else {
		out.Value, err = k.encryptRSA(a, in.Value)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Unwrap returns the key that Wrap encrypted; what Decrypt says of RSA1_5 holds here too.
func (k *Key) Unwrap(in *model.Cipher) (*model.Cipher, error) {
	a, err := k.toCrypt(in, wrapping, "wrapping keys")
	if err != nil {
		return nil, err
	}
	out := &model.Cipher{Alg: in.Alg}
	if a.scheme == keyWrap {
		out.Value, err = k.unwrapAES(in.Value)
	} else {
		out.Value, err = k.decryptRSA(a, in.Value)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// wrapIV is the initial value of RFC 3394 section 2.2.3.1, by which unwrapping sees that it was wrapped by this key.
const wrapIV = 0xa6a6a6a6a6a6a6a6

func checkWrap(value []byte, blocks int) error {
	if len(value) < blocks*8 || len(value)%8 != 0 {
		return &model.FieldError{Field: "value", Detail: fmt.Sprintf("want whole blocks of 8 bytes, %d at least", blocks)}
	}
	return nil
}

// wrapAES is RFC 3394 section 2.2.1, in its form with indices.
func (k *Key) wrapAES(plain []byte) ([]byte, error) {
	if err := checkWrap(plain, 2); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k.oct)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 8, 8+len(plain)), plain...)
	n := len(plain) / 8
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[:8], wrapIV)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			r := out[8*i : 8*i+8]
			copy(b[8:], r)
			block.Encrypt(b[:], b[:])
			copy(r, b[8:])
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^uint64(n*j+i))
		}
	}
	copy(out, b[:8])
	return out, nil
}

// unwrapAES is RFC 3394 section 2.2.2.
func (k *Key) unwrapAES(wrapped []byte) ([]byte, error) {
	if err := checkWrap(wrapped, 3); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k.oct)
	if err != nil {
		return nil, err
	}
	out := append([]byte(nil), wrapped...)
	n := len(out)/8 - 1
	var b, iv [aes.BlockSize]byte
	copy(b[:8], out)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := out[8*i : 8*i+8]
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^uint64(n*j+i))
			copy(b[8:], r)
			block.Decrypt(b[:], b[:])
			copy(r, b[8:])
		}
	}
	binary.BigEndian.PutUint64(iv[:8], wrapIV)
	if subtle.ConstantTimeCompare(b[:8], iv[:8]) != 1 {
		clear(out)
		return nil, model.ErrCiphertext
	}
	return out[8:], nil
}
