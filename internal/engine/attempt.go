package engine

import (
	"context"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/unit"
)

// attempt is one run of a task, and the context that its function is given. Most
// functions end without asking the context for anything, so what can be canceled is
// made when it is asked for first.
type attempt struct {
	e    *Engine
	t    *task
	unit unit.Unit
	base context.Context // with the span, if there is one; nil: the engine's

	mu     sync.Mutex
	ctx    context.Context // nil: not asked for yet
	stop   context.CancelCauseFunc
	ended  bool
	reason error // why it ended; nil: it just did
}

var _ context.Context = (*attempt)(nil)

// cancel ends the context.
func (a *attempt) cancel(reason error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	a.ended, a.reason = true, reason
	if a.ctx != nil {
		a.stop(reason)
	}
}

// inner returns the context that does what is seldom asked for.
func (a *attempt) inner() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx == nil {
		base := a.base
		if base == nil {
			base = a.e.base
		}
		a.ctx, a.stop = context.WithCancelCause(base)
		if a.ended {
			a.stop(a.reason)
		}
	}
	return a.ctx
}

// Deadline implements context.Context.
func (a *attempt) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (a *attempt) Done() <-chan struct{} { return a.inner().Done() }

// Err implements context.Context.
func (a *attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.ctx != nil:
		return a.ctx.Err()
	case a.ended:
		return context.Canceled
	default:
		return a.e.base.Err()
	}
}

// attemptKey carries the attempt in its context.
type attemptKey struct{}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	switch {
	case key == attemptKey{}:
		return a
	case unit.IsKey(key):
		return &a.unit
	default:
		return a.inner().Value(key)
	}
}
