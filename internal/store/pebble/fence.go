package pebble

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/perdure/perdure/internal/store/internal/local"
)

// fence is the file system under Pebble. It does two things Pebble does not.
//
// A log that cannot be written, or a folder that cannot be synced, ends the
// store at once: the failure is reported, and the goroutine that met it never
// goes on. (Pebble panics there, in part with a mutex in a state that ends the
// process, and what it does after a failed sync must not reach the disk.)
//
// After cut, nothing is written any more: whatever Pebble's background work
// still tries stays where it is. So the folder can be opened again while a dead
// engine is still in memory.
type fence struct {
	vfs.FS
	gate  *local.Gate
	fatal func(error)

	mu      sync.Mutex
	lock    io.Closer // of the folder; nil when not held
	lockErr error     // why the folder could not be locked
}

func newFence(fs vfs.FS, fatal func(error)) *fence {
	return &fence{FS: fs, gate: local.NewGate(), fatal: fatal}
}

// cut stops all writing. It does not wait for writes under way.
func (f *fence) cut() { f.gate.Close() }

// abandon waits for writes under way after cut and gives up the folder's lock.
func (f *fence) abandon() {
	<-f.gate.Drained()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock != nil {
		_ = f.lock.Close() // nothing was written through it
		f.lock = nil
	}
}

// do runs one changing operation. The failure of a vital one ends the store.
func (f *fence) do(vital bool, op func() error) error {
	if !f.gate.Enter() {
		park()
	}
	err := op()
	f.gate.Leave()
	if err != nil && vital {
		f.fatal(err)
		park()
	}
	return err
}

// park stops the calling goroutine for good. Unwinding it instead would run
// deferred unlocks of mutexes that Pebble does not hold at every point.
func park() { select {} }

// isLog reports whether name is a write-ahead log of Pebble.
func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// held is the folder's lock as Pebble holds it.
type held struct{ f *fence }

// Close implements io.Closer.
func (h held) Close() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	lock := h.f.lock
	h.f.lock = nil
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// Lock implements vfs.FS.
func (f *fence) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lock, err := f.FS.Lock(name)
	if err != nil {
		f.lockErr = err
		return nil, err
	}
	f.lock = lock
	return held{f}, nil
}

// lockedByOther reports whether Lock failed because the folder is in use,
// rather than, say, for want of rights.
func (f *fence) lockedByOther() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lockErr == nil {
		return false
	}
	// Pebble has no error value for a second store in the same process.
	return errors.Is(f.lockErr, syscall.EAGAIN) || strings.Contains(f.lockErr.Error(), "held by current process")
}

// Unwrap implements vfs.FS.
func (f *fence) Unwrap() vfs.FS { return f.FS }

// wrap puts a file opened for writing behind the fence.
func (f *fence) wrap(vital bool, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := f.do(vital, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f, vital: vital}, nil
}

// Create implements vfs.FS. The name of a new manifest is made durable at once:
// Pebble syncs the folder only after it wrote the marker that points to it, and
// a power cut in between may keep the marker alone.
func (f *fence) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.wrap(isLog(name), func() (vfs.File, error) { return f.FS.Create(name, category) })
	if err != nil || !strings.HasPrefix(f.PathBase(name), "MANIFEST-") {
		return file, err
	}
	if err := syncDir(f, f.PathDir(name)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// OpenReadWrite implements vfs.FS.
func (f *fence) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.wrap(isLog(name), func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fence) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(isLog(newname), func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir implements vfs.FS. Directories are opened to be synced.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f, vital: true}, nil
}

// Link implements vfs.FS.
func (f *fence) Link(oldname, newname string) error {
	return f.do(false, func() error { return f.FS.Link(oldname, newname) })
}

// Remove implements vfs.FS.
func (f *fence) Remove(name string) error {
	return f.do(false, func() error { return f.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (f *fence) RemoveAll(name string) error {
	return f.do(false, func() error { return f.FS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (f *fence) Rename(oldname, newname string) error {
	return f.do(false, func() error { return f.FS.Rename(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.do(false, func() error { return f.FS.MkdirAll(dir, perm) })
}

// fencedFile is a file or folder behind the fence.
type fencedFile struct {
	vfs.File
	fence *fence
	vital bool
}

// Close implements io.Closer.
func (f *fencedFile) Close() error { return f.fence.do(f.vital, f.File.Close) }

// Stat implements vfs.File. Pebble looks at a log that it is about to reuse.
func (f *fencedFile) Stat() (info vfs.FileInfo, err error) {
	err = f.fence.do(f.vital, func() (err error) {
		info, err = f.File.Stat()
		return err
	})
	return info, err
}

// Write implements io.Writer.
func (f *fencedFile) Write(p []byte) (n int, err error) {
	err = f.fence.do(f.vital, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fence.do(f.vital, func() (err error) {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	return n, err
}

// Sync implements vfs.File.
func (f *fencedFile) Sync() error { return f.fence.do(f.vital, f.File.Sync) }

// SyncData implements vfs.File.
func (f *fencedFile) SyncData() error { return f.fence.do(f.vital, f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fence.do(f.vital, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Preallocate implements vfs.File. It only saves work, so its failure is no
// failure of the log; Pebble ignores it.
func (f *fencedFile) Preallocate(offset, length int64) error {
	return f.fence.do(false, func() error { return f.File.Preallocate(offset, length) })
}
