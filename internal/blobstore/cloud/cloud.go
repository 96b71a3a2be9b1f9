// Package cloud keeps objects in a bucket of the Go Cloud Development Kit: each under
// its random key, below the prefix of the bucket's URL.
package cloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/perdure/perdure/internal/blobstore"
)

// hold is how long an object stays readable without a name: readers ask for it again
// whenever they are moved, and a signed URL lives as long.
const hold = 15 * time.Minute

// cleanUp bounds what is done after the caller's context has ended.
const cleanUp = 10 * time.Second

// contentType of objects: what they are is said in the record, and in signed URLs.
const contentType = "application/octet-stream"

// Options changes how a bucket is used. The zero value is right.
type Options struct {
	// Owner is that of blobstore.Options.
	Owner string
	// Tidy, unless nil, removes what uploads left that broke off before the time,
	// where the bucket keeps such. Keep reports whether an object is being created.
	Tidy func(ctx context.Context, before time.Time, keep func(key string) bool) error
}

// Bucket is a driver.
type Bucket struct {
	bucket  *blob.Bucket
	opts    Options
	pending blobstore.Pending
}

var _ blobstore.Driver = (*Bucket)(nil)

// New takes a bucket over: an error closes it. The bucket must exist, and it must have
// no other owner.
func New(ctx context.Context, bucket *blob.Bucket, opts Options) (*Bucket, error) {
	b := &Bucket{bucket: bucket, opts: opts}
	if err := b.claim(ctx); err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return b, nil
}

// Create streams r into a new object. It fails with blobstore.ErrTooLarge when r has
// more than limit bytes (no limit if it is 0). An object appears only when its bytes
// are all there and durable; after an error nothing is left behind that List would
// show.
func (b *Bucket) Create(ctx context.Context, r io.Reader, limit int64) (key string, size int64, err error) {
	if key, err = blobstore.NewKey(rand.Reader); err != nil {
		return "", 0, err
	}
	if err := b.pending.Add(key); err != nil {
		return "", 0, err
	}
	kept := false // also false when r panics
	defer func() {
		if !kept {
			b.remove(ctx, key)
		}
	}()
	src := &blobstore.Source{Context: ctx, Reader: r, Limit: limit}
	// Not by the SDK's writer, which gives broken-off uploads to a pipe that it may
	// have closed.
	err = b.bucket.Upload(ctx, key, src, &blob.WriterOptions{ContentType: contentType, ContentDisposition: "attachment"})
	if src.Err != nil {
		return "", 0, src.Err
	}
	if err != nil {
		return "", 0, b.fault(ctx, "create object", err)
	}
	kept = true
	return key, src.Size, nil
}

// remove removes what may have become of an upload whose outcome is not known. What
// cannot be removed now is left to the collector.
func (b *Bucket) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	_ = b.bucket.Delete(ctx, key)
	b.pending.Settle(key)
}

// Open returns the bytes of an object: an error matching fs.ErrNotExist when it is gone.
// They may be read after ctx has ended.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	return b.OpenRange(ctx, key, 0, -1)
}

// OpenRange is Open for a part of the bytes; all of them if length is negative.
func (b *Bucket) OpenRange(ctx context.Context, key string, offset, length int64) (io.ReadSeekCloser, error) {
	if !blobstore.ValidKey(key) {
		return nil, fmt.Errorf("%w: %q", blobstore.ErrBadKey, key)
	}
	if length == 0 {
		exists, err := b.bucket.Exists(ctx, key)
		if err == nil && !exists {
			err = fs.ErrNotExist
		}
		if err != nil {
			return nil, b.fault(ctx, "open object", err)
		}
		return nothing{}, nil
	}
	// The bytes outlive ctx, opening them does not.
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	r, err := b.bucket.NewRangeReader(reading, key, offset, length, nil)
	if !stop() && err == nil {
		err = errors.Join(ctx.Err(), r.Close())
	}
	if err != nil {
		cancel()
		return nil, b.fault(ctx, "open object", err)
	}
	return &object{r, b, reading, cancel}, nil
}

// object is an open object.
type object struct {
	r       *blob.Reader
	bucket  *Bucket
	context context.Context
	cancel  context.CancelFunc
}

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a body cut short is a wrapped io.EOF
		err = o.bucket.fault(o.context, "read object", err)
	}
	return n, err
}

// Seek implements io.Seeker.
func (o *object) Seek(offset int64, whence int) (int64, error) { return o.r.Seek(offset, whence) }

// Close implements io.Closer.
func (o *object) Close() error {
	if o.context.Err() != nil {
		return fs.ErrClosed
	}
	o.cancel()
	_ = o.r.Close() // it was only read, and may have been cut off
	return nil
}

// nothing is a range without bytes.
type nothing struct{}

func (nothing) Read([]byte) (int, error)       { return 0, io.EOF }
func (nothing) Seek(int64, int) (int64, error) { return 0, nil }
func (nothing) Close() error                   { return nil }

// Delete removes an object. Removing an absent one is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if !blobstore.ValidKey(key) {
		return fmt.Errorf("%w: %q", blobstore.ErrBadKey, key)
	}
	if err := b.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return b.fault(ctx, "delete object", err)
	}
	b.pending.Settle(key)
	return nil
}

// Settle says that something durable maps a created object.
func (b *Bucket) Settle(key string) { b.pending.Settle(key) }

// List calls visit for each object until it returns an error, those that Create made
// in this process and that are not settled excepted.
func (b *Bucket) List(ctx context.Context, visit func(key string, size int64, modTime time.Time) error) error {
	for all := b.bucket.List(nil); ; {
		o, err := all.Next(ctx)
		if err == io.EOF { //nolint:errorlint // its end, as documented
			return nil
		}
		if err != nil {
			return b.fault(ctx, "list objects", err)
		}
		if !blobstore.ValidKey(o.Key) || b.pending.Has(o.Key) {
			continue
		}
		if err := visit(o.Key, o.Size, o.ModTime); err != nil {
			return err
		}
	}
}

// Tidy removes what Creates left that broke off before the time.
func (b *Bucket) Tidy(ctx context.Context, before time.Time) error {
	if b.opts.Tidy == nil {
		return nil
	}
	if err := b.opts.Tidy(ctx, before, b.pending.Has); err != nil {
		return fmt.Errorf("blobstore: tidy: %w", err)
	}
	return nil
}

// Hold implements blobstore.Driver.
func (b *Bucket) Hold() time.Duration { return hold }

// Close gives the connections back.
func (b *Bucket) Close() error { return b.bucket.Close() }

// fault says what was being done, in the errors that callers compare with.
func (b *Bucket) fault(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case gcerrors.Code(err) == gcerrors.NotFound:
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return fmt.Errorf("blobstore: %s: %w", what, err)
}
