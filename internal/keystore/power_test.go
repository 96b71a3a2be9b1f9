package keystore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/powercut"
	"github.com/perdure/perdure/internal/keystore"
)

// recorderFS records what the keystore does.
type recorderFS struct {
	r           *powercut.Recorder
	skipFolders bool // a mistake that the test has to find
	skipFiles   bool
}

func (f recorderFS) Create(path string, _ fs.FileMode) (keystore.File, error) {
	file, err := f.r.Create(path)
	if err == nil && f.skipFiles {
		return unsyncedFile{file}, nil
	}
	return file, err
}

type unsyncedFile struct{ keystore.File }

func (unsyncedFile) Sync() error { return nil }

func (f recorderFS) Rename(from, to string) error { return f.r.Rename(from, to) }
func (f recorderFS) Remove(path string) error     { return f.r.Remove(path) }

func (f recorderFS) RenameNew(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return f.r.Rename(from, to)
}

func (f recorderFS) SyncDir(path string) error {
	if f.skipFolders {
		return nil
	}
	dir, err := f.r.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// quickFS does not sync: nothing of what it writes is to last.
type quickFS struct{ keystore.FS }

func (f quickFS) Create(path string, perm fs.FileMode) (keystore.File, error) {
	file, err := f.FS.Create(path, perm)
	return unsyncedFile{file}, err
}

func (quickFS) SyncDir(string) error { return nil }

var quick = keystore.Options{FS: quickFS{keystore.OS}}

// sealedMark is what the program was told to be sealed.
type sealedMark struct{ sealed []byte }

// record runs a small history and returns its log.
func record(t *testing.T, wrap func(*powercut.Recorder) keystore.FS) powercut.Log {
	t.Helper()
	top := t.TempDir()
	r := powercut.Record(blobstore.OS, top)
	if err := blobstore.MakeDir(r, filepath.Join(top, "data")); err != nil {
		t.Fatal(err)
	}
	p := place{filepath.Join(top, "data"), filepath.Join(top, "data.master-key")}
	k, _, err := keystore.OpenLocal(p.data, p.master, keystore.Options{FS: wrap(r)})
	if err != nil {
		t.Fatal(err)
	}
	note := func() { r.Mark(sealedMark{seal(t, k, "test", "plain")}) }
	note()
	if _, err := keystore.OpenCA(k); err != nil {
		t.Fatal(err)
	}
	if _, err := k.RotateKey(); err != nil {
		t.Fatal(err)
	}
	note()
	if _, err := k.RotateMaster(p.master); err != nil {
		t.Fatal(err)
	}
	note()
	return r.Log()
}

// checkCut starts on what a power cut left.
func checkCut(t *testing.T, cut powercut.Cut) error {
	top := filepath.Join(t.TempDir(), "cut")
	defer func() { _ = os.RemoveAll(top) }() // there are hundreds
	if err := cut.WriteTo(top); err != nil {
		t.Fatal(err)
	}
	p := place{filepath.Join(top, "data"), filepath.Join(top, "data.master-key")}
	if _, err := os.Lstat(p.data); errors.Is(err, fs.ErrNotExist) && len(cut.Marks) == 0 {
		return nil
	}
	k, _, err := keystore.OpenLocal(p.data, p.master, quick)
	if err != nil {
		return err
	}
	for _, m := range cut.Marks {
		if b, err := k.Open("test", m.(sealedMark).sealed); err != nil || string(b) != "plain" {
			return fmt.Errorf("opened %q: %w", b, err)
		}
	}
	_, err = keystore.OpenCA(k)
	return err
}

func TestPowerCutLosesNothing(t *testing.T) {
	t.Parallel()
	cuts := 0
	for cut := range record(t, func(r *powercut.Recorder) keystore.FS { return recorderFS{r: r} }).Cuts() {
		cuts++
		if testing.Short() && cut.After%4 != 0 {
			continue
		}
		if err := checkCut(t, cut); err != nil {
			t.Errorf("power cut after step %d (%s), %s: %v", cut.After, cut.Step, cut.Variant, err)
		}
	}
	t.Logf("%d cuts", cuts)
	if cuts < 100 {
		t.Errorf("only %d cuts", cuts)
	}
}

// The test would see a sync that is missing.
func TestPowerCutFindsMissingSync(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*powercut.Recorder) keystore.FS{
		"folders": func(r *powercut.Recorder) keystore.FS { return recorderFS{r: r, skipFolders: true} },
		"files":   func(r *powercut.Recorder) keystore.FS { return recorderFS{r: r, skipFiles: true} },
	} {
		found := false
		for cut := range record(t, wrap).Cuts() {
			if found = checkCut(t, cut) != nil; found {
				break
			}
		}
		if !found {
			t.Errorf("%s are not synced, and nothing is lost", name)
		}
	}
}

// What a process that was killed has left may have no durable name yet. The next one makes it
// durable before it seals anything.
func TestPowerCutAfterKill(t *testing.T) {
	t.Parallel()
	for i := 1; ; i++ {
		top := t.TempDir()
		r := powercut.Record(blobstore.OS, top)
		if err := blobstore.MakeDir(r, filepath.Join(top, "data")); err != nil {
			t.Fatal(err)
		}
		p := place{filepath.Join(top, "data"), filepath.Join(top, "data.master-key")}
		first := &faultFS{FS: recorderFS{r: r}, countdown: i, dead: true}
		k, _, err := keystore.OpenLocal(p.data, p.master, keystore.Options{FS: first})
		if err == nil {
			_, err = k.RotateMaster(p.master)
		}
		if err == nil {
			_, _ = keystore.OpenCA(k)
		}
		if k, _, err = keystore.OpenLocal(p.data, p.master, keystore.Options{FS: recorderFS{r: r}}); err != nil {
			t.Fatal(err)
		}
		r.Mark(sealedMark{seal(t, k, "test", "plain")})
		for cut := range r.Log().Cuts() {
			if len(cut.Marks) == 0 {
				continue
			}
			if err := checkCut(t, cut); err != nil {
				t.Errorf("killed at operation %d, %s: %v", i, cut.Variant, err)
			}
		}
		if !first.killed {
			break
		}
	}
}
