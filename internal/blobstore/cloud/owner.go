package cloud

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// ownerKey is the object that names the owner of the others.
const ownerKey = "perdure-owner"

// maxOwner bounds what is read of it.
const maxOwner = 256

// ErrOwned: the bucket, or the part of it under the prefix, belongs to another store.
var ErrOwned = errors.New("blobstore: the bucket belongs to another store")

// claim makes the bucket the owner's, unless it is. Without an owner it only looks
// whether the bucket is there.
func (b *Bucket) claim(ctx context.Context) error {
	there, err := b.bucket.IsAccessible(ctx)
	if err == nil && !there {
		err = errors.New("it is not there, or may not be read")
	}
	owner := b.opts.Owner
	if err != nil || owner == "" {
		return wrapClaim(err)
	}
	found, err := b.owner(ctx)
	if gcerrors.Code(err) == gcerrors.NotFound {
		// Of two stores that come at the same time, one is refused here or finds
		// the other's name below.
		err = b.bucket.Upload(ctx, ownerKey, strings.NewReader(owner), &blob.WriterOptions{ContentType: "text/plain", IfNotExist: true})
		if err == nil || gcerrors.Code(err) == gcerrors.FailedPrecondition {
			found, err = b.owner(ctx)
		}
	}
	if err != nil {
		return wrapClaim(err)
	}
	if found != owner {
		return fmt.Errorf("%w (object %q): each of the two would remove the other's blobs; use another bucket, or a prefix of its own (prefix=NAME/)", ErrOwned, ownerKey)
	}
	return nil
}

func wrapClaim(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("blobstore: the bucket cannot be used: %w", err)
}

// owner returns what the bucket says.
func (b *Bucket) owner(ctx context.Context) (string, error) {
	r, err := b.bucket.NewRangeReader(ctx, ownerKey, 0, maxOwner, nil)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	_, err = r.WriteTo(&text)
	return text.String(), errors.Join(err, r.Close())
}
