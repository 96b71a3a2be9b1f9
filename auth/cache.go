package auth

import (
	"crypto"
	"crypto/sha256"
	"sync"
	"time"
)

// verified is a token that was verified.
type verified struct {
	principal *Principal
	keyID     string
	key       crypto.PublicKey // that verified it
	until     time.Time        // when it expires
}

// digest is the SHA-256 of a whole token, the signature included.
type digest [sha256.Size]byte

// cache remembers verified tokens. It holds two generations: when the younger one is full, the older one is
// forgotten, and what was used since has moved to the younger.
type cache struct {
	mu         sync.Mutex
	size       int // of a generation; zero remembers nothing
	young, old map[digest]*verified
}

func newCache(size int) *cache {
	return &cache{size: (size + 1) / 2, young: map[digest]*verified{}}
}

// get returns a token that has not expired; nil if there is none.
func (c *cache) get(d digest, now time.Time) *verified {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, inYoung := c.young[d]
	if !inYoung {
		v = c.old[d]
	}
	switch {
	case v == nil:
		return nil
	case !now.Before(v.until):
		delete(c.young, d)
		delete(c.old, d)
		return nil
	case !inYoung:
		c.add(d, v)
	}
	return v
}

func (c *cache) put(d digest, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(d, v)
}

func (c *cache) drop(d digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, d)
	delete(c.old, d)
}

func (c *cache) add(d digest, v *verified) {
	if c.size == 0 {
		return
	}
	if len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[digest]*verified, c.size)
	}
	delete(c.old, d)
	c.young[d] = v
}

// len returns the number of tokens that are remembered.
func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}
