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

// Reader reads the bytes of a blob, or a range of them. Whoever opened it closes
// it. It may be read after its unit has committed, and shows the same bytes when the
// blob has been replaced or deleted since; with a blob store outside the machine
// only for a quarter of an hour from then on, unless it is read without a break. A
// unit that is discarded closes it.
type Reader struct {
	io.ReadSeekCloser
	Info Info
}

// Open opens a blob: ErrNotFound if there is none. The commit depends on either,
// that is, on the blob not having been replaced or still being absent.
func (c *ContainerRef) Open(ctx context.Context, name string) (*Reader, error) {
	return c.OpenRange(ctx, name, 0, -1)
}

// ranger is a blob store that reads a part of an object without reading more.
type ranger interface {
	// OpenRange is unit.Blobs.Open for length bytes from offset on, or for all of
	// them if length is negative. Both lie within the object.
	OpenRange(ctx context.Context, key string, offset, length int64) (io.ReadSeekCloser, error)
}

// OpenRange is Open for the bytes from offset on: length of them, or what there is
// if that is less or length is negative. It fails with ErrRange if offset is
// negative or behind the end. The Reader's Info is that of the whole blob.
func (c *ContainerRef) OpenRange(ctx context.Context, name string, offset, length int64) (*Reader, error) {
	r, err := c.openRange(ctx, name, offset, length)
	return r, c.fault(name, err)
}

func (c *ContainerRef) openRange(ctx context.Context, name string, offset, length int64) (*Reader, error) {
	u, b, err := c.get(ctx, name)
	if err != nil {
		return nil, err
	}
	blobs := u.Env().Blobs
	if blobs == nil {
		return nil, ErrNoStore
	}
	if offset < 0 || offset > b.Size {
		return nil, fmt.Errorf("%w: it has %d bytes, and the range begins at %d", ErrRange, b.Size, offset)
	}
	whole := offset == 0 && (length < 0 || length >= b.Size)
	if rest := b.Size - offset; length < 0 || length > rest {
		length = rest
	}
	var content io.ReadSeekCloser
	switch r, ok := blobs.(ranger); {
	case whole:
		content, err = blobs.Open(ctx, b.Object)
	case ok:
		content, err = r.OpenRange(ctx, b.Object, offset, length)
	default:
		err = ErrNoRanges
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = c.explainAbsence(u, name, b)
	}
	if err != nil {
		return nil, err
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

// DeleteOption says when a blob is deleted. IfMatch is one.
type DeleteOption interface{ applyToDelete(*condition) }

// Delete deletes a blob when the unit commits: ErrNotFound if there is none. From
// then on nothing reaches its bytes, except readers that are open, and signed URLs
// of a blob store outside the machine for another quarter of an hour. Every Delete is
// a Deletion for the functions that the container triggers.
func (c *ContainerRef) Delete(ctx context.Context, name string, options ...DeleteOption) error {
	return c.fault(name, c.remove(ctx, name, options))
}

func (c *ContainerRef) remove(ctx context.Context, name string, options []DeleteOption) error {
	u, b, err := c.get(ctx, name)
	if err != nil {
		return err
	}
	var cond condition
	for _, o := range options {
		o.applyToDelete(&cond)
	}
	if err := cond.check(b); err != nil {
		return err
	}
	now := u.Now()
	err = u.Do(func() error {
		b, err = records.DeleteBlob(u, c.key(name), now)
		if err == nil && b == nil { // another goroutine of the unit
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return err
	}
	return publish(u, DeletedTopic(c.name), Deletion{c.event(name, b), b.Metadata, now})
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
// not. With the last name of a page it begins the next one, whatever was written and
// deleted in between.
func After(name string) ListOption { return func(l *listing) { l.scan.After = name } }

// Folders lists one level of names, as a folder shows it: in place of the blobs whose
// names go on with a "/" behind the prefix it yields, once, an Info that stands for
// them, see Info.IsFolder. Its Name is a Prefix to go on with, and an After to go on
// behind.
func Folders() ListOption { return func(l *listing) { l.scan.Folders = true } }

// Limit ends a list after n blobs and folders.
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
				info := Info{Container: c.name, Name: name}
				if b != nil {
					info = c.info(name, b)
				}
				stopped = !yield(info, nil) || left == 0
				return !stopped
			})
		}
		if err != nil && !stopped {
			yield(Info{}, fmt.Errorf("container %q: %w", c.name, err))
		}
	}
}
