package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"time"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// WriteOption says more about a blob that is written: ContentType, Metadata, MaxSize,
// IfAbsent and IfMatch are options.
type WriteOption interface{ applyToWrite(*writing) }

type writing struct {
	description
	condition
	maxSize int64
}

// UpdateOption says what is changed: ContentType and Metadata, and IfMatch.
type UpdateOption interface {
	WriteOption
	update()
}

// description is what is told about the bytes; nil where nothing is.
type description struct {
	contentType *string
	metadata    map[string]string
}

// ContentType is the media type of the bytes (RFC 9110), such as "image/png".
type ContentType string

func (t ContentType) update()                 {}
func (t ContentType) applyToWrite(w *writing) { w.contentType = (*string)(&t) }

// Metadata is kept with the blob: keys and values are UTF-8. The entry "filename"
// is the name under which a browser saves what it downloads by a signed URL.
type Metadata map[string]string

func (m Metadata) update()                 {}
func (m Metadata) applyToWrite(w *writing) { w.metadata = maps.Clone(m) }

// condition says what is asked of the blob that is there.
type condition struct {
	absent bool
	etag   string
}

type absent struct{}

// IfAbsent makes a new blob: a write fails with ErrExists if there is one of the
// name.
func IfAbsent() WriteOption { return absent{} }

func (absent) applyToWrite(w *writing) { w.absent = true }

// IfMatch is the ETag of the blob that is replaced, described or deleted: the
// operation fails with ErrChanged if it has another one or is gone. An empty one asks
// for nothing.
type IfMatch string

func (m IfMatch) update()                    {}
func (m IfMatch) applyToWrite(w *writing)    { w.etag = string(m) }
func (m IfMatch) applyToDelete(c *condition) { c.etag = string(m) }

// check compares the blob, nil for none, with what is asked of it.
func (c condition) check(b *records.Blob) error {
	switch {
	case c.absent && b != nil:
		return ErrExists
	case c.etag != "" && (b == nil || b.ETag != c.etag):
		return ErrChanged
	}
	return nil
}

// maxContentType bounds a media type, in bytes.
const maxContentType = 255

// CheckContentType reports what keeps text from being the content type of a blob. It may
// be empty, and has at most 255 printable ASCII characters.
func CheckContentType(text string) error {
	if text == "" {
		return nil
	}
	_, _, err := mime.ParseMediaType(text)
	if err == nil && len(text) > maxContentType {
		err = fmt.Errorf("it has more than %d bytes", maxContentType)
	}
	if err == nil {
		for _, b := range []byte(text) {
			if b < ' ' || b > '~' {
				err = errors.New("it has a character outside printable ASCII")
			}
		}
	}
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	return nil
}

func (d *description) check() error {
	if d.contentType != nil {
		if err := CheckContentType(*d.contentType); err != nil {
			return err
		}
	}
	size := 0
	for key, value := range d.metadata {
		size += len(key) + len(value)
		if key == "" || !utf8.ValidString(key) || !utf8.ValidString(value) {
			return fmt.Errorf("metadata %q: keys are not empty, and keys and values are UTF-8", key)
		}
	}
	if size > MaxMetadata {
		return fmt.Errorf("metadata %w: %d bytes, at most %d are allowed", ErrTooLarge, size, MaxMetadata)
	}
	return nil
}

// stager is a source of bytes that outlives a run of the function: it keeps the
// object that the first run makes for the runs after a conflict, and removes it
// itself when none commits.
type stager interface {
	Stage(create func(io.Reader) (key string, size int64, err error), remove func(key string)) (key string, size int64, err error)
}

// settler is a blob store that wants to know that an object has got its name.
type settler interface{ Settle(object string) }

// Write streams r to the blob store and makes name stand for the bytes when the
// unit commits; a blob of this name is replaced then. It returns when the bytes
// are durable. It fails with ErrTooLarge when r has more bytes than MaxSize allows,
// and with the context's error soon after ctx ends. A unit that does not commit
// removes the bytes.
//
// The commit depends on name not having been written by another meanwhile. Every
// Write is an Event for the functions that the container triggers.
func (c *ContainerRef) Write(ctx context.Context, name string, r io.Reader, options ...WriteOption) (Info, error) {
	info, err := c.write(ctx, name, r, options)
	return info, c.fault(name, err)
}

func (c *ContainerRef) write(ctx context.Context, name string, r io.Reader, options []WriteOption) (Info, error) {
	u, w, err := c.begin(ctx, name, options)
	if err != nil {
		return Info{}, err
	}
	object, size, err := create(ctx, u, r, w.maxSize)
	if err != nil {
		return Info{}, err
	}
	b := &records.Blob{Object: object, Size: size}
	w.describe(b)
	return c.put(u, name, b, w.condition, records.PutBlob)
}

// Copy makes name stand for the bytes of the blob source of container from, which may
// be c, when the unit commits; a blob of this name is replaced then. No byte is read
// or written: both names share what is stored. What options do not say is copied,
// too. It fails with ErrNotFound if there is no source, and with ErrTooLarge if it has
// more bytes than MaxSize allows.
//
// The commit depends on neither name having been written by another meanwhile. Every
// Copy is an Event for the functions that the container triggers.
func (c *ContainerRef) Copy(ctx context.Context, name string, from *ContainerRef, source string, options ...WriteOption) (Info, error) {
	info, err := c.copy(ctx, name, from, source, options)
	return info, c.fault(name, err)
}

func (c *ContainerRef) copy(ctx context.Context, name string, from *ContainerRef, source string, options []WriteOption) (Info, error) {
	u, w, err := c.begin(ctx, name, options)
	if err != nil {
		return Info{}, err
	}
	_, b, err := from.get(ctx, source)
	if err == nil && b.Size > w.maxSize {
		err = fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, b.Size, w.maxSize)
	}
	if err != nil {
		return Info{}, from.fault(source, err)
	}
	w.describe(b)
	return c.put(u, name, b, w.condition, records.CopyBlob)
}

// Update changes the content type and the metadata of a blob when the unit commits:
// ErrNotFound if there is none. What options do not name stays; metadata is replaced
// as a whole. It is no Event. The commit depends on the blob not having been changed
// by another meanwhile.
func (c *ContainerRef) Update(ctx context.Context, name string, options ...UpdateOption) (Info, error) {
	info, err := c.update(ctx, name, options)
	return info, c.fault(name, err)
}

func (c *ContainerRef) update(ctx context.Context, name string, options []UpdateOption) (Info, error) {
	u, b, err := c.get(ctx, name)
	if err != nil {
		return Info{}, err
	}
	var w writing
	for _, o := range options {
		o.applyToWrite(&w)
	}
	if err := errors.Join(w.description.check(), w.condition.check(b)); err != nil {
		return Info{}, err
	}
	w.describe(b)
	b.ETag = newETag()
	err = u.Do(func() error {
		now, err := records.GetBlob(u, c.key(name))
		if err != nil {
			return err
		}
		if now == nil || now.Object != b.Object { // by another goroutine of the unit
			return ErrChanged
		}
		return records.DescribeBlob(u, c.key(name), b)
	})
	if err != nil {
		return Info{}, err
	}
	return c.info(name, b), nil
}

// begin checks what can be checked before any byte is read.
func (c *ContainerRef) begin(ctx context.Context, name string, options []WriteOption) (*unit.Unit, *writing, error) {
	u, err := c.open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	w := &writing{maxSize: c.maxSize}
	for _, o := range options {
		o.applyToWrite(w)
	}
	if err := w.description.check(); err != nil {
		return nil, nil, err
	}
	if w.condition == (condition{}) {
		return u, w, nil
	}
	b, err := records.GetBlob(u, c.key(name))
	if err != nil {
		return nil, nil, err
	}
	return u, w, w.condition.check(b)
}

// describe sets in b what was said.
func (d *description) describe(b *records.Blob) {
	if d.contentType != nil {
		b.ContentType = *d.contentType
	}
	if d.metadata != nil {
		b.Metadata = d.metadata
	}
}

// put makes name stand for b.
func (c *ContainerRef) put(u *unit.Unit, name string, b *records.Blob, cond condition, put func(records.Unit, records.BlobKey, *records.Blob, time.Time) error) (Info, error) {
	b.Created, b.ETag = u.Now(), newETag()
	err := u.Do(func() error {
		if cond != (condition{}) { // another goroutine of the unit may have written
			old, err := records.GetBlob(u, c.key(name))
			if err == nil {
				err = cond.check(old)
			}
			if err != nil {
				return err
			}
		}
		return put(u, c.key(name), b, b.Created)
	})
	if errors.Is(err, records.ErrObjectMapped) {
		err = ErrWritten
	}
	if err == nil {
		err = publish(u, Topic(c.name), c.event(name, b))
	}
	if err != nil {
		return Info{}, err
	}
	return c.info(name, b), nil
}

// newETag is random: the same bytes, described alike, may come back under the name,
// and what was in between must be noticed.
func newETag() string { return rand.Text() }

// create makes the object and binds its fate to the unit's.
func create(ctx context.Context, u *unit.Unit, r io.Reader, maxSize int64) (object string, size int64, err error) {
	blobs := u.Env().Blobs
	switch {
	case blobs == nil:
		return "", 0, ErrNoStore
	case r == nil:
		return "", 0, errors.New("the reader is nil")
	}
	stream := func(r io.Reader) (string, int64, error) {
		return blobs.Create(ctx, &limited{r, maxSize, maxSize}, 0)
	}
	remove := func(object string) {
		// The run may have ended because ctx did. What cannot be removed now is
		// removed by the collector of the next process.
		_ = blobs.Delete(context.WithoutCancel(ctx), object)
	}
	if s, ok := r.(stager); ok {
		object, size, err = s.Stage(stream, remove)
	} else if object, size, err = stream(r); err == nil {
		u.OnDiscard(func() { remove(object) })
	}
	if err != nil {
		return "", 0, err
	}
	failpoint.Hit(failpoint.BlobCreated)
	if s, ok := blobs.(settler); ok {
		u.OnCommit(func() { s.Settle(object) })
	}
	return object, size, nil
}

// limited fails with ErrTooLarge when r has more than max bytes.
type limited struct {
	r         io.Reader
	left, max int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, l.max)
	}
	return n, err
}
