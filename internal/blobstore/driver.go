// Package blobstore keeps the bytes of blobs: immutable objects under random
// keys. Which names an object has, and whether any, is the record layer's matter.
package blobstore

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Driver is a place for objects. A driver is safe for concurrent use.
type Driver interface {
	// Create, Open and Delete are those of unit.Blobs.
	Create(ctx context.Context, r io.Reader, limit int64) (key string, size int64, err error)
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	Delete(ctx context.Context, key string) error
	// OpenRange is Open for the length bytes from offset on, which the object has.
	OpenRange(ctx context.Context, key string, offset, length int64) (io.ReadSeekCloser, error)
	// Settle says that something durable maps a created object.
	Settle(key string)
	// List calls visit for each settled object, and for those of earlier
	// processes, until it returns an error.
	List(ctx context.Context, visit func(key string, size int64, modTime time.Time) error) error
	// Tidy removes what Creates left that broke off before the time.
	Tidy(ctx context.Context, before time.Time) error
	// Hold is how long an object must stay after it lost its last name, for those
	// who read it: zero if open handles outlive Delete.
	Hold() time.Duration
	// Close releases the place.
	Close() error
}

// Linker is a driver whose place gives out objects by signed URLs of its own.
type Linker interface {
	Driver
	// SignURL returns an absolute URL by which whoever has it reads an object.
	SignURL(ctx context.Context, key string, d Download) (string, error)
}

// Download says what a signed URL is good for.
type Download struct {
	// ContentType and Disposition are the headers of these names that the answer
	// has.
	ContentType, Disposition string
	// For is how long it is good.
	For time.Duration
}

// Options changes how a place is opened. The zero value is right for use.
type Options struct {
	// FS is the file system; OS when nil.
	FS FS
	// Owner names the store whose records name the objects. A place that cannot be
	// locked remembers it, and refuses another: each of two stores that shared a
	// place would collect the other's objects. Empty asks for nothing.
	Owner string
}

// Opener opens the place that a URL of its scheme names. Its errors do not repeat the
// URL's query.
type Opener func(ctx context.Context, u *url.URL, opts Options) (Driver, error)

// example is a URL that every program can open.
const example = "file:./data/blobs"

var (
	openersMu sync.RWMutex
	openers   = map[string]Opener{"file": openFile}
)

// Register makes Open use an opener for the URLs of a scheme. A later one takes the
// place of an earlier one.
func Register(scheme string, open Opener) {
	openersMu.Lock()
	defer openersMu.Unlock()
	openers[scheme] = open
}

// packages says which package's import registers a scheme.
var packages = map[string]string{
	"s3":     "github.com/perdure/perdure/blob/s3",
	"azblob": "github.com/perdure/perdure/blob/azure",
}

// Open opens the place that a URL names: `file:` and a path, relative
// (`file:./data/blobs`) or absolute (`file:/var/lib/app/blobs`), or a URL of a
// registered scheme.
func Open(ctx context.Context, rawURL string, opts Options) (Driver, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's error would repeat the URL, which may hold a password.
		return nil, fmt.Errorf("blobstore: blob store URL cannot be read; write for example %q", example)
	}
	openersMu.RLock()
	open, known := openers[u.Scheme], slices.Sorted(maps.Keys(openers))
	openersMu.RUnlock()
	if open == nil {
		if path, ok := packages[u.Scheme]; ok {
			return nil, fmt.Errorf("blobstore: blob store URL has scheme %q, whose driver is not in this program; add it with: import _ %q", u.Scheme, path)
		}
		return nil, fmt.Errorf("blobstore: blob store URL has scheme %q; this program knows %s, for example %q",
			u.Scheme, strings.Join(known, ", "), example)
	}
	if u.User != nil {
		return nil, fmt.Errorf("blobstore: blob store URL has a user or password; credentials come from the environment")
	}
	return open(ctx, u, opts)
}

// openFile opens a folder.
func openFile(_ context.Context, u *url.URL, opts Options) (Driver, error) {
	if u.RawQuery != "" || u.Fragment != "" || (u.Host != "" && u.Host != "localhost") {
		return nil, fmt.Errorf("blobstore: a %q URL is a path alone, for example %q", "file", example)
	}
	path := u.Path
	if u.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, fmt.Errorf("blobstore: blob store URL: %w", err)
		}
	}
	if path == "" {
		return nil, fmt.Errorf("blobstore: blob store URL has no path; write for example %q", example)
	}
	return OpenDir(path, opts)
}
