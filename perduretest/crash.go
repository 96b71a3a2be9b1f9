package perduretest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/store"
)

// CrashEverywhere runs scenario again and again, each time on a new app that crashes at
// another commit: first at the first one, then at the second, until a run ends without
// meeting its crash. Each commit is met twice, once lost and once kept without the app
// hearing of it. After its crash the app is started again and goes on. The scenario drives
// the app by the methods of App alone, whose effects happen once whatever crashes, and
// fails its test if something was lost or done twice. Parts is called for each run.
func CrashEverywhere(t *testing.T, c perdure.Config, parts func() []perdure.Part, scenario func(t *testing.T, app *App)) {
	t.Helper()
	for _, kept := range []bool{false, true} {
		for at := 1; ; at++ {
			met := false
			word := map[bool]string{false: "lost", true: "kept"}[kept]
			passed := t.Run(fmt.Sprintf("commit %d %s", at, word), func(t *testing.T) {
				app := begin(t, c, parts(), crash{at: at, kept: kept})
				scenario(t, app)
				met = app.crashed
			})
			if !passed {
				return
			}
			if !met {
				if at == 1 {
					t.Error("perduretest: the scenario committed nothing")
				}
				break
			}
		}
	}
}

// crash says at which commit a store dies.
type crash struct {
	// at counts from 1; 0 is never.
	at int
	// kept says that this commit is durable all the same.
	kept bool
}

// errCrashed is the cause of every failure after a crash.
var errCrashed = errors.New("perduretest: the app has crashed")

// mortal is a store that dies at a commit: for its app as if the process had ended. What
// it has written is in the store inside.
type mortal struct {
	store.Store
	crash crash
	died  chan struct{} // closed when it dies

	mu      sync.Mutex
	commits int
	gone    bool
	leases  map[string]uint64
}

func newMortal(s store.Store, at crash) *mortal {
	return &mortal{Store: s, crash: at, died: make(chan struct{}), leases: map[string]uint64{}}
}

func (m *mortal) dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// die ends the store.
func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end()
}

// end is die for who holds the mutex.
func (m *mortal) end() {
	if !m.gone {
		m.gone = true
		close(m.died)
	}
}

// check is the answer to a call of a dead store.
func (m *mortal) check() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, errCrashed)
	}
	return nil
}

// Commit implements store.Store. The mutex is held through it, so that nothing is
// committed by a store that is dead.
func (m *mortal) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	unknown := fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, errCrashed)
	if m.gone {
		return nil, unknown
	}
	if m.commits += len(group); m.crash.at == 0 || m.commits < m.crash.at {
		return m.Store.Commit(ctx, group)
	}
	if m.crash.kept {
		_, _ = m.Store.Commit(ctx, group) // its result is what a crash hides
	}
	m.end()
	return nil, unknown
}

// Snapshot implements store.Store.
func (m *mortal) Snapshot() (store.Snapshot, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return m.Store.Snapshot()
}

// AcquireLease implements store.Store.
func (m *mortal) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (uint64, error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	epoch, err := m.Store.AcquireLease(ctx, name, owner, ttl)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.leases[name] = epoch
	}
	return epoch, err
}

// release gives up the leases of an app that has ended, as a store does that only one
// process can open.
func (m *mortal) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, epoch := range m.leases {
		_ = m.Store.ReleaseLease(context.Background(), name, epoch) // one that is lost already is no matter
	}
}

// Close implements store.Store. The store inside outlives it.
func (m *mortal) Close() error { return nil }
