package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/perdure/perdure/internal/failpoint"
)

var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// Create streams r into a new object and makes it durable. It fails with
// ErrTooLarge when r has more than limit bytes (no limit if it is 0), and with
// the context's error soon after ctx ends, at the latest when the Read under way
// returns. After an error nothing is left behind.
//
// The object stays pending, out of the collector's sight, until Settle or Delete.
func (d *Dir) Create(ctx context.Context, r io.Reader, limit int64) (key string, size int64, err error) {
	if err := d.usable(); err != nil {
		return "", 0, err
	}
	if key, err = NewKey(d.random); err != nil {
		return "", 0, err
	}
	kept := false // also false when r panics
	if err := d.pending.Add(key); err != nil {
		return "", 0, err
	}
	defer func() {
		if !kept {
			d.Settle(key)
		}
	}()
	if size, err = d.write(ctx, key, r, limit); err != nil {
		return "", 0, err
	}
	kept = true
	return key, size, nil
}

// write fills a temporary file beside the final one, so that one sync of their
// folder settles both names.
func (d *Dir) write(ctx context.Context, key string, r io.Reader, limit int64) (size int64, err error) {
	final, err := d.path(key)
	if err != nil {
		return 0, err
	}
	if err := d.makeSubfolder(key[:2]); err != nil {
		return 0, fmt.Errorf("blobstore: make subfolder: %w", err)
	}
	temp := final + tempSuffix
	f, err := d.fs.Create(temp)
	if err != nil {
		return 0, fmt.Errorf("blobstore: create object: %w", err)
	}
	visible, open, left := temp, true, true
	defer func() {
		if open {
			_ = f.Close() // the file is given up
		}
		if left {
			if removeErr := d.fs.Remove(visible); removeErr != nil && err != nil {
				err = errors.Join(err, fmt.Errorf("blobstore: remove unfinished object: %w", removeErr))
			}
		}
	}()
	if size, err = copyLimited(ctx, f, r, limit); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("blobstore: sync object: %w", err)
	}
	failpoint.Hit(failpoint.BlobSynced)
	open = false
	if err := f.Close(); err != nil {
		return 0, fmt.Errorf("blobstore: close object: %w", err)
	}
	// The temporary file is this key's lock, so nothing can appear in between.
	if err := d.absent(final); err != nil {
		return 0, err
	}
	if err := d.sync(filepath.Dir(final), func() error {
		err := d.fs.Rename(temp, final)
		if err == nil {
			visible = final
		}
		failpoint.Hit(failpoint.BlobNamed)
		return err
	}); err != nil {
		return 0, fmt.Errorf("blobstore: name object: %w", err)
	}
	left = false
	return size, nil
}

func (d *Dir) absent(path string) error {
	_, err := d.fs.Stat(path)
	if err == nil {
		err = fs.ErrExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("blobstore: name object: %w", err)
}

// copyLimited copies r until its end, the limit or the end of ctx.
func copyLimited(ctx context.Context, w io.Writer, r io.Reader, limit int64) (int64, error) {
	buf := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buf)
	src := &Source{Context: ctx, Reader: r, Limit: limit}
	for {
		n, readErr := src.Read(buf[:])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return 0, fmt.Errorf("blobstore: write object: %w", err)
			}
		}
		if readErr == io.EOF {
			return src.Size, nil
		}
		if readErr != nil {
			return 0, src.Err
		}
	}
}

// Source is what an object is created of: a reader that ends with an error when it has
// more than Limit bytes (if that is not 0) or Context ends. It keeps the error, as
// Create answers it, for drivers whose SDK would wrap it.
type Source struct {
	Context context.Context
	Reader  io.Reader
	Limit   int64
	// Size is the number of bytes that were read.
	Size int64
	// Err is what ended it, other than its end.
	Err error
}

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	if s.Err != nil {
		return 0, s.Err
	}
	if s.Err = s.Context.Err(); s.Err != nil {
		return 0, s.Err
	}
	n, err := s.Reader.Read(p)
	s.Size += int64(n)
	switch {
	case s.Limit > 0 && s.Size > s.Limit:
		s.Err = fmt.Errorf("%w of %d bytes", ErrTooLarge, s.Limit)
		return 0, s.Err
	case err == io.EOF:
		if s.Err = s.Context.Err(); s.Err != nil {
			return 0, s.Err
		}
	case err != nil:
		s.Err = fmt.Errorf("blobstore: read source: %w", err)
		return 0, s.Err
	}
	return n, err
}
