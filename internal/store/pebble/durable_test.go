package pebble_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
)

// heldSync is a file system whose next sync can be held.
type heldSync struct {
	mu      sync.Mutex
	entered chan struct{} // nil: nothing is held
	release chan struct{}
}

// hold makes the next sync wait. It returns when the sync has come and how to
// let it go on.
func (h *heldSync) hold() (entered <-chan struct{}, release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entered, h.release = make(chan struct{}), make(chan struct{})
	return h.entered, sync.OnceFunc(func() { close(h.release) })
}

func (h *heldSync) hook() {
	h.mu.Lock()
	entered, release := h.entered, h.release
	h.entered = nil
	h.mu.Unlock()
	if entered != nil {
		close(entered)
		<-release
	}
}

// TestSnapshotDuringSync checks that nobody sees a group before it is durable,
// and that nobody waits for it who only reads.
func TestSnapshotDuringSync(t *testing.T) {
	t.Parallel()
	var held heldSync
	s := open(t, "data", &pebble.Options{FS: &syncHook{vfs.NewMem(), held.hook}})
	ctx := context.Background()
	put(t, s, "k", "old")
	before, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	epoch, err := s.AcquireLease(ctx, "p", "me", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	changes, stop := s.Watch('k')
	defer stop()

	entered, release := held.hold()
	defer release()
	committed := make(chan error, 1)
	go func() {
		txn := &store.Txn{Lease: store.Lease{Name: "p", Epoch: epoch}}
		txn.Put([]byte("k"), []byte("new"))
		verdicts, err := s.Commit(ctx, []*store.Txn{txn})
		committed <- errors.Join(append(verdicts, err)...)
	}()
	<-entered // written and visible in the engine, but not synced

	if got := get(t, s, "k"); got != "old" {
		t.Errorf("a snapshot during the sync shows %q", got)
	}
	if value, _, err := before.Get([]byte("k")); string(value) != "old" || err != nil {
		t.Errorf("an older snapshot shows %q, %v", value, err)
	}
	if err := s.RenewLease(ctx, "p", epoch, time.Hour); err != nil {
		t.Errorf("RenewLease during the sync: %v", err)
	}
	waiting, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Commit(waiting, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit with an ended context during the sync: %v", err)
	}
	select {
	case <-changes:
		t.Error("a signal before the group is durable")
	case err := <-committed:
		t.Errorf("Commit did not wait for the sync: %v", err)
	default:
	}

	release()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	<-changes
	if got := get(t, s, "k"); got != "new" {
		t.Errorf("after the sync: %q", got)
	}
}
