// Package unit is the unit of work: what one run of a function reads and writes.
//
// Reads come from one snapshot and are remembered with the version they saw.
// Writes are buffered. Nothing reaches the store until the run has ended well;
// then everything is handed over as one store.Txn whose conditions are the reads,
// so that it commits as if the run had happened alone, or not at all.
package unit

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// The errors a unit answers. The root package exports them again.
var (
	// ErrNoUnit: a resource was used with a context that carries no unit.
	ErrNoUnit = errors.New("perdure: no unit of work in this context")
	// ErrUnitClosed: the unit has ended, by commit, failure or timeout.
	ErrUnitClosed = errors.New("perdure: unit of work has ended")
	// ErrInsideUnit: an operation that waits for something which cannot exist
	// before the unit commits was called inside it.
	ErrInsideUnit = errors.New("perdure: call would wait for its own unit of work to commit")
	// ErrTooLarge: the unit buffers more than Limits allows.
	ErrTooLarge = errors.New("perdure: unit of work is too large")
)

// The bounds of one unit.
const (
	// MaxBytes bounds the keys and values one unit may buffer.
	MaxBytes = 32 << 20
	// MaxReads bounds the keys whose versions one unit validates.
	MaxReads = 100_000
)

// Env is what a unit needs of the app it runs in.
type Env struct {
	// Snapshot opens a view of the latest durable state.
	Snapshot func() (store.Snapshot, error)
	// Now is the app's clock.
	Now func() time.Time
	// Orchestrator starts instances and raises events as part of a unit. Nil
	// in an app without orchestrations.
	Orchestrator Orchestrator
	// Blobs keeps the bytes of blobs. Nil in an app without containers.
	Blobs Blobs
	// Publish adds the deliveries an event causes to the unit: one for each
	// function that is triggered by topic. Nil when nothing is triggered.
	Publish func(u *Unit, topic string, event []byte) error
}

// Unit buffers one run. It is safe for use by several goroutines.
type Unit struct {
	env *Env

	mu       sync.Mutex
	closed   bool
	snap     store.Snapshot
	reads    map[string]store.Version
	writes   map[string]*write
	order    []string // keys of writes, in order of first write
	size     int
	commits  []func()
	discards []func()
}

// write is what the unit will do to one key.
type write struct {
	value   []byte // nil: delete
	isAdd   bool
	delta   int64
	deleted bool
}

// New returns an empty unit.
func New(env *Env) *Unit {
	return &Unit{env: env, reads: map[string]store.Version{}, writes: map[string]*write{}}
}

type contextKey struct{}

// With returns a context that carries u.
func With(ctx context.Context, u *Unit) context.Context {
	return context.WithValue(ctx, contextKey{}, u)
}

// Without returns a context that carries no unit, for work that must not join
// the unit of its caller.
func Without(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, (*Unit)(nil))
}

// From returns the open unit that ctx carries: ErrNoUnit without one,
// ErrUnitClosed when it has ended.
func From(ctx context.Context) (*Unit, error) {
	u, _ := ctx.Value(contextKey{}).(*Unit)
	if u == nil {
		return nil, ErrNoUnit
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, ErrUnitClosed
	}
	return u, nil
}

// Inside reports whether ctx carries a unit, open or ended.
func Inside(ctx context.Context) bool {
	u, _ := ctx.Value(contextKey{}).(*Unit)
	return u != nil
}

// Env returns what the unit was made with.
func (u *Unit) Env() *Env { return u.env }

// Now returns the app's time.
func (u *Unit) Now() time.Time { return u.env.Now() }

// Get returns the value at key as the unit sees it: its own write, else the
// snapshot's. A key that is absent is nil. What was read, also that nothing was
// there, is validated when the unit commits.
func (u *Unit) Get(key []byte) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.get(key, true)
}

// Peek is Get without validation: the unit commits even if the key changes.
func (u *Unit) Peek(key []byte) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.get(key, false)
}

// Validate adds the condition that key does not change before the commit.
func (u *Unit) Validate(key []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, _, err := u.read(key, true)
	return err
}

func (u *Unit) get(key []byte, validate bool) ([]byte, error) {
	w := u.writes[string(key)]
	if w != nil && !w.isAdd {
		if u.closed {
			return nil, ErrUnitClosed
		}
		return w.value, nil
	}
	value, _, err := u.read(key, validate)
	if err != nil || w == nil {
		return value, err
	}
	n, err := store.DecodeCounter(value)
	if err != nil {
		return nil, err
	}
	return store.EncodeCounter(n + w.delta), nil
}

// read returns the snapshot's value and, if asked, remembers its version.
func (u *Unit) read(key []byte, validate bool) ([]byte, store.Version, error) {
	if err := u.open(); err != nil {
		return nil, 0, err
	}
	value, version, err := u.snap.Get(key)
	if err != nil {
		return nil, 0, err
	}
	if validate {
		if _, seen := u.reads[string(key)]; !seen {
			if len(u.reads) >= MaxReads {
				return nil, 0, ErrTooLarge
			}
			u.reads[string(key)] = version
		}
	}
	return value, version, nil
}

// open makes sure that the unit is usable and has its snapshot.
func (u *Unit) open() error {
	if u.closed {
		return ErrUnitClosed
	}
	if u.snap != nil {
		return nil
	}
	snap, err := u.env.Snapshot()
	if err != nil {
		return err
	}
	u.snap = snap
	return nil
}

// Scan visits the keys of r as the unit sees them: the snapshot overlaid with
// the unit's own writes. It is not validated. Visit must not use the unit.
func (u *Unit) Scan(r store.Range, visit func(store.Item) bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.open(); err != nil {
		return err
	}
	own := u.own(r)
	before := func(a, b []byte) bool {
		if r.Reverse {
			return bytes.Compare(a, b) > 0
		}
		return bytes.Compare(a, b) < 0
	}
	emit := func(key string) (bool, error) {
		value, err := u.get([]byte(key), false)
		if err != nil || value == nil {
			return true, err
		}
		return visit(store.Item{Key: []byte(key), Value: value}), nil
	}
	var (
		next    int
		goOn    = true
		ownErr  error
		visitIn = func(it store.Item) bool {
			for next < len(own) && before([]byte(own[next]), it.Key) {
				if goOn, ownErr = emit(own[next]); !goOn || ownErr != nil {
					return false
				}
				next++
			}
			if next < len(own) && own[next] == string(it.Key) {
				goOn, ownErr = emit(own[next])
				next++
				return goOn && ownErr == nil
			}
			goOn = visit(it)
			return goOn
		}
	)
	if err := u.snap.Scan(r, visitIn); err != nil {
		return err
	}
	for ; goOn && ownErr == nil && next < len(own); next++ {
		goOn, ownErr = emit(own[next])
	}
	return ownErr
}

// own returns the written keys inside r, in the order of the scan.
func (u *Unit) own(r store.Range) []string {
	var keys []string
	for key := range u.writes {
		if key >= string(r.Start) && (len(r.End) == 0 || key < string(r.End)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if r.Reverse {
		slices.Reverse(keys)
	}
	return keys
}

// Put sets key to value when the unit commits. Value must not be nil.
func (u *Unit) Put(key, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return u.write(key, len(value), func(w *write) { *w = write{value: value} })
}

// Delete removes key when the unit commits.
func (u *Unit) Delete(key []byte) error {
	return u.write(key, 0, func(w *write) { *w = write{deleted: true} })
}

// Add adds delta to the counter at key when the unit commits, without reading it.
func (u *Unit) Add(key []byte, delta int64) error {
	return u.write(key, 8, func(w *write) { *w = write{isAdd: true, delta: w.delta + delta} })
}

func (u *Unit) write(key []byte, size int, change func(*write)) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ErrUnitClosed
	}
	if u.size += len(key) + size; u.size > MaxBytes {
		return ErrTooLarge
	}
	w := u.writes[string(key)]
	if w == nil {
		w = &write{}
		u.writes[string(key)] = w
		u.order = append(u.order, string(key))
	}
	change(w)
	return nil
}

// OnCommit registers what happens after the unit is durable, such as waking the
// reader of what it sent. It must not block or fail.
func (u *Unit) OnCommit(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.commits = append(u.commits, f)
}

// OnDiscard registers what happens when the unit is known not to have
// committed, such as removing staged bytes. It must not block for long.
func (u *Unit) OnDiscard(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.discards = append(u.discards, f)
}

// Seal ends the unit and appends its conditions and writes to txn. Whoever seals
// a unit calls Committed or Discarded once the outcome is known.
func (u *Unit) Seal(txn *store.Txn) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ErrUnitClosed
	}
	u.close()
	for key, version := range u.reads {
		txn.Require([]byte(key), version)
	}
	for _, key := range u.order {
		switch w := u.writes[key]; {
		case w.isAdd:
			txn.Add([]byte(key), w.delta)
		case w.deleted:
			txn.Delete([]byte(key))
		default:
			txn.Put([]byte(key), w.value)
		}
	}
	return nil
}

// close releases the snapshot; the caller holds u.mu.
func (u *Unit) close() {
	u.closed = true
	if u.snap != nil {
		_ = u.snap.Close() // a view that was only read has nothing to lose
		u.snap = nil
	}
}

// Committed runs what was registered with OnCommit, in order.
func (u *Unit) Committed() {
	for _, f := range u.commits {
		f()
	}
}

// Discarded ends the unit if it is open and runs what was registered with
// OnDiscard, last first. It must not be called after a commit whose outcome is
// unknown: what the unit staged may be in use.
func (u *Unit) Discarded() {
	u.mu.Lock()
	if !u.closed {
		u.close()
	}
	discards := u.discards
	u.discards = nil
	u.mu.Unlock()
	for _, f := range slices.Backward(discards) {
		f()
	}
}

// ReadOnly reports whether the unit has written nothing.
func (u *Unit) ReadOnly() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.order) == 0
}
