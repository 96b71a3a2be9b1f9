// Package memory is a store that keeps nothing: for unit tests and for virtual
// time. It obeys the contract in everything but surviving its process.
package memory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/btree"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/internal/local"
)

var _ store.Store = (*Store)(nil)

// Options configures New. The zero value, and nil, mean the defaults.
type Options struct {
	// Now tells the time for leases; default time.Now.
	Now func() time.Time
}

// Store is a store.Store in memory.
type Store struct {
	calls    *local.Gate
	leases   *local.Leases
	watchers local.Watchers

	mu   sync.Mutex
	tree *btree.BTreeG[store.Item]
	seq  store.Version
}

// New returns an empty store. opts may be nil.
func New(opts *Options) *Store {
	now := time.Now
	if opts != nil && opts.Now != nil {
		now = opts.Now
	}
	return &Store{
		calls:  local.NewGate(),
		leases: local.NewLeases(now),
		tree:   btree.NewG(32, less),
	}
}

func less(a, b store.Item) bool { return bytes.Compare(a.Key, b.Key) < 0 }

// enter begins a call. Every nil must be followed by s.calls.Leave.
func (s *Store) enter(ctx context.Context) error {
	if !s.calls.Enter() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		s.calls.Leave()
		return err
	}
	return nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Leave()
	verdicts := make([]error, len(group))
	var spaces local.Spaces
	s.mu.Lock()
	for i, t := range group {
		verdicts[i] = s.verdict(t)
		if verdicts[i] != nil || t.Empty() {
			continue
		}
		s.seq++
		s.apply(t)
		spaces.AddTxn(t)
	}
	s.mu.Unlock()
	s.watchers.Notify(&spaces)
	return verdicts, nil
}

// verdict decides one transaction.
func (s *Store) verdict(t *store.Txn) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if t.Lease.Name != "" {
		if err := s.leases.Check(t.Lease); err != nil {
			return err
		}
	}
	for i := range t.Conditions {
		want := &t.Conditions[i]
		item, _ := s.tree.Get(store.Item{Key: want.Key})
		if item.Version != want.Version {
			return &store.ConflictError{Key: want.Key, Want: want.Version, Got: item.Version}
		}
	}
	return nil
}

// apply performs an accepted transaction under the version s.seq. The tree keeps
// copies: callers may not change what they gave, but tests do.
func (s *Store) apply(t *store.Txn) {
	for i := range t.Ops {
		op := &t.Ops[i]
		switch op.Kind {
		case store.OpPut:
			s.set(op.Key, bytes.Clone(op.Value))
		case store.OpDelete:
			s.tree.Delete(store.Item{Key: op.Key})
		case store.OpAdd:
			s.add(op.Key, uint64(op.Delta))
		case store.OpAppend:
			position := s.add(op.Key, 1)
			s.set(store.PositionKey(op.Key, position), bytes.Clone(op.Value))
		case store.OpDeleteRange:
			s.deleteRange(op.Key, op.End)
		}
	}
}

func (s *Store) set(key, value []byte) {
	if value == nil {
		value = []byte{} // nil means absent
	}
	s.tree.ReplaceOrInsert(store.Item{Key: bytes.Clone(key), Value: value, Version: s.seq})
}

// add adds to a counter and returns the sum.
func (s *Store) add(key []byte, delta uint64) uint64 {
	var sum uint64
	if item, _ := s.tree.Get(store.Item{Key: key}); len(item.Value) == 8 {
		sum = binary.BigEndian.Uint64(item.Value)
	}
	sum += delta
	s.set(key, binary.BigEndian.AppendUint64(nil, sum))
	return sum
}

func (s *Store) deleteRange(start, end []byte) {
	var doomed []store.Item
	s.tree.AscendRange(store.Item{Key: start}, store.Item{Key: end}, func(item store.Item) bool {
		doomed = append(doomed, item)
		return true
	})
	for _, item := range doomed {
		s.tree.Delete(item)
	}
}

// Snapshot implements store.Store.
func (s *Store) Snapshot() (store.Snapshot, error) {
	if err := s.enter(context.Background()); err != nil {
		return nil, err
	}
	defer s.calls.Leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &snapshot{s: s, tree: s.tree.Clone(), reads: local.NewGate()}, nil
}

// AcquireLease implements store.Store.
func (s *Store) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (uint64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Leave()
	s.mu.Lock() // no group under way may count on the epoch that ends here
	defer s.mu.Unlock()
	epoch, err := s.leases.Next(name, owner, ttl)
	if err != nil {
		return 0, err
	}
	s.leases.Grant(name, owner, epoch, ttl)
	return epoch, nil
}

// RenewLease implements store.Store.
func (s *Store) RenewLease(ctx context.Context, name string, epoch uint64, ttl time.Duration) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Leave()
	return s.leases.Renew(name, epoch, ttl)
}

// ReleaseLease implements store.Store.
func (s *Store) ReleaseLease(ctx context.Context, name string, epoch uint64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Leave()
	s.leases.Release(name, epoch)
	return nil
}

// Watch implements store.Store.
func (s *Store) Watch(space byte) (<-chan struct{}, func()) { return s.watchers.Watch(space) }

// Backup answers errors.ErrUnsupported: there is nothing to copy.
func (s *Store) Backup(context.Context, string) error {
	return fmt.Errorf("store: backup of a store in memory: %w", errors.ErrUnsupported)
}

// Close implements store.Store.
func (s *Store) Close() error {
	if !s.calls.Close() {
		return store.ErrClosed
	}
	<-s.calls.Drained()
	return nil
}

// snapshot is a copy of the tree, shared with it until either changes.
type snapshot struct {
	s     *Store
	tree  *btree.BTreeG[store.Item]
	reads *local.Gate
}

func (n *snapshot) enter() error {
	if err := n.s.enter(context.Background()); err != nil {
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

// Close implements store.Snapshot.
func (n *snapshot) Close() error {
	n.reads.Close()
	return nil
}

// Get implements store.Reader.
func (n *snapshot) Get(key []byte) ([]byte, store.Version, error) {
	if err := n.enter(); err != nil {
		return nil, 0, err
	}
	defer n.leave()
	item, found := n.tree.Get(store.Item{Key: key})
	if !found {
		return nil, 0, nil
	}
	return append(make([]byte, 0, len(item.Value)), item.Value...), item.Version, nil
}

// Scan implements store.Reader.
func (n *snapshot) Scan(r store.Range, visit func(store.Item) bool) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	below := func(item store.Item) bool { return len(r.End) == 0 || bytes.Compare(item.Key, r.End) < 0 }
	if !r.Reverse {
		n.tree.AscendGreaterOrEqual(store.Item{Key: r.Start}, func(item store.Item) bool {
			return below(item) && visit(item)
		})
		return nil
	}
	step := func(item store.Item) bool {
		if !below(item) {
			return true // the end itself, which is exclusive
		}
		return bytes.Compare(item.Key, r.Start) >= 0 && visit(item)
	}
	if len(r.End) == 0 {
		n.tree.Descend(step)
	} else {
		n.tree.DescendLessOrEqual(store.Item{Key: r.End}, step)
	}
	return nil
}
