package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// ErrInjected is the cause of every failure that a Faulty store makes.
var ErrInjected = errors.New("storetest: injected failure")

// Fault says how a Faulty store fails.
type Fault int

// The faults. For an operation that writes nothing all of them are Refuse.
const (
	// Refuse answers an error without doing anything; the store goes on.
	Refuse Fault = iota
	// Lose answers ErrOutcomeUnknown without doing anything; the store must be
	// opened again.
	Lose
	// Keep does the operation and answers ErrOutcomeUnknown; the store must be
	// opened again.
	Keep
)

// String names the fault.
func (f Fault) String() string { return [...]string{"refuse", "lose", "keep"}[f] }

// Faulty is a store whose i-th operation fails. It counts commits, snapshots,
// reads of snapshots, calls about leases and backups, from 0. The store inside
// stays whole: use it again as the reopened one.
type Faulty struct {
	store.Store
	fault Fault
	at    int

	mu     sync.Mutex
	count  int
	broken error
}

// NewFaulty wraps s so that operation number at fails; a negative one means
// none.
func NewFaulty(s store.Store, fault Fault, at int) *Faulty {
	return &Faulty{Store: s, fault: fault, at: at}
}

// Operations is the number of operations so far.
func (f *Faulty) Operations() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Failed reports whether the fault has happened.
func (f *Faulty) Failed() bool { return f.at >= 0 && f.Operations() > f.at }

// Sweep runs scenario with a fault at operation 0, 1, 2 and so on, until a run
// passes without meeting it. scenario wraps its store by inject, once, and must
// cope with the failure: open again (use the store inside) and check what has to
// hold. Sweep fails if no fault was ever met.
func Sweep(t *testing.T, fault Fault, scenario func(t *testing.T, inject func(store.Store) *Faulty)) {
	t.Helper()
	const limit = 10_000
	for at := range limit {
		met := false
		passed := t.Run(fmt.Sprintf("%v-%d", fault, at), func(t *testing.T) {
			var faulty *Faulty
			scenario(t, func(s store.Store) *Faulty {
				faulty = NewFaulty(s, fault, at)
				return faulty
			})
			met = faulty != nil && faulty.Failed()
		})
		if !passed {
			return
		}
		if !met {
			if at == 0 {
				t.Error("the scenario made no operation")
			}
			return
		}
	}
	t.Errorf("the scenario still met the fault after %d runs", limit)
}

// do counts one operation and lets it happen, fail, or both.
func (f *Faulty) do(writes bool, operation func() error) error {
	f.mu.Lock()
	if f.broken != nil {
		defer f.mu.Unlock()
		return f.broken
	}
	hit := f.count == f.at
	f.count++
	if hit && writes && f.fault != Refuse {
		f.broken = fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, ErrInjected)
	}
	f.mu.Unlock()
	switch {
	case !hit:
		return operation()
	case !writes || f.fault == Refuse:
		return ErrInjected
	case f.fault == Keep:
		_ = operation() // its result is what the caller cannot know
	}
	return f.broken
}

// Commit implements store.Store.
func (f *Faulty) Commit(ctx context.Context, group []*store.Txn) (verdicts []error, err error) {
	var inner []error
	err = f.do(true, func() (err error) {
		inner, err = f.Store.Commit(ctx, group)
		return err
	})
	if err != nil {
		return nil, err
	}
	return inner, nil
}

// Snapshot implements store.Store.
func (f *Faulty) Snapshot() (store.Snapshot, error) {
	var inner store.Snapshot
	if err := f.do(false, func() (err error) {
		inner, err = f.Store.Snapshot()
		return err
	}); err != nil {
		return nil, err
	}
	return &faultySnapshot{Snapshot: inner, f: f}, nil
}

// AcquireLease implements store.Store.
func (f *Faulty) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (uint64, error) {
	var epoch uint64
	if err := f.do(true, func() (err error) {
		epoch, err = f.Store.AcquireLease(ctx, name, owner, ttl)
		return err
	}); err != nil {
		return 0, err
	}
	return epoch, nil
}

// RenewLease implements store.Store.
func (f *Faulty) RenewLease(ctx context.Context, name string, epoch uint64, ttl time.Duration) error {
	return f.do(true, func() error { return f.Store.RenewLease(ctx, name, epoch, ttl) })
}

// ReleaseLease implements store.Store.
func (f *Faulty) ReleaseLease(ctx context.Context, name string, epoch uint64) error {
	return f.do(true, func() error { return f.Store.ReleaseLease(ctx, name, epoch) })
}

// Backup implements store.Store.
func (f *Faulty) Backup(ctx context.Context, dir string) error {
	return f.do(false, func() error { return f.Store.Backup(ctx, dir) })
}

// faultySnapshot counts reads as operations.
type faultySnapshot struct {
	store.Snapshot
	f *Faulty
}

// Get implements store.Reader.
func (n *faultySnapshot) Get(key []byte) (value []byte, version store.Version, err error) {
	err = n.f.do(false, func() (err error) {
		value, version, err = n.Snapshot.Get(key)
		return err
	})
	return value, version, err
}

// Scan implements store.Reader.
func (n *faultySnapshot) Scan(r store.Range, visit func(store.Item) bool) error {
	return n.f.do(false, func() error { return n.Snapshot.Scan(r, visit) })
}
