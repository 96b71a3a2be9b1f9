package blobstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/blobstore"
)

var errFault = errors.New("injected fault")

// faultFS fails one operation of a kind that makes a change.
type faultFS struct {
	blobstore.FS
	countdown int // the operation that fails; 0: none
	failed    string
}

func (f *faultFS) fails(op string) bool {
	if f.countdown == 0 {
		return false
	}
	if f.countdown--; f.countdown > 0 {
		return false
	}
	f.failed = op
	return true
}

func (f *faultFS) Mkdir(path string) error {
	if f.fails("mkdir") {
		return errFault
	}
	return f.FS.Mkdir(path)
}

func (f *faultFS) Create(path string) (blobstore.File, error) {
	if f.fails("create") {
		return nil, errFault
	}
	file, err := f.FS.Create(path)
	return &faultFile{file, f}, err
}

func (f *faultFS) Rename(from, to string) error {
	if f.fails("rename") {
		return errFault
	}
	return f.FS.Rename(from, to)
}

func (f *faultFS) OpenDir(path string) (blobstore.Folder, error) {
	if f.fails("open folder") {
		return nil, errFault
	}
	dir, err := f.FS.OpenDir(path)
	return &faultFolder{dir, f}, err
}

type faultFile struct {
	blobstore.File
	f *faultFS
}

func (w *faultFile) Write(p []byte) (int, error) {
	if w.f.fails("write") {
		n, _ := w.File.Write(p[:len(p)/2])
		return n, errFault
	}
	return w.File.Write(p)
}

func (w *faultFile) Sync() error {
	if w.f.fails("sync file") {
		return errFault
	}
	return w.File.Sync()
}

func (w *faultFile) Close() error {
	err := w.File.Close()
	if w.f.fails("close") {
		return errFault
	}
	return err
}

type faultFolder struct {
	blobstore.Folder
	f *faultFS
}

func (d *faultFolder) Sync() error {
	if d.f.fails("sync folder") {
		return errFault
	}
	return d.Folder.Sync()
}

func TestCreateFailsCleanlyAtEachOperation(t *testing.T) {
	t.Parallel()
	var seen []string
	for i := 1; ; i++ {
		root := t.TempDir()
		fsys := &faultFS{FS: blobstore.OS}
		d := openDir(t, root, blobstore.Options{FS: fsys})
		d.SetRandom(counter()) // subfolder 00 for the first, 01 for the second
		old := create(t, d, "old")
		fsys.countdown = i
		_, _, err := d.Create(t.Context(), strings.NewReader("new"), 0)
		if fsys.failed == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		seen = append(seen, fsys.failed)
		if !errors.Is(err, errFault) {
			t.Errorf("%s fails: Create answers %v", fsys.failed, err)
		}
		if left := files(t, root); len(left) != 1 {
			t.Errorf("%s fails: files %v, want the old object alone", fsys.failed, left)
		}
		wantContent(t, d, old, "old")

		_, _, err = d.Create(t.Context(), strings.NewReader("next"), 0)
		if stopped := errors.Is(err, blobstore.ErrStopped); stopped != (strings.HasPrefix(fsys.failed, "sync folder")) {
			t.Errorf("%s fails: next Create answers %v", fsys.failed, err)
		}
	}
	want := "open folder, mkdir, sync folder, create, write, sync file, close, open folder, rename, sync folder"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("operations %s, want %s", got, want)
	}
}

// counter fills each key with the number of keys before it.
func counter() readerFunc {
	n := byte(0)
	return func(p []byte) (int, error) {
		for i := range p {
			p[i] = n
		}
		n++
		return len(p), nil
	}
}

func TestDeleteReportsFailedSync(t *testing.T) {
	t.Parallel()
	fsys := &faultFS{FS: blobstore.OS}
	d := openDir(t, t.TempDir(), blobstore.Options{FS: fsys})
	key := create(t, d, "x")
	fsys.countdown = 2
	if err := d.Delete(t.Context(), key); !errors.Is(err, errFault) || !errors.Is(err, blobstore.ErrStopped) {
		t.Errorf("got %v after a failed %s", err, fsys.failed)
	}
}
