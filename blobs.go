package perdure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
)

// openBlobs opens the place that a URL names.
func (r *running) openBlobs(rawURL string) (err error) {
	var opts blobstore.Options
	if !strings.HasPrefix(rawURL, "file:") { // a folder is locked
		if opts.Owner, err = r.blobOwner(); err != nil {
			return fmt.Errorf("perdure: owner of blobs: %w", err)
		}
	}
	if r.blobs, err = blobstore.Open(context.Background(), rawURL, opts); err != nil {
		return fmt.Errorf("%w: Blobs: %w", ErrConfig, err)
	}
	return nil
}

// blobOwner returns the name by which places for blobs know the store.
func (r *running) blobOwner() (owner string, err error) {
	env := &unit.Env{Snapshot: r.store.Snapshot, Now: r.clock.Now}
	err = unit.Run(context.Background(), env, r.committer, unitAttempts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err == nil {
			owner, err = records.BlobOwner(u, rand.Text())
		}
		return err
	})
	return owner, err
}

// links serves the signed links to read blobs.
func (r *running) links() http.Handler {
	return &signedurl.Handler{
		Signer: r.signer, Snapshot: r.store.Snapshot, Open: r.blobs.Open, Now: r.clock.Now, Log: r.config.Logger,
		Fail: func(w http.ResponseWriter, _ *http.Request, status int, detail string) {
			NewProblem(status, detail).Write(w)
		},
	}
}

// uploadIn is a request that a signed link to write makes.
type uploadIn struct {
	Claim signedurl.UploadClaim
	File  *Upload `body:""`
}

// uploadOut is its answer.
type uploadOut struct {
	Status int    `status:"201"`
	ETag   string `header:"ETag"`
}

// uploads is the function that serves the signed links to write.
func (r *running) uploads(resources map[string]resource.Resource) *httpapi.Function {
	upload := func(ctx context.Context, in *uploadIn) (*uploadOut, error) {
		c, ok := resources[in.Claim.Container].(*blob.ContainerRef)
		if !ok {
			return nil, NewProblem(http.StatusNotFound, "The app does not have this container any more.")
		}
		return receive(ctx, c, in)
	}
	return httpapi.New("PUT "+signedurl.Path+"{container}/{name...}", upload, Hidden(), Require(auth.Anonymous()),
		Named("signed upload"), MaxBody(math.MaxInt64/2)) // the claim has the bound
}

// receive writes a blob that was uploaded.
func receive(ctx context.Context, c *blob.ContainerRef, in *uploadIn) (*uploadOut, error) {
	claim := in.Claim
	if claim.ContentType != "" && in.File.DeclaredType != claim.ContentType {
		return nil, NewProblem(http.StatusUnsupportedMediaType, fmt.Sprintf("The link is for the content type %q.", claim.ContentType))
	}
	if err := blob.CheckContentType(in.File.DeclaredType); err != nil {
		return nil, NewProblem(http.StatusUnsupportedMediaType, "A file cannot be kept with this content type.")
	}
	condition := blob.IfAbsent()
	if claim.ETag != "" {
		condition = blob.IfMatch(claim.ETag)
	}
	info, err := c.Write(ctx, claim.Name, in.File.Body, condition, blob.MaxSize(claim.MaxSize), blob.ContentType(in.File.DeclaredType))
	switch {
	case errors.Is(err, blob.ErrExists), errors.Is(err, blob.ErrChanged):
		return nil, NewProblem(http.StatusConflict, "The file has been written or deleted since this link was made. A link is good for one upload.")
	case errors.Is(err, blob.ErrTooLarge):
		return nil, problem.TooLarge(claim.MaxSize)
	case err != nil:
		return nil, err
	}
	return &uploadOut{Status: http.StatusCreated, ETag: `"` + info.ETag + `"`}, nil
}

// uploadInjectors are the injectors, and one that verifies signed links to write.
func (r *running) uploadInjectors() map[reflect.Type]binding.Injector {
	all := maps.Clone(injectors)
	all[reflect.TypeFor[signedurl.UploadClaim]()] = func(_ context.Context, req *http.Request) (reflect.Value, error) {
		if req == nil {
			return reflect.Value{}, errors.New("perdure: a link in a function that is not triggered by HTTP")
		}
		// RequestURI, not URL: only that is the text the client sent.
		claim, err := r.signer.VerifyUpload(req.RequestURI, r.clock.Now())
		switch {
		case errors.Is(err, signedurl.ErrExpired):
			return reflect.Value{}, NewProblem(http.StatusForbidden, "This link has expired.")
		case err != nil:
			return reflect.Value{}, NewProblem(http.StatusForbidden, "This link is not valid.")
		}
		return reflect.ValueOf(claim), nil
	}
	return all
}
