package jwt

// Parse reads a token, and returns Kong's word for what is wrong with it.
func Parse(raw []byte) string {
	_, wrong := parse(raw)
	return wrong
}

// Bearer is bearer.
func Bearer(value []byte) []byte { return bearer(value) }

// Cache is the cache of verified tokens, for how many it keeps.
type Cache = cache

// NewCache makes one.
func NewCache() *Cache { return newCache() }

// Fill remembers n tokens that differ, and returns how many are kept.
func (c *cache) Fill(n int) (kept int) {
	for i := range n {
		d := digest{}
		d.token[0], d.token[1], d.token[2], d.token[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		c.put(&d, &verified{}, 0)
	}
	for i := range c.shards {
		kept += len(c.shards[i].kept)
	}
	return kept
}

// MaxKept is how many it may keep.
const MaxKept = maxKept
