// Package storetest is the conformance suite of store.Store: what
// docs/store-contract.md promises, one case for each rule, the same for every
// implementation. It also holds what tests of the layers above need: a store
// that fails on demand and a benchmark.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// Harness is how the suite gets at an implementation.
type Harness struct {
	// Open returns a new, empty store that tells the time of leases by now. The
	// harness closes it when t ends, unless the case did.
	Open func(t testing.TB, now func() time.Time) store.Store
	// Reopen closes s and opens the same data again. Needs Caps.Durable.
	Reopen func(t testing.TB, s store.Store, now func() time.Time) store.Store
	// Restore returns a new store with the data of a backup. Needs Caps.Backup.
	Restore func(t testing.TB, backupDir string) store.Store
	// Caps says which optional rules apply. It is declared, never sniffed.
	Caps Caps
}

// Caps are the parts of the contract that not every implementation has.
type Caps struct {
	// Durable: what is committed outlives the Store value.
	Durable bool
	// Backup: Backup works.
	Backup bool
}

// testCase checks one rule.
type testCase struct {
	name  string
	needs Caps
	run   func(e *env)
}

// allCases is every case, in the order of the contract page.
func allCases() []testCase {
	return slices.Concat(commitCases, conditionCases, rangeCases, counterCases, appendCases, readCases, versionCases,
		leaseCases, watchCases, lifecycleCases, backupCases, concurrentCases, modelCases)
}

// Cases returns the names of all cases.
func Cases() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}

// Run runs every case that applies on a fresh store of its own.
func Run(t *testing.T, h Harness) {
	for _, c := range allCases() {
		if c.needs.Durable && !h.Caps.Durable || c.needs.Backup && !h.Caps.Backup {
			continue // what a store declares that it is not is no test left out
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			c.run(&env{T: t, h: h, clock: clock, Store: h.Open(t, clock.Now)})
		})
	}
}

// Clock is a clock that a test moves. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands still at some time.
func NewClock() *Clock { return &Clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// env is what a case works with: its store and short words for what cases do.
type env struct {
	*testing.T
	store.Store
	h     Harness
	clock *Clock
}

// reopen closes the store and opens its data again.
func (e *env) reopen() { e.Store = e.h.Reopen(e.T, e.Store, e.clock.Now) }

// txn builds a transaction.
func txn(build func(t *store.Txn)) *store.Txn {
	t := &store.Txn{}
	build(t)
	return t
}

// putTxn is a transaction that sets one key.
func putTxn(key, value string) *store.Txn {
	return txn(func(t *store.Txn) { t.Put([]byte(key), []byte(value)) })
}

// group commits transactions together and returns their verdicts.
func (e *env) group(txns ...*store.Txn) []error {
	e.Helper()
	verdicts, err := e.Commit(context.Background(), txns)
	if err != nil {
		e.Fatalf("Commit: %v", err)
	}
	if len(verdicts) != len(txns) {
		e.Fatalf("Commit returned %d verdicts for %d transactions", len(verdicts), len(txns))
	}
	return verdicts
}

// verdict commits one transaction by itself.
func (e *env) verdict(build func(t *store.Txn)) error {
	e.Helper()
	return e.group(txn(build))[0]
}

// must commits one transaction that has to be accepted.
func (e *env) must(build func(t *store.Txn)) {
	e.Helper()
	if err := e.verdict(build); err != nil {
		e.Fatalf("transaction refused: %v", err)
	}
}

// put sets one key.
func (e *env) put(key, value string) {
	e.Helper()
	e.must(func(t *store.Txn) { t.Put([]byte(key), []byte(value)) })
}

// del removes one key.
func (e *env) del(key string) {
	e.Helper()
	e.must(func(t *store.Txn) { t.Delete([]byte(key)) })
}

// add adds to one counter.
func (e *env) add(key string, delta int64) {
	e.Helper()
	e.must(func(t *store.Txn) { t.Add([]byte(key), delta) })
}

// snap returns a snapshot that is closed at the end of the case.
func (e *env) snap() store.Snapshot {
	e.Helper()
	n, err := e.Snapshot()
	if err != nil {
		e.Fatalf("Snapshot: %v", err)
	}
	e.Cleanup(func() {
		if err := n.Close(); err != nil {
			e.Errorf("closing a snapshot: %v", err)
		}
	})
	return n
}

// view calls read with a snapshot of now.
func (e *env) view(read func(r store.Reader)) {
	e.Helper()
	n, err := e.Snapshot()
	if err != nil {
		e.Fatalf("Snapshot: %v", err)
	}
	read(n)
	if err := n.Close(); err != nil {
		e.Fatalf("closing a snapshot: %v", err)
	}
}

// read returns what r shows of a key.
func (e *env) read(r store.Reader, key string) (value []byte, version store.Version) {
	e.Helper()
	value, version, err := r.Get([]byte(key))
	if err != nil {
		e.Fatalf("Get %q: %v", key, err)
	}
	if (value == nil) != (version == 0) {
		e.Fatalf("Get %q: value %q with version %d", key, value, version)
	}
	return value, version
}

// version returns the present version of a key.
func (e *env) version(key string) (version store.Version) {
	e.Helper()
	e.view(func(r store.Reader) { _, version = e.read(r, key) })
	return version
}

// counter returns the present number of a counter.
func (e *env) counter(key string) (n int64) {
	e.Helper()
	e.view(func(r store.Reader) { n = e.readCounter(r, key) })
	return n
}

func (e *env) readCounter(r store.Reader, key string) int64 {
	e.Helper()
	value, _ := e.read(r, key)
	n, err := store.DecodeCounter(value)
	if err != nil {
		e.Fatalf("counter %q: %v", key, err)
	}
	return n
}

// list returns what a scan visits, as "key=value".
func (e *env) list(r store.Reader, within store.Range) []string {
	e.Helper()
	var items []string
	if err := r.Scan(within, func(item store.Item) bool {
		items = append(items, fmt.Sprintf("%s=%s", item.Key, item.Value))
		return true
	}); err != nil {
		e.Fatalf("Scan: %v", err)
	}
	return items
}

// has checks that the store holds exactly these "key=value" pairs.
func (e *env) has(want ...string) {
	e.Helper()
	e.view(func(r store.Reader) { e.shows(r, store.Range{}, want...) })
}

// shows checks what a scan visits.
func (e *env) shows(r store.Reader, within store.Range, want ...string) {
	e.Helper()
	if got := e.list(r, within); !slices.Equal(got, want) {
		e.Errorf("scan from %q to %q, reverse %v: got %q, want %q", within.Start, within.End, within.Reverse, got, want)
	}
}

// is checks that err matches want; a nil want means no error.
func (e *env) is(what string, err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// keys is the range [start, end).
func keys(start, end string) store.Range {
	return store.Range{Start: []byte(start), End: []byte(end)}
}
