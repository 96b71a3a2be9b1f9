package keystore

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"
)

const keyIDSize = 8

// ring is the keys of a keystore. It is never changed, only replaced.
type ring struct {
	root [keySize]byte // what is derived comes from it
	keys []*dataKey    // oldest first; the last one seals
}

// dataKey is a key that seals.
type dataKey struct {
	id   [keyIDSize]byte
	made time.Time
	raw  [keySize]byte
	aead tink.AEAD
}

// ringText is a ring as it is sealed in the keyring's file.
type ringText struct {
	Root []byte    `json:"root"`
	Keys []keyText `json:"keys"`
}

type keyText struct {
	ID   string    `json:"id"`
	Made time.Time `json:"made"`
	Key  []byte    `json:"key"`
}

// newRing makes a ring with one key.
func newRing(now time.Time) (*ring, error) {
	r := new(ring)
	_, _ = rand.Read(r.root[:]) // never fails
	return r.withNewKey(now)
}

// withNewKey returns a ring whose last key is new.
func (r *ring) withNewKey(now time.Time) (*ring, error) {
	k := &dataKey{made: now.UTC().Truncate(time.Second)}
	_, _ = rand.Read(k.raw[:])
	for { // ids are random, and few: but a clash would be for ever
		if _, _ = rand.Read(k.id[:]); r.find(k.id) == nil {
			break
		}
	}
	var err error
	if k.aead, err = newAEAD(k.raw[:]); err != nil {
		return nil, err
	}
	return &ring{root: r.root, keys: append(slices.Clip(slices.Clone(r.keys)), k)}, nil
}

func (r *ring) last() *dataKey { return r.keys[len(r.keys)-1] }

func (r *ring) find(id [keyIDSize]byte) *dataKey {
	for _, k := range slices.Backward(r.keys) { // most was sealed lately
		if k.id == id {
			return k
		}
	}
	return nil
}

func (r *ring) encode() ([]byte, error) {
	t := ringText{Root: r.root[:]}
	for _, k := range r.keys {
		t.Keys = append(t.Keys, keyText{ID: hex.EncodeToString(k.id[:]), Made: k.made, Key: k.raw[:]})
	}
	return json.Marshal(t)
}

// decodeRing reads what encode made. Its errors say nothing of what is in data.
func decodeRing(data []byte) (*ring, error) {
	var t ringText
	if json.Unmarshal(data, &t) != nil || len(t.Root) != keySize || len(t.Keys) == 0 {
		return nil, errors.New("what it seals is no ring of keys")
	}
	r := &ring{root: [keySize]byte(t.Root)}
	for i := range t.Keys {
		id, err := hex.DecodeString(t.Keys[i].ID)
		if err != nil || len(id) != keyIDSize || len(t.Keys[i].Key) != keySize {
			return nil, fmt.Errorf("key %d is malformed", i)
		}
		k := &dataKey{id: [keyIDSize]byte(id), made: t.Keys[i].Made, raw: [keySize]byte(t.Keys[i].Key)}
		if k.aead, err = newAEAD(k.raw[:]); err != nil {
			return nil, fmt.Errorf("key %d is malformed", i)
		}
		if r.find(k.id) != nil {
			return nil, fmt.Errorf("key %d is there twice", i)
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}
