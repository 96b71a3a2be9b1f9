// Package unit is the unit of work: what one run of a function reads and writes.
//
// Reads come from one snapshot and are remembered with the version they saw.
// Writes are buffered. Nothing reaches the store until the run has ended well;
// then everything is handed over as one store.Txn whose conditions are the reads,
// so that it commits as if the run had happened alone, or not at all.
package unit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// The errors a unit answers. The root package exports them again.
var (
	// ErrNoUnit: a resource was used with a context that carries no unit.
	ErrNoUnit = errors.New("perdure: no unit of work in this context: functions without NoUnit have one, App.Unit opens one")
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
	// Deliver adds one delivery to the unit, as a queue does, and gives it its
	// id. Nil where nothing can be delivered.
	Deliver func(u *Unit, d *records.Delivery) error
	// Feeds are the tables whose changes somebody listens to. They are set
	// before the first unit.
	Feeds map[string]bool
	// Outbox are the targets, as records.StreamTarget names them, whose events and
	// messages go to their outbox. They are set before the first unit.
	Outbox map[string]bool
	// Secret, unless nil, returns the value of a secret by its reference, "vault:NAME", with the rights of the app.
	Secret func(ctx context.Context, ref string) (string, error)
	// RowExpires, unless nil, is told after a commit when a row that was written
	// expires.
	RowExpires func(at time.Time)
	// Trace, unless nil, returns the headers by which the trace of a context goes
	// on elsewhere; nil without a trace.
	Trace func(ctx context.Context) map[string]string
}

// Unit buffers one run. It is safe for use by several goroutines.
type Unit struct {
	env *Env

	compound sync.Mutex // held by Do; taken before mu

	mu       sync.Mutex
	closed   bool
	failed   error // why it cannot commit
	snap     store.Snapshot
	reads    map[string]store.Version
	writes   map[string]*write
	order    []string   // keys of writes, in order of first write
	appends  []store.Op // in order
	size     int        // bytes of keys and values in writes and appends
	commits  []func()
	discards []func()

	trace map[string]string // what is sent is part of it
}

// write is what the unit will do to one key: put a value, add to a counter, or,
// being neither, delete.
type write struct {
	value []byte
	isAdd bool
	delta int64
}

// over returns what a key that holds base will hold after w; nil when absent.
func (w *write) over(base []byte) ([]byte, error) {
	if !w.isAdd {
		return w.value, nil
	}
	n, err := store.DecodeCounter(base)
	if err != nil {
		return nil, err
	}
	return store.EncodeCounter(n + w.delta), nil
}

// New returns an empty unit.
func New(env *Env) *Unit {
	return &Unit{env: env}
}

// Init makes u, which must be zero, an empty unit: for one that is part of something else.
func (u *Unit) Init(env *Env) { u.env = env }

type contextKey struct{}

// IsKey reports whether a context keeps its unit under key: for contexts made by hand.
func IsKey(key any) bool { return key == contextKey{} }

// With returns a context that carries u. What u sends is part of the trace of ctx.
func With(ctx context.Context, u *Unit) context.Context {
	if u.env.Trace != nil {
		u.trace = u.env.Trace(ctx)
	}
	return context.WithValue(ctx, contextKey{}, u)
}

// Trace makes what the unit of ctx sends from now on a part of the trace of ctx, until
// undo is called: for a unit in which several events are handled one after another.
func Trace(ctx context.Context) (undo func()) {
	u, _ := ctx.Value(contextKey{}).(*Unit)
	if u == nil || u.env.Trace == nil {
		return func() {}
	}
	before := u.setTrace(u.env.Trace(ctx))
	return func() { u.setTrace(before) }
}

func (u *Unit) setTrace(trace map[string]string) (before map[string]string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before, u.trace = u.trace, trace
	return before
}

// Traced returns headers with those of the unit's trace added. It does not change
// headers.
func (u *Unit) Traced(headers map[string]string) map[string]string {
	u.mu.Lock()
	trace := u.trace
	u.mu.Unlock()
	if len(trace) == 0 {
		return headers
	}
	traced := maps.Clone(headers)
	if traced == nil {
		traced = map[string]string{}
	}
	maps.Copy(traced, trace)
	return traced
}

// In returns a context that carries u, for work that joins it later: the trace that u is part of stays.
func (u *Unit) In(ctx context.Context) context.Context {
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
// there, is validated when the unit commits. The slice must not be changed.
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
	_, err := u.read(key, true)
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
	value, err := u.read(key, validate)
	if err != nil || w == nil {
		return value, err
	}
	return w.over(value)
}

// read returns the snapshot's value and, if asked, remembers its version.
func (u *Unit) read(key []byte, validate bool) ([]byte, error) {
	if err := u.open(); err != nil {
		return nil, err
	}
	value, version, err := u.snap.Get(key)
	if err != nil || !validate {
		return value, err
	}
	if _, seen := u.reads[string(key)]; !seen {
		if len(u.reads) >= MaxReads {
			return nil, u.fail(fmt.Errorf("%w: it validates more than %d keys", ErrTooLarge, MaxReads))
		}
		if u.reads == nil {
			u.reads = map[string]store.Version{}
		}
		u.reads[string(key)] = version
	}
	return value, nil
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

// Do runs f while no other Do of this unit runs. A change that reads and then
// writes what depends on it is made in one, so that goroutines which share the
// unit do not come between. F must not call Do.
func (u *Unit) Do(f func() error) error {
	u.compound.Lock()
	defer u.compound.Unlock()
	return f()
}

// Put sets key to value when the unit commits. Neither may be changed afterwards.
func (u *Unit) Put(key, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return u.write(key, func(w *write) error {
		*w = write{value: value}
		return nil
	})
}

// Delete removes key when the unit commits.
func (u *Unit) Delete(key []byte) error {
	return u.write(key, func(w *write) error {
		*w = write{}
		return nil
	})
}

// Add adds delta to the counter at key when the unit commits, without reading it.
func (u *Unit) Add(key []byte, delta int64) error {
	return u.write(key, func(w *write) error {
		if w.isAdd {
			w.delta += delta
			return nil
		}
		n, err := store.DecodeCounter(w.value)
		w.value = store.EncodeCounter(n + delta)
		return err
	})
}

// Append puts value at the next position of the log at key when the unit commits,
// as store.OpAppend does, after what Append was called with before. The unit does
// not see it: its position does not exist before the commit. Neither slice may be
// changed afterwards.
func (u *Unit) Append(key, value []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ErrUnitClosed
	}
	if err := u.grow(len(key) + store.PositionSize + len(value)); err != nil {
		return err
	}
	u.appends = append(u.appends, store.Op{Kind: store.OpAppend, Key: key, Value: value})
	return nil
}

// write lets change alter what the unit does to key. A key not yet written is
// given to it as an addition of nothing.
func (u *Unit) write(key []byte, change func(*write) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ErrUnitClosed
	}
	old, written := u.writes[string(key)]
	w, more := write{isAdd: true}, 0
	if written {
		w = *old
		more -= len(old.value)
	} else {
		more += len(key)
	}
	if err := change(&w); err != nil {
		return u.fail(err)
	}
	if err := u.grow(more + len(w.value)); err != nil {
		return err
	}
	if !written {
		u.order = append(u.order, string(key))
	}
	if u.writes == nil {
		u.writes = map[string]*write{}
	}
	u.writes[string(key)] = &w
	return nil
}

// grow counts more bytes that the unit writes.
func (u *Unit) grow(more int) error {
	if u.size+more > MaxBytes {
		return u.fail(fmt.Errorf("%w: it writes more than %d bytes", ErrTooLarge, MaxBytes))
	}
	u.size += more
	return nil
}

// fail makes the unit one that cannot commit: a change of several writes of which one
// was refused must not happen in part, even if user code goes on after the error.
func (u *Unit) fail(err error) error {
	if u.failed == nil {
		u.failed = err
	}
	return err
}

// Err returns why the unit cannot commit, or nil.
func (u *Unit) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

// OnCommit registers what happens after the unit is durable, such as waking the
// reader of what it sent. It must not block or fail. It does nothing on a unit
// that has ended.
func (u *Unit) OnCommit(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.commits = append(u.commits, f)
	}
}

// OnDiscard registers what happens when the unit is known not to have
// committed, such as removing staged bytes. It must not block for long. On a
// unit that has ended it happens at once: what f undoes came too late to be part
// of the commit.
func (u *Unit) OnDiscard(f func()) {
	u.mu.Lock()
	closed := u.closed
	if !closed {
		u.discards = append(u.discards, f)
	}
	u.mu.Unlock()
	if closed {
		f()
	}
}

// Seal ends the unit and appends its conditions and writes to txn. It fails with
// ErrUnitClosed when the unit has ended, and with Err when that is not nil. Whoever
// seals a unit calls Committed or Discarded once the outcome is known.
func (u *Unit) Seal(txn *store.Txn) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return ErrUnitClosed
	}
	u.close()
	if u.failed != nil {
		return u.failed
	}
	for key, version := range u.reads {
		txn.Require([]byte(key), version)
	}
	for _, key := range u.order {
		switch w := u.writes[key]; {
		case w.isAdd:
			txn.Add([]byte(key), w.delta)
		case w.value == nil:
			txn.Delete([]byte(key))
		default:
			txn.Put([]byte(key), w.value)
		}
	}
	txn.Ops = append(txn.Ops, u.appends...)
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
	u.mu.Lock()
	commits := u.commits
	u.commits = nil
	u.mu.Unlock()
	for _, f := range commits {
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
	return len(u.order) == 0 && len(u.appends) == 0
}
