package blobstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/powercut"
)

// The marks of a recording: what the program had been told.
type (
	createdMark struct{ key, text string }
	deletedMark struct{ key string } // before the call, for what it may remove
	goneMark    struct{ key string } // after it
)

// unsyncedFS does not sync: what it skips is not under test or is the mistake
// that a test makes.
type unsyncedFS struct {
	blobstore.FS
	skipFiles, skipFolders bool
}

type unsyncedFile struct{ blobstore.File }

func (unsyncedFile) Sync() error { return nil }

type unsyncedFolder struct{ blobstore.Folder }

func (unsyncedFolder) Sync() error { return nil }

func (f unsyncedFS) Create(path string) (blobstore.File, error) {
	file, err := f.FS.Create(path)
	if err != nil || !f.skipFiles {
		return file, err
	}
	return unsyncedFile{file}, nil
}

func (f unsyncedFS) OpenDir(path string) (blobstore.Folder, error) {
	dir, err := f.FS.OpenDir(path)
	if err != nil || !f.skipFolders {
		return dir, err
	}
	return unsyncedFolder{dir}, nil
}

// record runs a small history on a driver whose file system is wrapped, and
// returns its log.
func record(t *testing.T, wrap func(blobstore.FS) blobstore.FS) powercut.Log {
	t.Helper()
	top := t.TempDir()
	r := powercut.Record(unsyncedFS{blobstore.OS, true, true}, top)
	d := openDir(t, filepath.Join(top, "data", "blobs"), blobstore.Options{FS: wrap(r)})
	var keys []string
	for i, text := range []string{"first", "", strings.Repeat("long ", blobstore.CopyBuffer/2)} {
		key := create(t, d, text)
		r.Mark(createdMark{key, text})
		if keys = append(keys, key); i == 1 {
			_, _, err := d.Create(t.Context(), strings.NewReader("too large"), 3)
			if !errors.Is(err, blobstore.ErrTooLarge) {
				t.Fatal(err)
			}
		}
	}
	r.Mark(deletedMark{keys[0]})
	if err := d.Delete(t.Context(), keys[0]); err != nil {
		t.Fatal(err)
	}
	r.Mark(goneMark{keys[0]})
	r.Mark(createdMark{create(t, d, "last"), "last"})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return r.Log()
}

// checkCut opens the driver on what a power cut left.
func checkCut(t *testing.T, cut powercut.Cut) error {
	top := filepath.Join(t.TempDir(), "cut")
	if err := cut.WriteTo(top); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(top) }() // there are hundreds
	d, err := blobstore.OpenDir(filepath.Join(top, "data", "blobs"),
		blobstore.Options{FS: unsyncedFS{blobstore.OS, true, true}})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()

	known := map[string]string{}
	deleting := map[string]bool{}
	for _, mark := range cut.Marks {
		switch m := mark.(type) {
		case createdMark:
			known[m.key] = m.text
		case deletedMark:
			deleting[m.key] = true
		case goneMark:
			if _, err := d.Open(t.Context(), m.key); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("deleted object %s is back: %v", m.key, err)
			}
		}
	}
	for key, text := range known {
		got, err := content(d, key)
		if deleting[key] && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || got != text {
			return fmt.Errorf("object %s of %d bytes has %d: %v", key, len(text), len(got), err)
		}
	}
	// One that was never acknowledged may be there, but whole.
	whole := map[int64]bool{0: true, 4: true, 5: true, 5 * (blobstore.CopyBuffer / 2): true}
	err = d.List(t.Context(), func(key string, size int64, _ time.Time) error {
		if text, err := content(d, key); err != nil || !whole[size] || strings.HasPrefix(text, "\x00") {
			return fmt.Errorf("object %s is partial: %d bytes, %v", key, size, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.Tidy(t.Context(), time.Now().Add(time.Hour)); err != nil {
		return err
	}
	for _, path := range files(t, top) {
		if strings.HasSuffix(path, ".tmp") {
			return fmt.Errorf("left over: %s", path)
		}
	}
	key, _, err := d.Create(t.Context(), strings.NewReader("after the cut"), 0)
	if err != nil {
		return err
	}
	if got, err := content(d, key); err != nil || got != "after the cut" {
		return fmt.Errorf("new object holds %q: %v", got, err)
	}
	return nil
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	log := record(t, func(f blobstore.FS) blobstore.FS { return f })
	cuts := 0
	for cut := range log.Cuts() {
		if testing.Short() && cut.After%4 != 0 {
			continue
		}
		cuts++
		if err := checkCut(t, cut); err != nil {
			t.Errorf("%v: %v", cut, err)
		}
	}
	t.Logf("%d states", cuts)
	if cuts < 50 {
		t.Errorf("%d states, want at least 50", cuts)
	}
}

// A test that could not fail would show nothing: a driver that forgets a sync is
// found.
func TestPowerCutFindsMissingSyncs(t *testing.T) {
	t.Parallel()
	for name, mistake := range map[string]unsyncedFS{
		"files":   {skipFiles: true},
		"folders": {skipFolders: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := record(t, func(f blobstore.FS) blobstore.FS {
				mistake.FS = f
				return mistake
			})
			for cut := range log.Cuts() {
				if checkCut(t, cut) != nil {
					return
				}
			}
			t.Error("no cut showed the missing syncs")
		})
	}
}

func TestMakeDirIsDurable(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(blobstore.FS, string) error{
		"new":            func(blobstore.FS, string) error { return nil },
		"made by a kill": func(f blobstore.FS, top string) error { return f.Mkdir(filepath.Join(top, "a")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			r := powercut.Record(blobstore.OS, top)
			if err := errors.Join(before(r, top), blobstore.MakeDir(r, filepath.Join(top, "a"))); err != nil {
				t.Fatal(err)
			}
			r.Mark("made")
			for cut := range r.Log().Cuts() {
				if len(cut.Marks) == 0 {
					continue
				}
				left := t.TempDir()
				if err := cut.WriteTo(left); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(filepath.Join(left, "a")); err != nil {
					t.Errorf("%v: %v", cut, err)
				}
			}
		})
	}
}
