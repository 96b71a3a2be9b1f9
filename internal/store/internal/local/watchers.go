package local

import (
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure/internal/store"
)

// Watchers passes on which spaces were written. The zero value is ready.
type Watchers struct {
	mu     sync.Mutex
	spaces [256]map[chan struct{}]struct{}
	count  atomic.Int64
}

// Watch implements store.Store.
func (w *Watchers) Watch(space byte) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spaces[space] == nil {
		w.spaces[space] = make(map[chan struct{}]struct{})
	}
	w.spaces[space][ch] = struct{}{}
	w.count.Add(1)
	return ch, sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.spaces[space], ch)
		w.count.Add(-1)
	})
}

// Active reports whether anybody watches; if not, there is no need to collect
// spaces.
func (w *Watchers) Active() bool { return w.count.Load() > 0 }

// Notify signals those who watch one of the spaces.
func (w *Watchers) Notify(spaces *Spaces) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for space, watchers := range w.spaces {
		if !spaces.has(byte(space)) {
			continue
		}
		for ch := range watchers {
			select {
			case ch <- struct{}{}:
			default: // a signal is already waiting
			}
		}
	}
}

// Spaces is a set of spaces.
type Spaces [4]uint64

func (s *Spaces) has(space byte) bool { return s[space/64]&(1<<(space%64)) != 0 }

func (s *Spaces) add(space byte) { s[space/64] |= 1 << (space % 64) }

// AddTxn adds every space that t writes into.
func (s *Spaces) AddTxn(t *store.Txn) {
	for i := range t.Ops {
		op := &t.Ops[i]
		if op.Kind != store.OpDeleteRange {
			s.add(op.Key[0])
			continue
		}
		last := int(op.End[0])
		if len(op.End) == 1 {
			last-- // the end is exclusive
		}
		for space := int(op.Key[0]); space <= last; space++ {
			s.add(byte(space))
		}
	}
}
