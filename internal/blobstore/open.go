// Package blobstore keeps the bytes of blobs: immutable objects under random
// keys. Which name an object has, and whether any, is the record layer's matter.
package blobstore

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"
)

// Driver is a place for objects. A driver is safe for concurrent use.
type Driver interface {
	// Create, Open and Delete are those of unit.Blobs.
	Create(ctx context.Context, r io.Reader, limit int64) (key string, size int64, err error)
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	Delete(ctx context.Context, key string) error
	// Settle says that something durable maps a created object.
	Settle(key string)
	// List calls visit for each settled object, and for those of earlier
	// processes, until it returns an error.
	List(ctx context.Context, visit func(key string, size int64, modTime time.Time) error) error
	// Tidy removes what Creates left that broke off before the time.
	Tidy(ctx context.Context, before time.Time) error
	// Close releases the place.
	Close() error
}

// Open opens the place that a URL names: `file:` and a path, relative
// (`file:./data/blobs`) or absolute (`file:/var/lib/app/blobs`).
func Open(_ context.Context, rawURL string, opts Options) (Driver, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's error would repeat the URL, which may hold a password.
		return nil, fmt.Errorf("blobstore: blob store URL cannot be read; write for example %q", "file:./data/blobs")
	}
	if u.Scheme != "file" {
		return nil, fmt.Errorf("blobstore: blob store URL has scheme %q; this release knows %q, for example %q",
			u.Scheme, "file", "file:./data/blobs")
	}
	if u.RawQuery != "" || u.Fragment != "" || (u.Host != "" && u.Host != "localhost") {
		return nil, fmt.Errorf("blobstore: a %q URL is a path alone, for example %q", "file", "file:./data/blobs")
	}
	path := u.Path
	if u.Opaque != "" {
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, fmt.Errorf("blobstore: blob store URL: %w", err)
		}
	}
	if path == "" {
		return nil, fmt.Errorf("blobstore: blob store URL has no path; write for example %q", "file:./data/blobs")
	}
	return OpenDir(path, opts)
}
