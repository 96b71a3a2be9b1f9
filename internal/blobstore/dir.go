package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	tempSuffix = ".tmp"
	lockName   = "lock"
	copyBuffer = 128 << 10
)

// Dir keeps each object in one file of a folder, under a random key of 128 bits
// and spread over up to 256 subfolders by the key's first byte.
//
// A file appears under its key only after its bytes are durable, and Create
// returns only after the name is durable too. So a power cut leaves an object
// whole or absent, and never takes one away that Create has returned.
type Dir struct {
	root   string
	fs     FS
	lock   io.Closer
	random io.Reader

	making  sync.Mutex
	durable map[string]bool // subfolders whose entry in root is durable

	pending Pending

	mu      sync.Mutex
	stopped error // set when a folder could not be synced
}

// OpenDir opens the folder path, makes it if it is absent, and locks it: two
// stores that shared a folder would collect each other's objects.
func OpenDir(path string, opts Options) (*Dir, error) {
	if opts.FS == nil {
		opts.FS = OS
	}
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("blobstore: open %q: %w", path, err)
	}
	d := &Dir{
		root: root, fs: opts.FS, random: rand.Reader,
		durable: map[string]bool{},
	}
	if err := makeDir(d.fs, root); err != nil {
		return nil, fmt.Errorf("blobstore: make folder %q: %w", root, err)
	}
	if d.lock, err = d.fs.Lock(filepath.Join(root, lockName)); err != nil {
		return nil, err
	}
	if err := d.findSubfolders(); err != nil {
		_ = d.lock.Close()
		return nil, fmt.Errorf("blobstore: read folder %q: %w", root, err)
	}
	return d, nil
}

// findSubfolders takes note of the subfolders that are there. The syncs happen in
// any case: a process that was killed may have made some without.
func (d *Dir) findSubfolders() error {
	names, err := d.subfolders()
	if err != nil {
		return err
	}
	for _, name := range names {
		d.durable[name] = true
	}
	return errors.Join(syncDir(d.fs, d.root), syncDir(d.fs, filepath.Dir(d.root)))
}

// subfolders lists the subfolders that are there.
func (d *Dir) subfolders() ([]string, error) {
	entries, err := d.fs.ReadDir(d.root)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if b, err := hex.DecodeString(e.Name()); err == nil && len(b) == 1 && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// makeSubfolder makes a subfolder on its first use. It returns when the subfolder
// is durable, also to those who come while it is being made.
func (d *Dir) makeSubfolder(name string) error {
	d.making.Lock()
	defer d.making.Unlock()
	if d.durable[name] {
		return nil
	}
	err := d.sync(d.root, func() error { return d.fs.Mkdir(filepath.Join(d.root, name)) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d.durable[name] = true
	return nil
}

// Close gives the folder's lock back. Handles from Open stay usable.
func (d *Dir) Close() error { return d.lock.Close() }

// Open returns the bytes of an object. The handle keeps working after Delete.
// It fails with fs.ErrNotExist when the object is gone.
func (d *Dir) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := d.path(key)
	if err != nil {
		return nil, err
	}
	f, err := d.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("blobstore: open object: %w", err)
	}
	return f, nil
}

// OpenRange is Open for a part of the bytes.
func (d *Dir) OpenRange(ctx context.Context, key string, offset, length int64) (io.ReadSeekCloser, error) {
	f, err := d.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	s, err := newSection(f, offset, length)
	if err != nil {
		return nil, fmt.Errorf("blobstore: open object: %w", err)
	}
	return s, nil
}

// Hold implements Driver: a file that was removed can be read by those who have it
// open.
func (d *Dir) Hold() time.Duration { return 0 }

// Delete removes an object and makes that durable: a power cut does not bring it
// back. Removing an absent one is no error.
func (d *Dir) Delete(_ context.Context, key string) error {
	path, err := d.path(key)
	if err != nil {
		return err
	}
	err = d.sync(filepath.Dir(path), func() error { return d.fs.Remove(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blobstore: delete object: %w", err)
	}
	d.Settle(key)
	return nil
}

// Settle says that the fate of a created object is durable: something maps it.
// Until then, or until Delete, List does not show it.
func (d *Dir) Settle(key string) { d.pending.Settle(key) }

// List calls visit for each object until it returns an error, in no useful
// order. Objects that Create made in this process and that are not settled are
// left out, those being created as well.
func (d *Dir) List(ctx context.Context, visit func(key string, size int64, modTime time.Time) error) error {
	return d.walk(ctx, func(name string, info fs.FileInfo) error {
		if !ValidKey(name) || d.pending.Has(name) {
			return nil
		}
		return visit(name, info.Size(), info.ModTime())
	})
}

// Tidy removes the files of Creates that a crash broke off before the time.
func (d *Dir) Tidy(ctx context.Context, before time.Time) error {
	return d.walk(ctx, func(name string, info fs.FileInfo) error {
		key, isTemp := strings.CutSuffix(name, tempSuffix)
		if !isTemp || !ValidKey(key) || d.pending.Has(key) || !info.ModTime().Before(before) {
			return nil
		}
		err := d.fs.Remove(filepath.Join(d.root, key[:2], name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("blobstore: remove left-over file: %w", err)
		}
		return nil
	})
}

// walk visits the regular files of all subfolders.
func (d *Dir) walk(ctx context.Context, visit func(name string, info fs.FileInfo) error) error {
	subs, err := d.subfolders()
	if err != nil {
		return fmt.Errorf("blobstore: list objects: %w", err)
	}
	for _, sub := range subs {
		entries, err := d.fs.ReadDir(filepath.Join(d.root, sub))
		if err != nil {
			return fmt.Errorf("blobstore: list objects: %w", err)
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted since it was listed
			}
			if err != nil {
				return fmt.Errorf("blobstore: list objects: %w", err)
			}
			if !info.Mode().IsRegular() || !strings.HasPrefix(e.Name(), sub) {
				continue // not ours
			}
			if err := visit(e.Name(), info); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Dir) path(key string) (string, error) {
	if !ValidKey(key) {
		return "", fmt.Errorf("%w: %q", ErrBadKey, key)
	}
	return filepath.Join(d.root, key[:2], key), nil
}

// usable fails after a folder could not be synced.
func (d *Dir) usable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped
}

// sync makes f's change to the entries of a folder durable. The folder is opened
// first: the kernel reports a failed write of its entries to those that had it
// open, and to each only once. That is also why there is no second try.
func (d *Dir) sync(folder string, f func() error) error {
	if err := d.usable(); err != nil {
		return err
	}
	dir, err := d.fs.OpenDir(folder)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // nothing was written through it
	changeErr := f()
	if err := dir.Sync(); err != nil {
		return d.stop(err)
	}
	return changeErr
}

// stop ends the driver's work for good and returns the error that says so.
func (d *Dir) stop(cause error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped == nil {
		d.stopped = fmt.Errorf("%w: %w", ErrStopped, cause)
	}
	return d.stopped
}
