package blob

import (
	"context"
	"encoding/json"
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

// WriteOption says more about a blob that is written: ContentType, Metadata and
// MaxSize are options.
type WriteOption interface{ applyToWrite(*writing) }

type writing struct {
	contentType string
	metadata    map[string]string
	maxSize     int64
}

// ContentType is the media type of the bytes (RFC 9110), such as "image/png".
type ContentType string

func (t ContentType) applyToWrite(w *writing) { w.contentType = string(t) }

// Metadata is kept with the blob: keys and values are UTF-8. The entry "filename"
// is the name under which a browser saves what it downloads by a signed URL.
type Metadata map[string]string

func (m Metadata) applyToWrite(w *writing) { w.metadata = maps.Clone(m) }

// maxContentType bounds a media type, in bytes.
const maxContentType = 255

func (w *writing) check() error {
	if w.contentType != "" {
		_, _, err := mime.ParseMediaType(w.contentType)
		if err == nil && len(w.contentType) > maxContentType {
			err = fmt.Errorf("it has more than %d bytes", maxContentType)
		}
		if err == nil {
			for _, b := range []byte(w.contentType) {
				if b < ' ' || b > '~' {
					err = errors.New("it has a character outside printable ASCII")
				}
			}
		}
		if err != nil {
			return fmt.Errorf("content type: %w", err)
		}
	}
	size := 0
	for key, value := range w.metadata {
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

// Event tells functions that are triggered by a container that a blob was written.
type Event struct {
	Container   string    `json:"container"`
	Name        string    `json:"name"`
	Size        int64     `json:"size"`
	ContentType string    `json:"contentType,omitempty"`
	Time        time.Time `json:"time"`
}

// Topic is what the events of a container are published as.
func Topic(container string) string { return "blob/created/" + container }

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
	u, err := unit.From(ctx)
	if err != nil {
		return Info{}, err
	}
	w := writing{maxSize: c.maxSize}
	for _, o := range options {
		o.applyToWrite(&w)
	}
	if err := errors.Join(CheckName(name), w.check()); err != nil {
		return Info{}, err
	}
	object, size, err := create(ctx, u, r, w.maxSize)
	if err != nil {
		return Info{}, err
	}
	b := &records.Blob{Object: object, Size: size, ContentType: w.contentType, Created: u.Now(), Metadata: w.metadata}
	err = u.Do(func() error { return records.PutBlob(u, c.key(name), b, b.Created) })
	if errors.Is(err, records.ErrObjectMapped) {
		err = ErrWritten
	}
	if err == nil {
		err = c.publish(u, name, b)
	}
	if err != nil {
		return Info{}, err
	}
	return c.info(name, b), nil
}

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

func (c *ContainerRef) publish(u *unit.Unit, name string, b *records.Blob) error {
	publish := u.Env().Publish
	if publish == nil {
		return nil
	}
	event, err := json.Marshal(Event{c.name, name, b.Size, b.ContentType, b.Created})
	if err != nil {
		return err
	}
	return publish(u, Topic(c.name), event)
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
