package keystore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the changes that this package makes to files. It names each operation whose durability
// matters, so that tests can fail them and cut the power between them.
type FS interface {
	// Create makes a file and opens it for writing. It fails with fs.ErrExist when
	// something is at path.
	Create(path string, perm fs.FileMode) (File, error)
	// Rename moves a file, atomically, over whatever is at to.
	Rename(from, to string) error
	// RenameNew moves a file, atomically. It fails with fs.ErrExist when something is at to.
	RenameNew(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes the entries of a folder durable.
	SyncDir(path string) error
}

// File is a file being written.
type File interface {
	io.WriteCloser
	// Sync makes what was written durable, not the file's name.
	Sync() error
}

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Create(path string, perm fs.FileMode) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

// RenameNew makes a second name and removes the first: unlike a rename, a link never replaces.
func (osFS) RenameNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	if err := os.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil // moved, also when another process was first to remove what it took for left over
}

func (osFS) Remove(path string) error { return os.Remove(path) }

func (osFS) SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EINVAL) {
		err = nil // nothing can be written there, or it has no durable entries at all
	}
	return errors.Join(err, dir.Close())
}

const tempSuffix = ".tmp"

// writeTemp makes a file with durable content that has no durable name yet.
func writeTemp(fsys FS, path string, data []byte, perm fs.FileMode) error {
	f, err := fsys.Create(path, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(path))
	}
	return nil
}

// writeFile makes data the content of the file at path: after a power cut it has all of data,
// or what it had before.
func writeFile(fsys FS, path string, data []byte, perm fs.FileMode) error {
	temp := path + tempSuffix
	if err := removeIfThere(fsys, temp); err != nil {
		return err
	}
	if err := writeTemp(fsys, temp, data, perm); err != nil {
		return err
	}
	if err := fsys.Rename(temp, path); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(path))
}

func removeIfThere(fsys FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readSecret reads a file of at most limit bytes that its owner alone may read. It fails with
// fs.ErrNotExist when there is none; its other errors say how to mend the file.
func readSecret(path string, limit int64) ([]byte, error) {
	// A link or a pipe is refused when it is opened, not before: it could be put there between.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%q is a symbolic link: put the file itself there", path)
	} else if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%q is no regular file: put one there", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%q may be used by others (%v): run chmod 600 on it; if somebody could have read it, replace the key", path, info.Mode().Perm())
	case info.Size() > limit:
		return nil, fmt.Errorf("%q has %d bytes, more than the %d that it can have: put back a backup", path, info.Size(), limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%q grows while it is read", path)
	}
	return data, err
}
