package signedurl

import (
	"context"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/records"
)

// Place is a driver together with what makes links to its objects: the place itself,
// if it can, otherwise a Signer whose links a Handler serves.
type Place struct {
	blobstore.Driver
	Signer *Signer
	// Now is the app's clock.
	Now func() time.Time
}

// SignURL makes a link to read b. One that the place makes is absolute, and outlives
// the blob's name for as long as Driver.Hold says.
func (p *Place) SignURL(ctx context.Context, c Claim, b *records.Blob) (string, error) {
	linker, ok := p.Driver.(blobstore.Linker)
	if !ok {
		return p.Signer.SignURL(c), nil
	}
	return linker.SignURL(ctx, c.Object, blobstore.Download{
		ContentType: contentType(b), Disposition: Disposition(c.Name, b), For: c.Expires.Sub(p.Now()),
	})
}

// SignUpload makes a link to write. The app serves it also when the bytes go elsewhere:
// only so does the blob get its name when they are there.
func (p *Place) SignUpload(c UploadClaim) string { return p.Signer.SignUpload(c) }
