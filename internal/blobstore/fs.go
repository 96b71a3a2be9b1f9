package blobstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is what the driver needs of a file system. It names each operation whose
// durability matters, so that a layer in between can record them; package
// powercut does.
type FS interface {
	// Mkdir makes one folder that only its owner may use. It fails with
	// fs.ErrExist when path is there.
	Mkdir(path string) error
	// Create makes a file that only its owner may use and opens it for
	// writing. It fails with fs.ErrExist when path is there.
	Create(path string) (File, error)
	// Open opens a file for reading.
	Open(path string) (io.ReadSeekCloser, error)
	// Rename moves a file, atomically, over whatever is at to.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// Stat describes the file or folder at path and follows no link.
	Stat(path string) (fs.FileInfo, error)
	// ReadDir lists a folder by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// OpenDir opens a folder so that its entries can be made durable.
	OpenDir(path string) (Folder, error)
	// Lock takes the exclusive lock at path for this process. It fails with
	// ErrLocked when another holds it; closing gives it back.
	Lock(path string) (io.Closer, error)
}

// File is a file being written.
type File interface {
	io.Writer
	// Sync makes what was written durable, not the file's name.
	Sync() error
	Close() error
}

// Folder is an open folder.
type Folder interface {
	// Sync makes the folder's entries durable, not what they name.
	Sync() error
	Close() error
}

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Mkdir(path string) error                     { return os.Mkdir(path, 0o700) }
func (osFS) Open(path string) (io.ReadSeekCloser, error) { return os.Open(path) }
func (osFS) Rename(from, to string) error                { return os.Rename(from, to) }
func (osFS) Remove(path string) error                    { return os.Remove(path) }
func (osFS) Stat(path string) (fs.FileInfo, error)       { return os.Lstat(path) }
func (osFS) ReadDir(path string) ([]fs.DirEntry, error)  { return os.ReadDir(path) }

func (osFS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (osFS) OpenDir(path string) (Folder, error) { return os.Open(path) }

func (osFS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %q", ErrLocked, path)
		}
		return nil, fmt.Errorf("blobstore: lock %q: %w", path, err)
	}
	return f, nil
}

// MakeDir makes the folder path and the missing ones above it. When it returns, the
// entry of path is durable, also if a process that was killed had made it.
func MakeDir(fsys FS, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := makeDir(fsys, path); err != nil {
		return err
	}
	return syncDir(fsys, filepath.Dir(path))
}

// makeDir makes the folder path and the missing ones above it, each durable
// before anything is put into it.
func makeDir(fsys FS, path string) error {
	if _, err := fsys.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(fsys, parent)
}

func syncDir(fsys FS, path string) error {
	dir, err := fsys.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// WriteFile makes data the content of the file at path, for its owner alone.
// After a power cut the file holds all of data or what it held before.
func WriteFile(fsys FS, path string, data []byte) error {
	temp := path + tempSuffix
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	if err := fsys.Rename(temp, path); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return syncDir(fsys, filepath.Dir(path))
}
