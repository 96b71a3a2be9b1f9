// Package blob keeps files: bytes under names, in containers. The bytes are
// streamed to the blob store at once; the name stands for them from the moment on
// at which the unit of work commits. A unit that does not commit leaves nothing.
package blob

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/records"
)

// ContainerRef is a named container. It is a name only: the blobs are those of the
// app whose unit of work the context carries. Its methods are safe for concurrent
// use.
type ContainerRef struct {
	name    string
	maxSize int64
}

// Option configures a container. MaxSize is one.
type Option interface{ applyTo(*ContainerRef) }

// Container declares a container. The name is unique in an app over all resources:
// a letter, then letters, digits, "_" and "-". A bad declaration is reported when
// the container is added to an app.
func Container(name string, options ...Option) *ContainerRef {
	c := &ContainerRef{name: name, maxSize: DefaultMaxSize}
	for _, o := range options {
		o.applyTo(c)
	}
	return c
}

// MaxSize bounds the size of blobs, in bytes: of a container's, or of one that is
// written.
type MaxSize int64

func (m MaxSize) applyTo(c *ContainerRef) { c.maxSize = int64(m) }
func (m MaxSize) applyToWrite(w *writing) { w.maxSize = int64(m) }

// Validate reports what is wrong with the declaration: a bad name or bound.
func (c *ContainerRef) Validate() error {
	fault := func(text string) error { return fmt.Errorf("container %q: %s", c.name, text) }
	if c.name == "" || len(c.name) > MaxContainerName {
		return fault(fmt.Sprintf("a name has 1 to %d bytes", MaxContainerName))
	}
	for i, r := range c.name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r != '_' && r != '-' && (r < '0' || r > '9')) {
			return fault(`a name is a letter, then letters, digits, "_" and "-"`)
		}
	}
	if c.maxSize <= 0 {
		return fault("MaxSize must be positive")
	}
	return nil
}

// CheckName reports what keeps name from being a blob's, as an error that matches
// ErrName. A name has 1 to 512 bytes of UTF-8, without control characters. It is
// made of parts with "/" between them; no part is empty, "." or "..".
func CheckName(name string) error {
	fault := func(text string) error {
		if len(name) > MaxName {
			name = name[:MaxName]
		}
		return fmt.Errorf("%w %q: %s", ErrName, name, text)
	}
	switch {
	case name == "" || len(name) > MaxName:
		return fault(fmt.Sprintf("a name has 1 to %d bytes", MaxName))
	case !utf8.ValidString(name):
		return fault("a name is UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return fault("a name has no control characters")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return fault(`no part between "/" is empty, "." or ".."`)
		}
	}
	return nil
}

// Info describes a blob.
type Info struct {
	Container, Name string
	// Size is the number of bytes.
	Size int64
	// ContentType is the media type that the writer gave; empty if none. It is
	// not checked against the bytes.
	ContentType string
	// Created is when these bytes were written, or copied, under this name.
	Created time.Time
	// Metadata is what the writer gave.
	Metadata map[string]string
	// ETag is another one after every write, copy and change of the description.
	// It has no quotes.
	ETag string
}

// IsFolder reports whether this stands for all blobs whose names begin with Name,
// see Folders. Only Container and Name are set then; Name ends in "/".
func (i Info) IsFolder() bool { return strings.HasSuffix(i.Name, "/") }

func (c *ContainerRef) info(name string, b *records.Blob) Info {
	return Info{
		Container: c.name, Name: name, Size: b.Size, ContentType: b.ContentType,
		Created: b.Created, Metadata: maps.Clone(b.Metadata), ETag: b.ETag,
	}
}

func (c *ContainerRef) key(name string) records.BlobKey {
	return records.BlobKey{Container: c.name, Name: name}
}

// fault says which blob err is about.
func (c *ContainerRef) fault(name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrName) { // it holds the name
		return fmt.Errorf("container %q: %w", c.name, err)
	}
	return fmt.Errorf("container %q: blob %q: %w", c.name, name, err)
}
