package blob

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/records"
)

// Link is a URL that carries a right to one blob.
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
	// SignURL makes a URL to read that is good while the time is before c.Expires,
	// for the object while it is that of the name.
	SignURL(ctx context.Context, c signedurl.Claim, b *records.Blob) (string, error)
	// SignUpload makes a URL to write.
	SignUpload(c signedurl.UploadClaim) string
}

// SignedURL makes a URL by which whoever has it reads the blob, without any other
// right: ErrNotFound if there is none. Once the blob is replaced or deleted the URL
// leads nowhere, see Delete. Treat it as a secret: it does not belong in logs.
func (c *ContainerRef) SignedURL(ctx context.Context, name string, options ...LinkOption) (Link, error) {
	u, b, err := c.get(ctx, name)
	if err != nil {
		return Link{}, c.fault(name, err)
	}
	expiry := DefaultExpiry
	for _, o := range options {
		o(&expiry)
	}
	end, err := endOf(u.Now(), expiry)
	if err != nil {
		return Link{}, c.fault(name, err)
	}
	signer, ok := u.Env().Blobs.(urlSigner)
	if !ok {
		return Link{}, c.fault(name, ErrNoLinks)
	}
	url, err := signer.SignURL(ctx, signedurl.Claim{Container: c.name, Name: name, Object: b.Object, Expires: end}, b)
	if err != nil {
		return Link{}, c.fault(name, err)
	}
	return Link{url, end}, nil
}

// UploadLimits says what a signed URL to write is good for.
type UploadLimits struct {
	// MaxSize bounds the blob, in bytes; the container's bound if 0.
	MaxSize int64
	// ContentType is what the request must declare, letter by letter; any media
	// type, or none, if empty.
	ContentType string
	// Within is how long the URL is good, as Expires says; DefaultExpiry if 0. A
	// request that has begun in time may end later.
	Within time.Duration
}

// SignedUploadURL makes a URL by which whoever has it writes the blob name, without
// any other right, by a PUT request whose body are the bytes. The request is one unit
// of work: it writes the blob, which is an Event as with Write, and answers 201 when
// that is durable.
//
// The URL is good for one upload: for as long as the blob is the one that is there
// now, or there is none, as now. Of several uploads one wins; the others are
// answered 409. Pages of other origins cannot use it. Treat it as a secret.
func (c *ContainerRef) SignedUploadURL(ctx context.Context, name string, limits UploadLimits) (Link, error) {
	link, err := c.signUpload(ctx, name, limits)
	return link, c.fault(name, err)
}

func (c *ContainerRef) signUpload(ctx context.Context, name string, limits UploadLimits) (Link, error) {
	u, err := c.open(ctx, name)
	if err != nil {
		return Link{}, err
	}
	if limits.MaxSize < 0 {
		return Link{}, fmt.Errorf("UploadLimits: MaxSize is negative: leave it out for the container's")
	}
	if err := CheckContentType(limits.ContentType); err != nil {
		return Link{}, fmt.Errorf("UploadLimits: %w", err)
	}
	end, err := endOf(u.Now(), cmp.Or(limits.Within, DefaultExpiry))
	if err != nil {
		return Link{}, err
	}
	b, err := records.GetBlob(u, c.key(name))
	if err != nil {
		return Link{}, err
	}
	claim := signedurl.UploadClaim{
		Container: c.name, Name: name, MaxSize: cmp.Or(limits.MaxSize, c.maxSize), ContentType: limits.ContentType, Expires: end,
	}
	if b != nil {
		claim.ETag = b.ETag
	}
	signer, ok := u.Env().Blobs.(urlSigner)
	if !ok {
		return Link{}, ErrNoLinks
	}
	return Link{signer.SignUpload(claim), end}, nil
}

// endOf returns the end, in whole seconds, of a URL that is good for expiry.
func endOf(now time.Time, expiry time.Duration) (time.Time, error) {
	if expiry < time.Second || expiry > MaxExpiry {
		return time.Time{}, fmt.Errorf("a signed URL is good for 1s to %v, not %v", MaxExpiry, expiry)
	}
	end := now.Add(expiry)
	if whole := end.Truncate(time.Second); whole.Before(end) {
		end = whole.Add(time.Second)
	}
	return end, nil
}
