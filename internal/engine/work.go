package engine

import (
	"context"
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

// wait waits until nothing is under way, or ctx is done.
func (w *work) wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.idle.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.n.Load() > 0 && ctx.Err() == nil {
		w.idle.Wait()
	}
}

// WaitIdle waits until nothing is under way: no turn, no commit, no activity.
func (e *Engine) WaitIdle() { e.work.wait(context.Background()) }
