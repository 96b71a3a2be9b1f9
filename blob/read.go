package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Reader reads the bytes of a blob. Whoever opened it closes it. It may be read
// after its unit has committed, and shows the same bytes when the blob has been
// replaced or deleted since. A unit that is discarded closes it.
type Reader struct {
	io.ReadSeekCloser
	Info Info
}

// Open opens a blob: ErrNotFound if there is none. The commit depends on either,
// that is, on the blob not having been replaced or still being absent.
func (c *ContainerRef) Open(ctx context.Context, name string) (*Reader, error) {
	u, b, err := c.get(ctx, name)
	if err != nil {
		return nil, c.fault(name, err)
	}
	if u.Env().Blobs == nil {
		return nil, c.fault(name, ErrNoStore)
	}
	content, err := u.Env().Blobs.Open(ctx, b.Object)
	if errors.Is(err, fs.ErrNotExist) {
		err = c.explainAbsence(u, name, b)
	}
	if err != nil {
		return nil, c.fault(name, err)
	}
	u.OnDiscard(func() { _ = content.Close() }) // it was only read
	return &Reader{content, c.info(name, b)}, nil
}

// explainAbsence tells a blob that was replaced and collected since the unit's
// snapshot from one whose bytes are lost.
func (c *ContainerRef) explainAbsence(u *unit.Unit, name string, b *records.Blob) (err error) {
	snap, err := u.Env().Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	now, err := records.ReadBlob(snap, c.key(name))
	if err != nil {
		return err
	}
	if now == nil || now.Object != b.Object {
		return fmt.Errorf("%w: the blob was replaced or deleted meanwhile", ErrConflict)
	}
	return ErrMissing
}

// Stat describes a blob: ErrNotFound if there is none. The commit depends on the
// answer as with Open.
func (c *ContainerRef) Stat(ctx context.Context, name string) (Info, error) {
	_, b, err := c.get(ctx, name)
	if err != nil {
		return Info{}, c.fault(name, err)
	}
	return c.info(name, b), nil
}

// Delete deletes a blob when the unit commits: ErrNotFound if there is none. From
// then on nothing reaches its bytes, by a signed URL neither, except readers that
// are open.
func (c *ContainerRef) Delete(ctx context.Context, name string) error {
	u, err := c.open(ctx, name)
	if err == nil {
		err = u.Do(func() error {
			found, err := records.DeleteBlob(u, c.key(name), u.Now())
			if err == nil && !found {
				err = ErrNotFound
			}
			return err
		})
	}
	return c.fault(name, err)
}

func (c *ContainerRef) open(ctx context.Context, name string) (*unit.Unit, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return nil, err
	}
	return u, CheckName(name)
}

// get returns the unit of ctx and the blob as the unit sees it.
func (c *ContainerRef) get(ctx context.Context, name string) (*unit.Unit, *records.Blob, error) {
	u, err := c.open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	b, err := records.GetBlob(u, c.key(name))
	if err == nil && b == nil {
		err = ErrNotFound
	}
	return u, b, err
}

// ListOption says what to list.
type ListOption func(*listing)

type listing struct {
	scan  records.BlobScan
	limit int
}

// Prefix limits a list to the blobs whose names begin with prefix.
func Prefix(prefix string) ListOption { return func(l *listing) { l.scan.Prefix = prefix } }

// After begins a list behind this name, whether there is a blob of this name or
// not. With the last name of a page it begins the next one.
func After(name string) ListOption { return func(l *listing) { l.scan.After = name } }

// Limit ends a list after n blobs.
func Limit(n int) ListOption { return func(l *listing) { l.limit = n } }

// List yields the blobs of the container in the order of the bytes of their names:
// the committed ones, overlaid with what the unit has written when the loop
// begins. The loop may use the unit. The list is not validated at commit. It ends
// after the first error.
func (c *ContainerRef) List(ctx context.Context, options ...ListOption) iter.Seq2[Info, error] {
	l := listing{scan: records.BlobScan{Container: c.name}, limit: math.MaxInt}
	for _, o := range options {
		o(&l)
	}
	return func(yield func(Info, error) bool) {
		u, err := unit.From(ctx)
		left, stopped := l.limit, l.limit <= 0
		if err == nil && !stopped {
			err = records.ScanBlobs(u, l.scan, func(name string, b *records.Blob) bool {
				left--
				stopped = !yield(c.info(name, b), nil) || left == 0
				return !stopped
			})
		}
		if err != nil && !stopped {
			yield(Info{}, fmt.Errorf("container %q: %w", c.name, err))
		}
	}
}
