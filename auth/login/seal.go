package login

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Sealer encrypts and authenticates what leaves the process: what was sealed for one purpose cannot be
// opened for another. It is safe for concurrent use.
type Sealer interface {
	// Seal encrypts plain for a purpose.
	Seal(purpose string, plain []byte) ([]byte, error)
	// Open returns what Seal was given. It fails if anything was changed.
	Open(purpose string, sealed []byte) ([]byte, error)
}

// The purposes that this package seals for.
const (
	sealSession = "login session"
	sealPending = "login under way"
)

// NewSealer returns a Sealer (AES-256-GCM) with secret keys of 32 bytes or more. The first seals,
// all of them open: to change the key, put the new one first and drop the old one when the sessions that it
// sealed have ended.
func NewSealer(keys ...[]byte) (Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("login: a sealer needs a key")
	}
	s := sealer{}
	for _, key := range keys {
		if len(key) < 32 {
			return nil, fmt.Errorf("login: a key of %d bytes is too short: it needs 32", len(key))
		}
		derived, err := hkdf.Key(sha256.New, key, nil, "perdure auth/login sealer", 32)
		if err != nil {
			return nil, fmt.Errorf("login: derive a key: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		// The nonces are random: good for 2^32 records of one key.
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		s = append(s, aead)
	}
	return s, nil
}

type sealer []cipher.AEAD

// Seal implements Sealer.
func (s sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	return s[0].Seal(nil, nil, plain, []byte(purpose)), nil
}

// Open implements Sealer.
func (s sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	for _, aead := range s {
		if plain, err := aead.Open(nil, nil, sealed, []byte(purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, errors.New("login: sealed by another key, or damaged")
}

// newMemorySealer returns a sealer whose key ends with the process.
func newMemorySealer() (Sealer, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return NewSealer(key)
}
