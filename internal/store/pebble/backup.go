package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup implements store.Store. Sorted files are linked, not copied, where dir
// is on the same file system. Commits wait only while the short rest is copied.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Leave()
	if _, err := s.opts.FS.Stat(dir); err == nil {
		return fmt.Errorf("store: backup into %q: %w", dir, fs.ErrExist)
	}
	// Flushing first leaves almost nothing in the log, which is copied below.
	if err := s.guarded(s.db.Flush); err != nil {
		return fmt.Errorf("store: backup into %q: %w", dir, err)
	}
	// A log that grows while it is copied could be copied torn.
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	err := s.guarded(func() error {
		if err := s.db.Checkpoint(dir); err != nil {
			return err
		}
		return writeFormat(s.fence, dir)
	})
	if err != nil {
		return fmt.Errorf("store: backup into %q: %w", dir, err)
	}
	return nil
}

// Restore copies the backup in backupDir to dir, which must be absent or empty,
// and syncs it. The backup stays as it is. opts may be nil; only its FS counts.
func Restore(backupDir, dir string, opts *Options) error {
	files := opts.withDefaults().FS
	if err := restore(files, backupDir, dir); err != nil {
		return fmt.Errorf("store: restore %q to %q: %w", backupDir, dir, err)
	}
	return nil
}

func restore(files vfs.FS, backupDir, dir string) error {
	if _, err := readFormat(files, backupDir); err != nil {
		return fmt.Errorf("not a complete backup: %w", err)
	}
	there, err := files.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("the folder is not empty: %w", fs.ErrExist)
	}
	if err := makeDir(files, dir); err != nil {
		return err
	}
	names, err := files.List(backupDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == formatFile || name == lockFile {
			continue
		}
		if err := copyFile(files, files.PathJoin(backupDir, name), files.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	// Last: it says that the rest is complete.
	if err := syncDir(files, dir); err != nil {
		return err
	}
	return writeFormat(files, dir)
}

// lockFile is the engine's lock. It is never opened here: closing any handle of
// it would end the lock of a store that this process has open.
const lockFile = "LOCK"

func copyFile(files vfs.FS, from, to string) error {
	in, err := files.Open(from)
	if err != nil {
		return err
	}
	out, err := files.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, in.Close(), out.Close())
}
