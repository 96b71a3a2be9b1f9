package engine

import (
	"sync"
	"sync/atomic"
)

// Busy reports whether more commits are imminent.
func (e *Engine) Busy() bool { return e.pool.active.Load() > 0 }

// work counts what the engine has under way, for virtual time: when it is zero
// only a timer or a caller can start anything.
type work struct {
	n    atomic.Int64
	mu   sync.Mutex
	idle *sync.Cond
}

func (w *work) init() { w.idle = sync.NewCond(&w.mu) }

func (w *work) begin() { w.n.Add(1) }

func (w *work) end() {
	if w.n.Add(-1) == 0 {
		w.mu.Lock()
		w.idle.Broadcast()
		w.mu.Unlock()
	}
}

// WaitIdle waits until nothing is under way: no turn, no commit, no activity.
func (e *Engine) WaitIdle() {
	e.work.mu.Lock()
	defer e.work.mu.Unlock()
	for e.work.n.Load() > 0 {
		e.work.idle.Wait()
	}
}
