package pebble_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
)

// open opens the store in dir and closes it at the end of the test.
func open(tb testing.TB, dir string, opts *pebble.Options) *pebble.Store {
	tb.Helper()
	s, err := pebble.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			tb.Error(err)
		}
	})
	return s
}

// put commits one transaction that sets key to value.
func put(tb testing.TB, s store.Store, key, value string) {
	tb.Helper()
	t := &store.Txn{}
	t.Put([]byte(key), []byte(value))
	verdicts, err := s.Commit(context.Background(), []*store.Txn{t})
	if err := errors.Join(append(verdicts, err)...); err != nil {
		tb.Fatal(err)
	}
}

// get returns the present value of key.
func get(tb testing.TB, s store.Store, key string) string {
	tb.Helper()
	snap, err := s.Snapshot()
	if err != nil {
		tb.Fatal(err)
	}
	defer snap.Close()
	value, _, err := snap.Get([]byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	return string(value)
}

func TestOpenCreatesAndReopens(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, nil)
	put(t, s, "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, open(t, dir, nil), "k"); got != "v" {
		t.Errorf("after reopening: %q, want %q", got, "v")
	}
}

func TestOpenRefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		dir  string
		fs   vfs.FS
	}{
		{"disk", t.TempDir(), nil},
		{"memory", "data", vfs.NewMem()},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, c.dir, &pebble.Options{FS: c.fs})
			put(t, s, "k", "v")
			_, err := pebble.Open(c.dir, &pebble.Options{FS: c.fs})
			if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), c.dir) {
				t.Errorf("second Open: %v, want ErrLocked naming %q", err, c.dir)
			}
			put(t, s, "k", "w") // the first one goes on
			if got := get(t, s, "k"); got != "w" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestOpenKnowsAFolderByOtherNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, filepath.Join(dir, "data"), nil)
	if err := os.Symlink("data", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(filepath.Join(dir, "link"), nil); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open by a link: %v, want ErrLocked", err)
	}
}

func TestOpenRefusesANewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "PERDURE"), []byte("perdure store 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(dir, nil); !errors.Is(err, store.ErrNewerFormat) {
		t.Errorf("Open: %v, want ErrNewerFormat", err)
	}
}

func TestOpenRefusesWhatItDidNotWrite(t *testing.T) {
	t.Parallel()
	t.Run("garbled format", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "PERDURE"), []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pebble.Open(dir, nil); err == nil {
			t.Error("opened")
		}
	})
	t.Run("incomplete copy", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, nil)
		put(t, s, "k", "v")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "PERDURE")); err != nil {
			t.Fatal(err)
		}
		if _, err := pebble.Open(dir, nil); err == nil {
			t.Error("opened")
		}
	})
	t.Run("a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pebble.Open(name, nil); err == nil || errors.Is(err, store.ErrLocked) {
			t.Errorf("Open: %v", err)
		}
	})
}

func TestRestoreRefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "data"), nil)
	put(t, s, "k", "v")
	backup := filepath.Join(dir, "backup")
	if err := s.Backup(context.Background(), backup); err != nil {
		t.Fatal(err)
	}
	if err := pebble.Restore(backup, filepath.Join(dir, "data"), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Restore over a store: %v, want fs.ErrExist", err)
	}
	if err := pebble.Restore(dir, filepath.Join(dir, "other"), nil); err == nil {
		t.Error("Restore of a folder that is no backup succeeded")
	}
}

func TestCloseWithOpenSnapshot(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	put(t, s, "k", "v")
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, _, err := snap.Get([]byte("k")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after Close: %v, want ErrClosed", err)
	}
	if err := snap.Close(); err != nil {
		t.Errorf("closing the snapshot: %v", err)
	}
}
