// Package powercut shows what a power cut may leave of a folder. A Recorder
// writes down what a program does to its files; Log.Cuts then plays that back and
// stops after every step, with those changes dropped that no sync had made
// durable. It is for tests.
//
// The model is harsher than common file systems. A file's bytes are durable up to
// its last Sync; what follows may be lost, cut short or zero. Each entry that was
// added to a folder or removed from it since the folder's last Sync may, by
// itself, be durable or not; a rename is one entry change. Marks and locks are
// not files.
package powercut

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure/internal/blobstore"
)

// Recorder is a file system that records what is done below its root.
type Recorder struct {
	blobstore.FS
	root string

	created atomic.Int64 // files so far

	mu    sync.Mutex
	steps []step
}

type stepKind string

const (
	mkdir    stepKind = "mkdir"
	create   stepKind = "create"
	write    stepKind = "write"
	syncFile stepKind = "sync file"
	rename   stepKind = "rename"
	remove   stepKind = "remove"
	syncDir  stepKind = "sync folder"
	mark     stepKind = "mark"
)

// step is one recorded change. Paths are relative to the root.
type step struct {
	kind stepKind
	path string
	to   string // rename
	file int    // create, write, syncFile: a number that survives a rename
	data []byte // write
	mark any
}

// Record returns a recorder over fsys. Root must be an empty folder; only what
// happens below it is recorded.
func Record(fsys blobstore.FS, root string) *Recorder {
	return &Recorder{FS: fsys, root: filepath.Clean(root)}
}

// Mark records that the program has reached a point, such as an answer given.
// Cut.Marks returns those that came before a cut.
func (r *Recorder) Mark(value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, step{kind: mark, mark: value})
}

// Log returns what was recorded so far.
func (r *Recorder) Log() Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Log{steps: r.steps[:len(r.steps):len(r.steps)]}
}

// do runs f and records s when it succeeded, as one, so that the order of the
// log is the order in which things happened.
func (r *Recorder) do(s step, f func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	path, inside := r.relative(s.path)
	if !inside {
		return nil
	}
	s.path = path
	if s.kind == rename {
		if s.to, inside = r.relative(s.to); !inside || filepath.Dir(s.path) != filepath.Dir(s.to) {
			return fmt.Errorf("powercut: rename of %q to %q leaves its folder", s.path, s.to)
		}
	}
	r.steps = append(r.steps, s)
	return nil
}

func (r *Recorder) relative(path string) (string, bool) {
	rel, err := filepath.Rel(r.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return rel, true
}

// Mkdir implements blobstore.FS.
func (r *Recorder) Mkdir(path string) error {
	return r.do(step{kind: mkdir, path: path}, func() error { return r.FS.Mkdir(path) })
}

// Rename implements blobstore.FS.
func (r *Recorder) Rename(from, to string) error {
	return r.do(step{kind: rename, path: from, to: to}, func() error { return r.FS.Rename(from, to) })
}

// Remove implements blobstore.FS.
func (r *Recorder) Remove(path string) error {
	return r.do(step{kind: remove, path: path}, func() error { return r.FS.Remove(path) })
}

// Create implements blobstore.FS.
func (r *Recorder) Create(path string) (blobstore.File, error) {
	f := &file{r: r, path: path, number: int(r.created.Add(1))}
	err := r.do(step{kind: create, path: path, file: f.number}, func() (err error) {
		f.File, err = r.FS.Create(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenDir implements blobstore.FS.
func (r *Recorder) OpenDir(path string) (blobstore.Folder, error) {
	dir, err := r.FS.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &folder{Folder: dir, r: r, path: path}, nil
}

type file struct {
	blobstore.File
	r      *Recorder
	path   string
	number int
}

func (f *file) Write(p []byte) (n int, err error) {
	err = f.r.do(step{kind: write, path: f.path, file: f.number, data: append([]byte(nil), p...)}, func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *file) Sync() error {
	return f.r.do(step{kind: syncFile, path: f.path, file: f.number}, f.File.Sync)
}

type folder struct {
	blobstore.Folder
	r    *Recorder
	path string
}

func (d *folder) Sync() error {
	return d.r.do(step{kind: syncDir, path: d.path}, d.Folder.Sync)
}
