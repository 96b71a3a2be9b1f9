// Package local holds what stores that live in one process have in common:
// leases kept in memory, change signals, and the gate that lets Close wait for
// the calls under way.
package local

import (
	"sync"
	"sync/atomic"
)

// Gate counts the calls under way and, once closed, lets no more in.
type Gate struct {
	state   atomic.Int64 // calls under way, plus gateClosed
	once    sync.Once
	drained chan struct{}
}

const gateClosed = 1 << 62

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{drained: make(chan struct{})} }

// Enter reports whether the call may go on; if so, Leave must follow. It never
// blocks, so a call may enter again while another one closes the gate.
func (g *Gate) Enter() bool {
	if g.state.Add(1)&gateClosed != 0 {
		g.Leave()
		return false
	}
	return true
}

// Leave ends a call that entered.
func (g *Gate) Leave() {
	if g.state.Add(-1) == gateClosed {
		g.once.Do(func() { close(g.drained) })
	}
}

// Close lets nobody in any more. It reports whether this call closed the gate.
func (g *Gate) Close() bool {
	old := g.state.Or(gateClosed)
	if old == 0 {
		g.once.Do(func() { close(g.drained) })
	}
	return old&gateClosed == 0
}

// Closed reports whether the gate has been closed.
func (g *Gate) Closed() bool { return g.state.Load()&gateClosed != 0 }

// Drained is closed when the gate is closed and everybody has left.
func (g *Gate) Drained() <-chan struct{} { return g.drained }
