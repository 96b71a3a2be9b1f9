package pebble

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/perdure/perdure/internal/store"
)

// conditions holds what a group's conditions must know: the present version of
// each key that any of them names, as of the transaction being decided. A group
// without conditions leaves it empty and pays nothing.
type conditions struct {
	seed    maphash.Seed
	entries []condEntry
	byHash  map[uint64]int32 // first entry of a hash, 1-based
	sorted  []int32          // entries in key order, made on the first range delete
}

type condEntry struct {
	key     []byte
	version store.Version
	known   bool  // version holds; otherwise the engine has it
	next    int32 // entry of the same hash, 1-based; 0 ends
}

// reset collects the keys that the conditions of group name.
func (c *conditions) reset(group []*store.Txn) {
	if c.byHash == nil {
		c.seed = maphash.MakeSeed()
		c.byHash = make(map[uint64]int32)
	}
	clear(c.entries) // no keys of earlier groups stay reachable
	c.entries = c.entries[:0]
	c.sorted = c.sorted[:0]
	clear(c.byHash)
	for _, t := range group {
		for i := range t.Conditions {
			c.collect(t.Conditions[i].Key)
		}
	}
}

func (c *conditions) collect(key []byte) {
	hash := maphash.Bytes(c.seed, key)
	head := c.byHash[hash]
	if c.search(head, key) != nil {
		return
	}
	c.entries = append(c.entries, condEntry{key: key, next: head})
	c.byHash[hash] = int32(len(c.entries))
}

func (c *conditions) search(head int32, key []byte) *condEntry {
	for i := head; i != 0; i = c.entries[i-1].next {
		if bytes.Equal(c.entries[i-1].key, key) {
			return &c.entries[i-1]
		}
	}
	return nil
}

// entry returns the entry of a key, or nil if no condition names it.
func (c *conditions) entry(key []byte) *condEntry {
	return c.search(c.byHash[maphash.Bytes(c.seed, key)], key)
}

// wrote records that an accepted transaction gave key a version; 0 deleted it.
func (c *conditions) wrote(key []byte, version store.Version) {
	if len(c.entries) == 0 {
		return
	}
	if e := c.entry(key); e != nil {
		e.version, e.known = version, true
	}
}

// deleted records that an accepted transaction removed [start, end).
func (c *conditions) deleted(start, end []byte) {
	if len(c.entries) == 0 {
		return
	}
	if len(c.sorted) == 0 {
		for i := range c.entries {
			c.sorted = append(c.sorted, int32(i))
		}
		slices.SortFunc(c.sorted, func(a, b int32) int {
			return bytes.Compare(c.entries[a].key, c.entries[b].key)
		})
	}
	from := sort.Search(len(c.sorted), func(i int) bool {
		return bytes.Compare(c.entries[c.sorted[i]].key, start) >= 0
	})
	for _, i := range c.sorted[from:] {
		e := &c.entries[i]
		if bytes.Compare(e.key, end) >= 0 {
			break
		}
		e.version, e.known = 0, true
	}
}
