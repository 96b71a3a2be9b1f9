package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/internal/local"
)

// views hands out the latest durable state. Pebble shows a batch to readers
// before it is synced, so readers share a snapshot of Pebble's that was taken
// after the last synced batch; the next one replaces it.
type views struct {
	mu   sync.Mutex
	now  *view
	open map[*view]struct{}
}

// view is one durable state.
type view struct {
	snap *engine.Snapshot
	refs int // with views.mu
}

// publish makes snap the latest state.
func (v *views) publish(snap *engine.Snapshot) error {
	v.mu.Lock()
	old := v.now
	v.now = &view{snap: snap, refs: 1}
	if v.open == nil {
		v.open = make(map[*view]struct{})
	}
	v.open[v.now] = struct{}{}
	v.mu.Unlock()
	if old == nil {
		return nil
	}
	return v.release(old)
}

// acquire returns the latest state; release must follow.
func (v *views) acquire() *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.refs++
	return v.now
}

func (v *views) release(w *view) error {
	v.mu.Lock()
	w.refs--
	_, open := v.open[w]
	last := open && w.refs == 0
	if last {
		delete(v.open, w)
	}
	v.mu.Unlock()
	if last {
		return w.snap.Close()
	}
	return nil
}

// close closes every view, also those that readers forgot. The caller makes
// sure that none of them is being read.
func (v *views) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for w := range v.open {
		errs = append(errs, w.snap.Close())
	}
	clear(v.open)
	return errors.Join(errs...)
}

// Snapshot implements store.Store. It costs one reference and never waits for a
// commit.
func (s *Store) Snapshot() (store.Snapshot, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Leave()
	return &snapshot{s: s, view: s.views.acquire(), reads: local.NewGate()}, nil
}

// snapshot is one reader's hold on a view.
type snapshot struct {
	s     *Store
	view  *view
	reads *local.Gate
}

// enter begins a read. Every nil must be followed by leave.
func (n *snapshot) enter() error {
	if err := n.s.enter(); err != nil {
		return err
	}
	if !n.reads.Enter() {
		n.s.calls.Leave()
		return store.ErrClosed
	}
	return nil
}

func (n *snapshot) leave() {
	n.reads.Leave()
	n.s.calls.Leave()
}

// Close implements store.Snapshot. It waits for reads under way.
func (n *snapshot) Close() error {
	if !n.reads.Close() {
		return nil
	}
	<-n.reads.Drained()
	if n.s.enter() != nil {
		return nil // the store's Close let the view go
	}
	defer n.s.calls.Leave()
	return n.s.views.release(n.view)
}

// Get implements store.Reader.
func (n *snapshot) Get(key []byte) ([]byte, store.Version, error) {
	if err := n.enter(); err != nil {
		return nil, 0, err
	}
	defer n.leave()
	if !store.ValidKey(key) {
		return nil, 0, nil
	}
	value, closer, err := n.view.snap.Get(key)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("store: get %q: %w", key, err)
	}
	version, payload, err := splitValue(key, value)
	if err == nil {
		payload = append(make([]byte, 0, len(payload)), payload...)
	}
	return payload, version, errors.Join(err, closer.Close())
}

var reservedStart = []byte{store.ReservedSpace}

// Scan implements store.Reader.
func (n *snapshot) Scan(r store.Range, visit func(store.Item) bool) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	end := r.End
	if len(end) == 0 || end[0] == store.ReservedSpace {
		end = reservedStart
	}
	if bytes.Compare(r.Start, end) >= 0 {
		return nil
	}
	bounds := &engine.IterOptions{UpperBound: end}
	if len(r.Start) > 0 { // to Pebble only nil is no bound
		bounds.LowerBound = r.Start
	}
	iter, err := n.view.snap.NewIter(bounds)
	if err != nil {
		return fmt.Errorf("store: scan from %q: %w", r.Start, err)
	}
	first, next := iter.First, iter.Next
	if r.Reverse {
		first, next = iter.Last, iter.Prev
	}
	for ok := first(); ok; ok = next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("store: scan at %q: %w", iter.Key(), err), iter.Close())
		}
		version, payload, err := splitValue(iter.Key(), value)
		if err != nil {
			return errors.Join(err, iter.Close())
		}
		if !visit(store.Item{Key: iter.Key(), Value: payload, Version: version}) {
			break
		}
	}
	if err := iter.Close(); err != nil {
		return fmt.Errorf("store: scan from %q: %w", r.Start, err)
	}
	return nil
}
