// Package store is Perdure's storage contract: one ordered key space with
// conditional, atomic, durable commits. It is all that a database must offer;
// every rule above it (instances, rows, indexes, queues) is written once, in
// internal/records, and so behaves the same on every store.
//
// The rules each implementation keeps are listed in docs/store-contract.md, each
// with the case of storetest that checks it.
package store

import (
	"context"
	"time"
)

// Version identifies the commit that last wrote a key. Versions only grow: a key
// written by a later commit has a greater version. Zero means the key is absent.
type Version uint64

// Item is a key with its value and version, as a snapshot shows it. Its slices
// are valid until the callback that received it returns.
type Item struct {
	Key     []byte
	Value   []byte
	Version Version
}

// Range is the half-open interval [Start, End) of keys in byte order. An empty
// End means no upper bound.
type Range struct {
	Start, End []byte
	// Reverse visits the greatest key first.
	Reverse bool
}

// Reader reads keys as of one point in time.
type Reader interface {
	// Get returns the value and version of key. An absent key is a nil value
	// and version 0, not an error. The caller may keep the slice.
	Get(key []byte) ([]byte, Version, error)
	// Scan calls visit for each key of r in order until visit returns false.
	Scan(r Range, visit func(Item) bool) error
}

// Snapshot is a consistent, immutable view of everything that was durable when
// it was taken. It never shows a write that a crash could still undo. It is safe
// for concurrent use and must be closed once, not from inside a Scan of its own.
type Snapshot interface {
	Reader
	Close() error
}

// Store is an ordered key space with conditional, atomic, durable commits. All
// methods are safe for concurrent use.
//
// The first byte of a key names its space; a store may keep each space in a
// table of its own. Keys are 1 to MaxKeySize bytes and never in ReservedSpace.
type Store interface {
	// Commit decides the transactions of group in order, each by itself, as if
	// they were committed one after another: transaction i sees what the
	// accepted ones before it wrote. The returned slice holds one verdict for
	// each: nil (durable), ErrConflict (a condition failed), ErrLeaseLost (its
	// lease is not held any more) or an error that says why it is malformed. A
	// refused transaction changes nothing and does not disturb the others.
	//
	// When Commit returns, every accepted transaction survives a power cut; all
	// of them share one sync. A non-nil error speaks for the whole group:
	// ErrOutcomeUnknown when any of it may or may not have become durable (the
	// store then refuses further work until it is opened again), ErrClosed, a
	// context error or any other one when nothing was written.
	Commit(ctx context.Context, group []*Txn) ([]error, error)

	// Snapshot returns a view of the latest durable state.
	Snapshot() (Snapshot, error)

	// AcquireLease makes owner the holder of the named lease for ttl and
	// returns the new epoch, greater than every earlier epoch of that name. It
	// fails with ErrLeaseHeld while another owner's lease runs; the same owner
	// may acquire again, which fences its own earlier epoch. Epochs outlive the
	// store's process; a lease may end early when the store that only one
	// process can open is opened again, since its holder is then gone.
	AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (epoch uint64, err error)
	// RenewLease extends a lease; ErrLeaseLost when epoch is not the current
	// one or the lease has run out.
	RenewLease(ctx context.Context, name string, epoch uint64, ttl time.Duration) error
	// ReleaseLease gives a lease up at once. Releasing a lost lease is no error.
	ReleaseLease(ctx context.Context, name string, epoch uint64) error

	// Watch returns a channel that receives a value after commits that wrote
	// into space, whichever process made them. Signals are coalesced: one may
	// stand for many commits. The channel is never closed; stop ends the
	// signals and may be called more than once.
	Watch(space byte) (changes <-chan struct{}, stop func())

	// Backup writes a complete, consistent copy of the store into dir, which
	// must not exist, while the store stays in use.
	Backup(ctx context.Context, dir string) error

	// Close waits for calls under way and releases the store. Everything after
	// it, open snapshots included, answers ErrClosed; so does a second Close. A
	// visit callback of Scan must not call it.
	Close() error
}
