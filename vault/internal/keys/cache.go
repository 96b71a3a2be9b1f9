package keys

import (
	"container/list"
	"sync"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// cache keeps opened keys, those used last, so that a signature neither unseals nor parses. It decides nothing: whether a
// version is there and may be used stands in its row, which every use reads. The id of a version is random and never given again,
// so that it cannot stand for another key later.
type cache struct {
	most int

	mu     sync.Mutex
	recent *list.List // of *cached, the one used last first
	byID   map[model.ID]*list.Element
}

type cached struct {
	id  model.ID
	key *jwa.Key
}

func newCache(most int) *cache {
	return &cache{most: most, recent: list.New(), byID: map[model.ID]*list.Element{}}
}

// get returns the key of a version; nil if it is not here.
func (c *cache) get(id model.ID) *jwa.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[items.Canonical(id)]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*cached).key
}

func (c *cache) put(id model.ID, k *jwa.Key) {
	id = items.Canonical(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byID[id]; e != nil {
		c.recent.MoveToFront(e)
		return
	}
	c.byID[id] = c.recent.PushFront(&cached{id, k})
	for len(c.byID) > c.most {
		c.remove(c.recent.Back())
	}
}

// forget drops all versions of an item.
func (c *cache) forget(id model.ID) {
	id = items.Canonical(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.recent.Front(); e != nil; {
		next := e.Next()
		if has := e.Value.(*cached).id; has.Vault == id.Vault && has.Kind == id.Kind && has.Name == id.Name {
			c.remove(e)
		}
		e = next
	}
}

func (c *cache) remove(e *list.Element) {
	delete(c.byID, e.Value.(*cached).id)
	c.recent.Remove(e)
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byID)
}
