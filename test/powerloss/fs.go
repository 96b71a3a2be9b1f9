package powerloss

import (
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perdure/perdure/internal/blobstore"
)

// storeFS calls cut before and after each sync of a file or folder.
type storeFS struct {
	vfs.FS
	cut func()
}

func (s *storeFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &storeFile{file, s.cut}, nil
}

// Create implements vfs.FS.
func (s *storeFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.wrap(s.FS.Create(name, c))
}

// OpenReadWrite implements vfs.FS.
func (s *storeFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.wrap(s.FS.OpenReadWrite(name, c, opts...))
}

// ReuseForWrite implements vfs.FS.
func (s *storeFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.wrap(s.FS.ReuseForWrite(from, to, c))
}

// OpenDir implements vfs.FS.
func (s *storeFS) OpenDir(name string) (vfs.File, error) { return s.wrap(s.FS.OpenDir(name)) }

type storeFile struct {
	vfs.File
	cut func()
}

// Sync implements vfs.File.
func (f *storeFile) Sync() error {
	f.cut()
	defer f.cut()
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *storeFile) SyncData() error {
	f.cut()
	defer f.cut()
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *storeFile) SyncTo(length int64) (bool, error) {
	f.cut()
	defer f.cut()
	return f.File.SyncTo(length)
}

// filesFS takes a cut before and after each sync, and lets no step happen while one is
// taken.
type filesFS struct {
	blobstore.FS
	disk *Disk
}

// step does one step.
func (f *filesFS) step(do func() error) error {
	f.disk.frozen.RLock()
	defer f.disk.frozen.RUnlock()
	return do()
}

// sync does a step that makes others durable.
func (f *filesFS) sync(do func() error) error {
	f.disk.cut()
	defer f.disk.cut()
	return f.step(do)
}

// Mkdir implements blobstore.FS.
func (f *filesFS) Mkdir(path string) error {
	return f.step(func() error { return f.FS.Mkdir(path) })
}

// Rename implements blobstore.FS.
func (f *filesFS) Rename(from, to string) error {
	return f.step(func() error { return f.FS.Rename(from, to) })
}

// Remove implements blobstore.FS.
func (f *filesFS) Remove(path string) error {
	return f.step(func() error { return f.FS.Remove(path) })
}

// Create implements blobstore.FS.
func (f *filesFS) Create(path string) (file blobstore.File, err error) {
	err = f.step(func() error {
		file, err = f.FS.Create(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &filesFile{file, f}, nil
}

// OpenDir implements blobstore.FS.
func (f *filesFS) OpenDir(path string) (blobstore.Folder, error) {
	dir, err := f.FS.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &filesFolder{dir, f}, nil
}

type filesFile struct {
	blobstore.File
	fs *filesFS
}

// Write implements blobstore.File.
func (f *filesFile) Write(p []byte) (n int, err error) {
	err = f.fs.step(func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

// Sync implements blobstore.File.
func (f *filesFile) Sync() error { return f.fs.sync(f.File.Sync) }

type filesFolder struct {
	blobstore.Folder
	fs *filesFS
}

// Sync implements blobstore.Folder.
func (d *filesFolder) Sync() error { return d.fs.sync(d.Folder.Sync) }
