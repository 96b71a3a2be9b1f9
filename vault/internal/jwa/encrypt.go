package jwa

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

const (
	gcmIV  = 12 // bytes, as RFC 7518 section 5.3 has it
	gcmTag = 16
)

// Encrypt encrypts in.Value by in.Alg: RSA1_5, RSA-OAEP, RSA-OAEP-256, or A128, A192 and A256 with GCM, CBC or CBCPAD.
//
// GCM makes its IV itself and takes none: two values under one IV would give the key away. By chance that happens after
// some 2^32 encryptions: rotate the key before. It takes AAD. CBC makes one too, unless there is one, and takes whole
// blocks of 16 bytes alone; CBCPAD pads (PKCS #7). Neither of them protects from changes: who decrypts cannot tell.
func (k *Key) Encrypt(in *model.Cipher) (*model.Cipher, error) {
	a, err := k.toCrypt(in, encryption, "encryption")
	if err != nil {
		return nil, err
	}
	out := &model.Cipher{Alg: in.Alg, AAD: in.AAD}
	switch a.scheme {
	case gcm:
		if len(in.IV) > 0 || len(in.Tag) > 0 {
			return nil, &model.FieldError{Field: "iv", Detail: in.Alg + " makes IV and tag itself"}
		}
		err = k.sealGCM(out, in.Value)
	case cbc, cbcPad:
		err = k.encryptCBC(a, out, in)
	default:
		out.Value, err = k.encryptRSA(a, in.Value)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Decrypt decrypts what Encrypt made, with the IV, tag and AAD of that. What does not decrypt is model.ErrCiphertext.
//
// RSA1_5 has no such error when the padding is wrong: who could tell wrong from right could decrypt, and sign, by asking
// often (Bleichenbacher's attack). It then gives bytes that look like an answer, always the same ones for the same value,
// as OpenSSL 3.2 does. CBCPAD cannot hide it, so that whoever decrypts for others with it needs a MAC around it.
func (k *Key) Decrypt(in *model.Cipher) (*model.Cipher, error) {
	a, err := k.toCrypt(in, encryption, "encryption")
	if err != nil {
		return nil, err
	}
	out := &model.Cipher{Alg: in.Alg}
	switch a.scheme {
	case gcm:
		out.Value, err = k.openGCM(in)
	case cbc, cbcPad:
		out.Value, err = k.decryptCBC(a, in)
	default:
		out.Value, err = k.decryptRSA(a, in.Value)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// toCrypt checks what every algorithm wants of a request.
func (k *Key) toCrypt(in *model.Cipher, schemes []scheme, what string) (algorithm, error) {
	a, err := k.algorithm(in.Alg, schemes, what)
	if err != nil {
		return a, err
	}
	if err := checkData(in.Value); err != nil {
		return a, err
	}
	switch {
	case len(in.AAD) > MaxData:
		return a, &model.FieldError{Field: "aad", Detail: fmt.Sprintf("want at most %d bytes", MaxData)}
	case a.scheme == gcm:
	case len(in.AAD) > 0:
		return a, &model.FieldError{Field: "aad", Detail: "only AES-GCM takes additional data"}
	case len(in.Tag) > 0:
		return a, &model.FieldError{Field: "tag", Detail: "only AES-GCM has a tag"}
	case len(in.IV) > 0 && a.scheme != cbc && a.scheme != cbcPad:
		return a, &model.FieldError{Field: "iv", Detail: in.Alg + " has no IV"}
	}
	return a, nil
}

func (k *Key) gcm() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.oct)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (k *Key) sealGCM(out *model.Cipher, plain []byte) error {
	aead, err := k.gcm()
	if err != nil {
		return err
	}
	out.IV = make([]byte, gcmIV)
	_, _ = rand.Read(out.IV) // never fails
	sealed := aead.Seal(nil, out.IV, plain, out.AAD)
	out.Value, out.Tag = sealed[:len(plain):len(plain)], sealed[len(plain):]
	return nil
}

func (k *Key) openGCM(in *model.Cipher) ([]byte, error) {
	switch {
	case len(in.IV) != gcmIV:
		return nil, &model.FieldError{Field: "iv", Detail: fmt.Sprintf("want the %d bytes of the encryption", gcmIV)}
	case len(in.Tag) != gcmTag:
		return nil, &model.FieldError{Field: "tag", Detail: fmt.Sprintf("want the %d bytes of the encryption", gcmTag)}
	}
	aead, err := k.gcm()
	if err != nil {
		return nil, err
	}
	sealed := append(append(make([]byte, 0, len(in.Value)+gcmTag), in.Value...), in.Tag...)
	plain, err := aead.Open(nil, in.IV, sealed, in.AAD)
	if err != nil {
		return nil, model.ErrCiphertext
	}
	return plain, nil
}

func (k *Key) encryptCBC(a algorithm, out, in *model.Cipher) error {
	out.IV = in.IV
	if len(out.IV) == 0 {
		out.IV = make([]byte, aes.BlockSize)
		_, _ = rand.Read(out.IV) // never fails
	}
	if err := checkIV(out.IV); err != nil {
		return err
	}
	out.Value = append([]byte(nil), in.Value...)
	if a.scheme == cbcPad {
		n := aes.BlockSize - len(in.Value)%aes.BlockSize
		for range n {
			out.Value = append(out.Value, byte(n))
		}
	}
	if err := checkBlocks(out.Value); err != nil {
		return err
	}
	block, err := aes.NewCipher(k.oct)
	if err != nil {
		return err
	}
	cipher.NewCBCEncrypter(block, out.IV).CryptBlocks(out.Value, out.Value)
	return nil
}

func (k *Key) decryptCBC(a algorithm, in *model.Cipher) ([]byte, error) {
	if err := checkIV(in.IV); err != nil {
		return nil, err
	}
	if err := checkBlocks(in.Value); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k.oct)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(in.Value))
	cipher.NewCBCDecrypter(block, in.IV).CryptBlocks(plain, in.Value)
	if a.scheme == cbc {
		return plain, nil
	}
	return unpad(plain)
}

func checkIV(iv []byte) error {
	if len(iv) != aes.BlockSize {
		return &model.FieldError{Field: "iv", Detail: fmt.Sprintf("want %d bytes", aes.BlockSize)}
	}
	return nil
}

func checkBlocks(value []byte) error {
	if len(value) == 0 || len(value)%aes.BlockSize != 0 {
		return &model.FieldError{Field: "value", Detail: fmt.Sprintf("want whole blocks of %d bytes", aes.BlockSize)}
	}
	return nil
}

// unpad takes the padding of PKCS #7 away. How long it takes does not depend on where the padding is wrong.
func unpad(plain []byte) ([]byte, error) {
	last := plain[len(plain)-aes.BlockSize:]
	n := int(last[aes.BlockSize-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, aes.BlockSize)
	for i, b := range last {
		padding := subtle.ConstantTimeLessOrEq(aes.BlockSize-n, i)
		good &= subtle.ConstantTimeSelect(padding, subtle.ConstantTimeByteEq(b, byte(n)), 1)
	}
	if good != 1 {
		return nil, model.ErrCiphertext
	}
	return plain[:len(plain)-n], nil
}

func (k *Key) encryptRSA(a algorithm, plain []byte) ([]byte, error) {
	var out []byte
	var err error
	if a.scheme == oaep {
		out, err = rsa.EncryptOAEP(a.hash.New(), rand.Reader, &k.rsa.PublicKey, plain, nil)
	} else {
		//lint:ignore SA1019 clients of Azure Key Vault have it; see Decrypt
		out, err = rsa.EncryptPKCS1v15(rand.Reader, &k.rsa.PublicKey, plain)
	}
	if errors.Is(err, rsa.ErrMessageTooLong) {
		most := k.rsa.Size() - 11
		if a.scheme == oaep {
			most = k.rsa.Size() - 2*a.hash.Size() - 2
		}
		return nil, &model.FieldError{Field: "value", Detail: fmt.Sprintf("want at most %d bytes for this key and algorithm, not %d", most, len(plain))}
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out, nil
}

func (k *Key) decryptRSA(a algorithm, value []byte) ([]byte, error) {
	if len(value) != k.rsa.Size() {
		return nil, &model.FieldError{Field: "value", Detail: fmt.Sprintf("want %d bytes, as long as the key, not %d", k.rsa.Size(), len(value))}
	}
	if a.scheme == oaep {
		plain, err := rsa.DecryptOAEP(a.hash.New(), nil, k.rsa, value, nil)
		if err != nil {
			return nil, model.ErrCiphertext
		}
		return plain, nil
	}
	return k.decrypt15(value)
}
