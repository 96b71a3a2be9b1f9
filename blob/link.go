package blob

import (
	"context"
	"fmt"
	"time"
)

// Link is a URL that carries the right to read one blob.
type Link struct {
	// URL is absolute, or path and query to be put, unchanged, behind the
	// address at which the app is reached.
	URL string
	// Expires is the moment from which on it is refused; whole seconds.
	Expires time.Time
}

// LinkOption says what a signed URL is good for.
type LinkOption func(*time.Duration)

// Expires sets how long a signed URL is good: for at least d, and for less than
// a second more. At least a second, at most MaxExpiry.
func Expires(d time.Duration) LinkOption { return func(expiry *time.Duration) { *expiry = d } }

// urlSigner is a blob store that makes signed URLs, or has them made.
type urlSigner interface {
	// SignURL makes a URL that is good while the time is before expires, for the
	// object while it is that of the name.
	SignURL(container, name, object string, expires time.Time) (string, error)
}

// SignedURL makes a URL by which whoever has it reads the blob, without any other
// right: ErrNotFound if there is none. Once the blob is replaced or deleted the URL
// leads nowhere. Treat it as a secret: it does not belong in logs.
func (c *ContainerRef) SignedURL(ctx context.Context, name string, options ...LinkOption) (Link, error) {
	u, b, err := c.get(ctx, name)
	if err != nil {
		return Link{}, c.fault(name, err)
	}
	expiry := DefaultExpiry
	for _, o := range options {
		o(&expiry)
	}
	if expiry < time.Second || expiry > MaxExpiry {
		return Link{}, c.fault(name, fmt.Errorf("a signed URL is good for 1s to %v, not %v", MaxExpiry, expiry))
	}
	signer, ok := u.Env().Blobs.(urlSigner)
	if !ok {
		return Link{}, c.fault(name, ErrNoLinks)
	}
	end := u.Now().Add(expiry)
	if whole := end.Truncate(time.Second); whole.Before(end) {
		end = whole.Add(time.Second)
	}
	url, err := signer.SignURL(c.name, name, b.Object, end)
	if err != nil {
		return Link{}, c.fault(name, err)
	}
	return Link{url, end}, nil
}
