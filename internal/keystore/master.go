package keystore

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

const (
	keySize = 32 // of every key in this package, in bytes

	// masterFormat begins the text of a master key, so that a file says what it is.
	masterFormat = "perdure-master-key-1"
	masterIDSize = 8
)

// Master is a master key. It prints as its id.
type Master struct {
	key [keySize]byte
	id  string // empty: no key
}

// NewMaster makes a new master key.
func NewMaster() Master {
	var raw [keySize]byte
	_, _ = rand.Read(raw[:]) // never fails
	m, _ := MasterFromBytes(raw[:])
	return m
}

// MasterFromBytes is the master key that a key management service or the like has handed out.
// It has 32 random bytes.
func MasterFromBytes(raw []byte) (Master, error) {
	if len(raw) != keySize {
		return Master{}, fmt.Errorf("%w: it has %d bytes, want %d", ErrMaster, len(raw), keySize)
	}
	m := Master{key: [keySize]byte(raw)}
	// An id that is made of the key needs no place of its own, and finds a mistyped key.
	id, err := hkdf.Key(sha256.New, m.key[:], nil, "perdure master key id v1", masterIDSize)
	if err != nil {
		return Master{}, fmt.Errorf("%w: %w", ErrMaster, err)
	}
	m.id = hex.EncodeToString(id)
	return m, nil
}

// ParseMaster reads a master key as its file and the environment hold it.
func ParseMaster(text string) (Master, error) {
	format, rest, _ := strings.Cut(strings.TrimSpace(text), ".")
	id, encoded, ok := strings.Cut(rest, ".")
	if format != masterFormat || !ok {
		return Master{}, fmt.Errorf("%w: it is not of the form %s.ID.KEY", ErrMaster, masterFormat)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != keySize {
		return Master{}, fmt.Errorf("%w: the part after the id does not have the %d bytes of a key", ErrMaster, keySize)
	}
	m, err := MasterFromBytes(raw)
	if err == nil && m.id != id {
		return Master{}, fmt.Errorf("%w: id and key do not belong together; it was mistyped or changed", ErrMaster)
	}
	return m, err
}

// Reveal returns the key as ParseMaster reads it, for who keeps it elsewhere.
func (m Master) Reveal() string {
	return strings.Join([]string{masterFormat, m.id, base64.RawURLEncoding.EncodeToString(m.key[:])}, ".")
}

// ID names the key without telling anything of it.
func (m Master) ID() string { return m.id }

// Format implements fmt.Formatter: no verb prints the key.
func (m Master) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "master key "+m.id) }
