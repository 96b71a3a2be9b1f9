package pebble_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/store/storetest"
)

func TestConformanceOnDisk(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness(nil, func(t testing.TB) string { return filepath.Join(t.TempDir(), "data") }))
}

func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	var folders atomic.Int64
	storetest.Run(t, harness(vfs.NewMem(), func(testing.TB) string { return fmt.Sprint("data", folders.Add(1)) }))
}

// harness opens stores on files in folders that newDir names.
func harness(files vfs.FS, newDir func(testing.TB) string) storetest.Harness {
	dirs := make(chan map[store.Store]string, 1) // where each store lives
	dirs <- map[store.Store]string{}
	openAt := func(t testing.TB, dir string, now func() time.Time) store.Store {
		// Small tables, so that flushes and compactions take part.
		s := open(t, dir, &pebble.Options{FS: files, Now: now, MemTableSize: 256 << 10, CacheSize: 1 << 20})
		at := <-dirs
		at[s] = dir
		dirs <- at
		return s
	}
	return storetest.Harness{
		Open: func(t testing.TB, now func() time.Time) store.Store { return openAt(t, newDir(t), now) },
		Reopen: func(t testing.TB, s store.Store, now func() time.Time) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			at := <-dirs
			dir := at[s]
			delete(at, s)
			dirs <- at
			return openAt(t, dir, now)
		},
		Restore: func(t testing.TB, backupDir string) store.Store {
			dir := newDir(t)
			if err := pebble.Restore(backupDir, dir, &pebble.Options{FS: files}); err != nil {
				t.Fatal(err)
			}
			return openAt(t, dir, time.Now)
		},
		Caps: storetest.Caps{Durable: true, Backup: true},
	}
}
