package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/perdure/perdure/internal/records"
)

// Wait waits until the instance called id has ended.
func (e *Engine) Wait(ctx context.Context, id string) (*records.Instance, error) {
	key, err := e.find(id)
	if err != nil {
		return nil, err
	}
	if key == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	end := e.waits.add(key)
	defer e.waits.drop(end)
	rec, err := e.record(key)
	switch {
	case err != nil:
		return nil, err
	case rec == nil:
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	case rec.State.Ended():
		return rec, nil
	}
	return e.awaitEnd(ctx, end)
}

func (e *Engine) awaitEnd(ctx context.Context, end *waiting) (*records.Instance, error) {
	select {
	case <-end.ended:
		return end.rec, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.stopping:
		return nil, e.stopError()
	}
}

// waits tells who waits for the end of an instance.
type waits struct {
	mu sync.Mutex
	m  map[records.InstanceKey]*waiting
}

type waiting struct {
	key   records.InstanceKey
	ended chan struct{}
	rec   *records.Instance // how it ended; set before ended is closed
	n     int
}

func (w *waits) init() { w.m = map[records.InstanceKey]*waiting{} }

// add begins to wait for the end of an instance. Whoever waits looks afterwards
// whether it has ended already.
func (w *waits) add(k records.InstanceKey) *waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.m[k]
	if one == nil {
		one = &waiting{key: k, ended: make(chan struct{})}
		w.m[k] = one
	}
	one.n++
	return one
}

// drop ends a wait.
func (w *waits) drop(one *waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one.n--; one.n == 0 && w.m[one.key] == one {
		delete(w.m, one.key)
	}
}

// notify tells everybody who waits how an instance ended.
func (w *waits) notify(k records.InstanceKey, rec *records.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.m[k]; one != nil {
		one.rec = rec
		close(one.ended)
		delete(w.m, k)
	}
}
