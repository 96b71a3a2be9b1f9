package keystore

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	// KeyringFile is the name of the keyring's file in the data folder.
	KeyringFile = "keyring.json"

	keyringFormat = 1
	maxKeyring    = 1 << 20 // bytes of the file
	maxMasters    = 8       // wrappings: one, and one more for each rotation that was broken off
)

// keyring is the content of the keyring's file. It is for one process at a time to write.
type keyring struct {
	master Master // the one that it was opened with
	own    [keySize]byte
	wraps  []wrapping // of own, oldest first
	ring   *ring
}

// wrapping is the keyring's own key under a master key.
type wrapping struct {
	Master string `json:"master"` // id
	Key    []byte `json:"key"`
}

// keyringText is the keyring as it is in its file.
type keyringText struct {
	Format int        `json:"format"`
	Wraps  []wrapping `json:"wrapped"`
	Ring   []byte     `json:"ring"`
}

// newKeyring returns a keyring of r that m opens, under a new key of its own.
func newKeyring(m Master, r *ring) (*keyring, error) {
	k := &keyring{master: m, ring: r}
	_, _ = rand.Read(k.own[:]) // never fails
	return k.wrappedFor(m)
}

// wrappedFor returns the keyring with one more wrapping.
func (k *keyring) wrappedFor(m Master) (*keyring, error) {
	sealed, err := sealWith(m.key[:], k.own[:], wrapBinding(m.id))
	if err != nil {
		return nil, err
	}
	c := *k
	c.wraps = nil
	for _, w := range k.wraps {
		if w.Master != m.id {
			c.wraps = append(c.wraps, w)
		}
	}
	c.wraps = append(c.wraps, wrapping{Master: m.id, Key: sealed})
	if len(c.wraps) > maxMasters {
		return nil, fmt.Errorf("%w: %d changes of the master key were broken off: finish one of them", ErrKeyring, len(k.wraps))
	}
	return &c, nil
}

func wrapBinding(master string) []byte { return []byte("perdure keyring wrapping v1\x00" + master) }

// ringBinding is what the sealed ring is bound to: format and wrappings, so that nothing in
// the file can be changed alone.
func ringBinding(wraps []wrapping) []byte {
	h := sha256.New()
	for _, w := range wraps {
		for _, part := range [][]byte{[]byte(w.Master), w.Key} {
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			_, _ = h.Write(part)
		}
	}
	return h.Sum([]byte("perdure keyring v1\x00"))
}

func (k *keyring) encode() ([]byte, error) {
	plain, err := k.ring.encode()
	if err != nil {
		return nil, err
	}
	sealed, err := sealWith(k.own[:], plain, ringBinding(k.wraps))
	clear(plain)
	if err != nil {
		return nil, err
	}
	data, err := (&keyringText{Format: keyringFormat, Wraps: k.wraps, Ring: sealed}).encode()
	if err == nil && len(data) > maxKeyring {
		err = fmt.Errorf("%w: it would have more than %d bytes", ErrKeyring, maxKeyring)
	}
	return data, err
}

func (t *keyringText) encode() ([]byte, error) {
	data, err := json.MarshalIndent(t, "", "  ")
	return append(data, '\n'), err
}

// parseKeyring reads the file without opening it.
func parseKeyring(data []byte) (*keyringText, error) {
	var t keyringText
	if len(data) > maxKeyring || json.Unmarshal(data, &t) != nil {
		return nil, errors.New("it is no keyring")
	}
	if t.Format != keyringFormat {
		return nil, fmt.Errorf("its format is %d; this program knows %d", t.Format, keyringFormat)
	}
	// It is as this package wrote it to the byte, or somebody else was at it.
	if again, err := t.encode(); err != nil || !bytes.Equal(again, data) {
		return nil, errors.New("it was changed")
	}
	if len(t.Wraps) == 0 || len(t.Wraps) > maxMasters {
		return nil, fmt.Errorf("it has %d wrappings; want 1 to %d", len(t.Wraps), maxMasters)
	}
	return &t, nil
}

// decodeKeyring opens the content of the file with a master key.
func decodeKeyring(data []byte, m Master) (*keyring, error) {
	t, err := parseKeyring(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	var ids []string
	for _, w := range t.Wraps {
		if w.Master == m.id {
			return t.open(w, m)
		}
		ids = append(ids, fmt.Sprintf("%q", w.Master))
	}
	return nil, fmt.Errorf("%w: the keyring was wrapped by %s, this is %q: put back the file of that master key", ErrWrongMaster, strings.Join(ids, " or "), m.id)
}

func (t *keyringText) open(w wrapping, m Master) (*keyring, error) {
	own, err := openWith(m.key[:], w.Key, wrapBinding(m.id))
	if err != nil || len(own) != keySize {
		return nil, fmt.Errorf("%w: its wrapping for master key %q was changed", ErrKeyring, m.id)
	}
	k := &keyring{master: m, own: [keySize]byte(own), wraps: t.Wraps}
	clear(own)
	plain, err := openWith(k.own[:], t.Ring, ringBinding(t.Wraps))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed", ErrKeyring)
	}
	defer clear(plain)
	if k.ring, err = decodeRing(plain); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return k, nil
}
