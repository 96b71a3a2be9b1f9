package jwt

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// digest is what a token is remembered by: the SHA-256 of the whole of it, and of the settings by which it was
// read.
type digest struct{ token, policy [sha256.Size]byte }

// verified is what is remembered of a token whose signature was good.
type verified struct {
	print      [sha256.Size]byte // of the credential
	key        string            // of the credential
	credential atomic.Pointer[credential]
	times
}

// good returns the credential, if the configuration still has the same.
func (v *verified) good(set *credentials) *credential {
	c := v.credential.Load()
	if c.set == set {
		return c
	}
	if c = set.byKey[v.key]; c == nil || c.print != v.print {
		return nil
	}
	v.credential.Store(c)
	return c
}

const (
	shards  = 16
	maxKept = 64 << 10 // tokens, of about 300 bytes each
)

// cache remembers verified tokens, a bounded number of them.
type cache struct {
	shards [shards]struct {
		sync.RWMutex
		kept map[digest]*verified
		_    [24]byte // a cache line of its own
	}
}

func newCache() *cache {
	c := new(cache)
	for i := range c.shards {
		c.shards[i].kept = map[digest]*verified{}
	}
	return c
}

func (d *digest) shard() int { return int(binary.LittleEndian.Uint16(d.token[:])) % shards }

func (c *cache) get(d *digest) *verified {
	s := &c.shards[d.shard()]
	s.RLock()
	v := s.kept[*d]
	s.RUnlock()
	return v
}

// put remembers a token. If there are too many, others are forgotten: some that have expired or else any.
func (c *cache) put(d *digest, v *verified, now float64) {
	s := &c.shards[d.shard()]
	s.Lock()
	defer s.Unlock()
	if len(s.kept) >= maxKept/shards {
		looked := 0
		for other, o := range s.kept {
			if looked++; looked > 16 && len(s.kept) < maxKept/shards {
				break
			}
			if looked > 16 || o.hasExp && o.exp <= now {
				delete(s.kept, other)
			}
		}
	}
	s.kept[*d] = v
}

func (c *cache) forget(d *digest) {
	s := &c.shards[d.shard()]
	s.Lock()
	delete(s.kept, *d)
	s.Unlock()
}
