// Package pebble is the store on one folder: a Pebble key-value engine in the
// process, one synced log write for each group of transactions.
package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/internal/local"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store on one folder, which it holds locked while it is open.
type Store struct {
	dir   string
	opts  Options
	fence *fence
	db    *engine.DB

	calls    *local.Gate
	leases   *local.Leases
	watchers local.Watchers

	// turn holds one token: who takes it may commit.
	turn  chan struct{}
	seq   store.Version // of the last accepted transaction; with the turn
	conds conditions    // with the turn
	logs  logs          // with the turn
	// position is the key that is being appended; with the turn.
	position []byte
	work     chan *engine.Batch
	done     chan error

	views views

	opened   atomic.Bool // Open has come to its end
	failOnce sync.Once
	cause    error         // set before failed is closed
	failure  error         // ErrOutcomeUnknown with the cause; set like it
	failed   chan struct{} // closed after a fatal failure
}

// Records of the store's own, in the reserved space.
var (
	seqKey      = []byte{store.ReservedSpace, 's'}
	leasePrefix = []byte{store.ReservedSpace, 'l'}
)

// Open opens the store in the folder dir and creates it if it is not there. It
// fails with store.ErrLocked while another process has it open and with
// store.ErrNewerFormat when a newer release wrote it. opts may be nil.
func Open(dir string, opts *Options) (*Store, error) {
	if opts == nil || opts.FS == nil { // folders of other file systems have no absolute path
		var err error
		if dir, err = realPath(dir); err != nil {
			return nil, fmt.Errorf("store: open: %w", err)
		}
	}
	s := &Store{
		dir:    dir,
		opts:   opts.withDefaults(),
		calls:  local.NewGate(),
		turn:   make(chan struct{}, 1),
		work:   make(chan *engine.Batch),
		done:   make(chan error, 1),
		failed: make(chan struct{}),
	}
	s.fence = newFence(s.opts.FS, s.fail)
	s.leases = local.NewLeases(s.opts.Now)

	err := s.guarded(s.open)
	s.opened.Store(true)
	if s.dead() != nil {
		err = s.cause
	}
	if err != nil {
		s.fence.cut()
		s.fence.abandon()
		if s.fence.lockedByOther() {
			return nil, fmt.Errorf("%w: folder %q is in use", store.ErrLocked, dir)
		}
		return nil, fmt.Errorf("store: open %q: %w", dir, err)
	}
	go s.committer()
	s.turn <- struct{}{}
	return s, nil
}

// realPath returns the one name of a folder, whether it exists or not. The lock
// of a file does not keep its own process out, so Pebble remembers by name which
// folders are open.
func realPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real, nil
	}
	return dir, nil
}

// open runs on a goroutine that a failure may leave behind.
func (s *Store) open() error {
	if err := claimFormat(s.fence, s.dir); err != nil {
		return err
	}
	db, err := engine.Open(s.dir, s.engineOptions())
	if err != nil {
		return err
	}
	if err := s.recover(db); err != nil {
		return errors.Join(err, db.Close())
	}
	s.db = db
	s.views.publish(db.NewSnapshot())
	return nil
}

// recover reads the records of the store's own.
func (s *Store) recover(db *engine.DB) error {
	value, closer, err := db.Get(seqKey)
	switch {
	case errors.Is(err, engine.ErrNotFound):
	case err != nil:
		return err
	case len(value) != 8:
		return errors.Join(fmt.Errorf("corrupt: sequence number of %d bytes", len(value)), closer.Close())
	default:
		s.seq = store.Version(binary.BigEndian.Uint64(value))
		if err := closer.Close(); err != nil {
			return err
		}
	}
	iter, err := db.NewIter(&engine.IterOptions{LowerBound: leasePrefix, UpperBound: []byte{store.ReservedSpace, leasePrefix[1] + 1}})
	if err != nil {
		return err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		name, value := iter.Key()[len(leasePrefix):], iter.Value()
		if len(value) != 8 {
			return errors.Join(fmt.Errorf("corrupt: epoch of %d bytes for lease %q", len(value), name), iter.Close())
		}
		s.leases.Restore(string(name), binary.BigEndian.Uint64(value))
	}
	return iter.Close()
}

// enter begins a call. Every nil must be followed by s.calls.Leave.
func (s *Store) enter() error {
	if !s.calls.Enter() {
		return store.ErrClosed
	}
	if err := s.dead(); err != nil {
		s.calls.Leave()
		return err
	}
	return nil
}

// dead returns the failure that ended the store, if any.
func (s *Store) dead() error {
	select {
	case <-s.failed:
		return s.failure
	default:
		return nil
	}
}

// Watch implements store.Store.
func (s *Store) Watch(space byte) (<-chan struct{}, func()) { return s.watchers.Watch(space) }

// Close implements store.Store. After a failure it only gives up the folder.
func (s *Store) Close() error {
	if !s.calls.Close() {
		return store.ErrClosed
	}
	<-s.calls.Drained()
	close(s.work)
	var err error
	if s.dead() == nil {
		err = s.guarded(func() error { return errors.Join(s.views.close(), s.db.Close()) })
	}
	if s.dead() != nil {
		s.fence.cut()
		s.fence.abandon()
	}
	if err != nil {
		return fmt.Errorf("store: close %q: %w", s.dir, err)
	}
	return nil
}
