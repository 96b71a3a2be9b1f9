package keystore

import (
	"encoding/hex"
	"fmt"
)

const (
	// MaxPlain bounds what is sealed, in bytes: it is for keys and the like.
	MaxPlain = 16 << 20
	// MaxPurpose bounds a purpose, in bytes.
	MaxPurpose = 1024
	// Overhead is by how many bytes what was sealed is longer.
	Overhead = headerSize + aeadOverhead

	sealFormat = 1
	headerSize = 1 + keyIDSize // format, id of the data key
)

// Seal encrypts plain, so that it opens for the same purpose alone. A purpose says what the
// thing is and, where things of a kind must not change places, which: "identity/totp/USER".
func (k *Keystore) Seal(purpose string, plain []byte) ([]byte, error) {
	if err := checkPurpose(purpose); err != nil {
		return nil, err
	}
	if len(plain) > MaxPlain {
		return nil, ErrTooLarge
	}
	key := k.ring.Load().last()
	header := append([]byte{sealFormat}, key.id[:]...)
	sealed, err := key.aead.Encrypt(plain, sealBinding(header, purpose))
	if err != nil {
		return nil, fmt.Errorf("keystore: seal: %w", err)
	}
	return append(header, sealed...), nil
}

// Open decrypts what Seal made for the same purpose. It fails with ErrUnknownKey when the data
// key is not in the keyring, and with ErrSealed in every other case.
func (k *Keystore) Open(purpose string, sealed []byte) ([]byte, error) {
	if err := checkPurpose(purpose); err != nil {
		return nil, err
	}
	if len(sealed) > MaxPlain+Overhead {
		return nil, ErrTooLarge
	}
	id, err := keyID(sealed)
	if err != nil {
		return nil, err
	}
	key := k.ring.Load().find(id)
	if key == nil {
		return nil, fmt.Errorf("%w %s: it is of another data folder, or the keyring is an older one", ErrUnknownKey, hex.EncodeToString(id[:]))
	}
	plain, err := key.aead.Decrypt(sealed[headerSize:], sealBinding(sealed[:headerSize], purpose))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// KeyOf returns the id of the data key that sealed something, for who seals things again
// after RotateKey.
func KeyOf(sealed []byte) (string, error) {
	id, err := keyID(sealed)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(id[:]), nil
}

func keyID(sealed []byte) (id [keyIDSize]byte, err error) {
	if len(sealed) < Overhead || sealed[0] != sealFormat {
		return id, ErrSealed
	}
	return [keyIDSize]byte(sealed[1:headerSize]), nil
}

// sealBinding is what something sealed is bound to. The header has one size, so that it and
// the purpose cannot be told apart otherwise.
func sealBinding(header []byte, purpose string) []byte {
	const label = "perdure seal v1\x00"
	b := make([]byte, 0, len(label)+len(header)+len(purpose))
	b = append(b, label...)
	b = append(b, header...)
	return append(b, purpose...)
}

func checkPurpose(purpose string) error {
	if purpose == "" || len(purpose) > MaxPurpose {
		return ErrPurpose
	}
	return nil
}
