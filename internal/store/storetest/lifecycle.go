package storetest

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/perdure/perdure/internal/store"
)

var lifecycleCases = []testCase{
	{name: "close/refuses-everything-after", run: closeRefuses},
	{name: "close/waits-for-calls", run: closeWaits},
}

var backupCases = []testCase{
	{name: "backup/complete", needs: Caps{Backup: true}, run: backupComplete},
	{name: "backup/of-a-store-in-use", needs: Caps{Backup: true}, run: backupInUse},
	{name: "backup/refuses-what-exists", needs: Caps{Backup: true}, run: backupExists},
}

func closeRefuses(e *env) {
	e.put("k", "v")
	epoch := e.acquire("p", "me")
	n, err := e.Snapshot()
	e.is("Snapshot", err, nil)
	_, stop := e.Watch('k')
	e.is("Close", e.Close(), nil)

	ctx := e.Context()
	_, err = e.Commit(ctx, []*store.Txn{putTxn("k", "w")})
	e.is("Commit", err, store.ErrClosed)
	_, err = e.Snapshot()
	e.is("Snapshot", err, store.ErrClosed)
	_, _, err = n.Get([]byte("k"))
	e.is("Get on an open snapshot", err, store.ErrClosed)
	e.is("Scan on an open snapshot", n.Scan(store.Range{}, func(store.Item) bool { return true }), store.ErrClosed)
	e.is("closing the snapshot", n.Close(), nil)
	_, err = e.AcquireLease(ctx, "p", "me", ttl)
	e.is("AcquireLease", err, store.ErrClosed)
	e.is("RenewLease", e.RenewLease(ctx, "p", epoch, ttl), store.ErrClosed)
	e.is("ReleaseLease", e.ReleaseLease(ctx, "p", epoch), store.ErrClosed)
	stop()
	_, stop = e.Watch('k') // silent, but harmless
	stop()
	if e.h.Caps.Backup {
		e.is("Backup", e.Backup(ctx, filepath.Join(e.TempDir(), "backup")), store.ErrClosed)
	}
	e.is("second Close", e.Close(), store.ErrClosed)
}

func closeWaits(e *env) {
	// Calls from many goroutines end with their result or with ErrClosed.
	var calls sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		calls.Go(func() {
			started <- struct{}{}
			for n := 0; ; n++ {
				key := fmt.Sprintf("k%d/%d", i, n)
				verdicts, err := e.Commit(e.Context(), []*store.Txn{putTxn(key, "x")})
				if err != nil {
					e.is("Commit", err, store.ErrClosed)
					return
				}
				e.is("verdict", verdicts[0], nil)
				snap, err := e.Snapshot()
				if err != nil {
					e.is("Snapshot", err, store.ErrClosed)
					return
				}
				if _, _, err := snap.Get([]byte(key)); err != nil {
					e.is("Get", err, store.ErrClosed)
				}
				if err := snap.Close(); err != nil {
					e.Errorf("closing a snapshot: %v", err)
				}
			}
		})
	}
	for range cap(started) {
		<-started
	}
	e.put("k", "v")
	e.is("Close", e.Close(), nil)
	calls.Wait()
}

func backupComplete(e *env) {
	e.put("k", "1")
	e.add("n", 3)
	last := e.acquire("p", "me")
	v := e.version("k")
	dir := filepath.Join(e.TempDir(), "backup")
	e.is("Backup", e.Backup(e.Context(), dir), nil)
	e.put("k", "2") // after the backup

	copied := &env{T: e.T, h: e.h, clock: e.clock, Store: e.h.Restore(e.T, dir)}
	copied.view(func(r store.Reader) { copied.shows(r, keys("", "n"), "k=1") })
	if got := copied.counter("n"); got != 3 {
		e.Errorf("counter is %d, want 3", got)
	}
	if got := copied.version("k"); got != v {
		e.Errorf("version is %d, want %d", got, v)
	}
	if epoch := copied.acquire("p", "me"); epoch <= last {
		e.Errorf("epoch %d after %d", epoch, last)
	}
	copied.put("k", "3")
	if got := copied.version("k"); got <= v {
		e.Errorf("version %d after %d", got, v)
	}
	e.view(func(r store.Reader) { e.shows(r, keys("", "n"), "k=2") }) // its own store
}

func backupInUse(e *env) {
	// A writer keeps two keys equal; every copy must show them so, and show
	// whatever was answered before the backup began.
	stop := make(chan struct{})
	var writer sync.WaitGroup
	var answered int64 // with mu
	var mu sync.Mutex
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			e.must(func(t *store.Txn) { t.Add([]byte("a"), 1); t.Add([]byte("b"), 1) })
			mu.Lock()
			answered++
			mu.Unlock()
		}
	})
	for i := range 3 {
		mu.Lock()
		before := answered
		mu.Unlock()
		dir := filepath.Join(e.TempDir(), fmt.Sprint("backup", i))
		e.is("Backup", e.Backup(e.Context(), dir), nil)
		copied := &env{T: e.T, h: e.h, clock: e.clock, Store: e.h.Restore(e.T, dir)}
		if a, b := copied.counter("a"), copied.counter("b"); a != b || a < before {
			e.Errorf("copy %d shows %d and %d; %d commits were answered before", i, a, b, before)
		}
	}
	close(stop)
	writer.Wait()
}

func backupExists(e *env) {
	e.put("k", "1")
	if err := e.Backup(e.Context(), e.backupOnce()); err == nil {
		e.Error("a second backup into the same folder succeeded")
	}
	e.put("k", "2")
	e.has("k=2")
}

// backupOnce makes a backup and returns where.
func (e *env) backupOnce() string {
	e.Helper()
	dir := filepath.Join(e.TempDir(), "backup")
	e.is("Backup", e.Backup(e.Context(), dir), nil)
	return dir
}
