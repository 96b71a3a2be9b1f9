package blobstore

import (
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

const keyBytes = 16

// NewKey returns a random key of an object.
func NewKey(random io.Reader) (string, error) {
	var b [keyBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("blobstore: random key: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// ValidKey reports whether key is one that NewKey could have made.
func ValidKey(key string) bool {
	if len(key) != 2*keyBytes {
		return false
	}
	for _, c := range []byte(key) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Pending are the keys that this process has created, or is creating, and that
// nothing durable maps yet: List does not show them.
type Pending struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

// Add adds a key; fs.ErrExist if it is there.
func (p *Pending) Add(key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.keys[key]; taken {
		return fmt.Errorf("blobstore: create object: %w", fs.ErrExist)
	}
	if p.keys == nil {
		p.keys = map[string]struct{}{}
	}
	p.keys[key] = struct{}{}
	return nil
}

// Settle removes a key.
func (p *Pending) Settle(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, key)
}

// Has reports whether a key is there.
func (p *Pending) Has(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.keys[key]
	return ok
}
