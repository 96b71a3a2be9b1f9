package oidc

import (
	"hash/maphash"
	"sync"
)

// locks let one request at a time work with a code or token. Units of work that collide would
// run again until one of them wins; who sends the same token many times at once would have that
// end in conflicts instead of a clear answer.
type locks struct {
	once sync.Once
	seed maphash.Seed
	mus  [64]sync.Mutex
}

// lock waits for the turn of a name and returns what ends it. The empty name does not wait.
func (l *locks) lock(name string) (unlock func()) {
	if name == "" {
		return func() {}
	}
	l.once.Do(func() { l.seed = maphash.MakeSeed() })
	mu := &l.mus[maphash.String(l.seed, name)%uint64(len(l.mus))]
	mu.Lock()
	return mu.Unlock
}
