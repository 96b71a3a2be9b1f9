// Package s3 lets an app keep its blobs in Amazon S3, or in what speaks its protocol.
// It is imported for its effect alone:
//
//	import _ "github.com/perdure/perdure/blob/s3"
//
//	perdure.Config{Blobs: "s3://bucket?region=eu-central-1"}
//
// The URL's parameters are those of the Go Cloud Development Kit's s3blob, such as
// region, endpoint, use_path_style and profile, and:
//
//   - prefix: what the keys of all objects begin with, such as "app/". Two apps that
//     share a bucket need different ones.
//   - signed_urls: "app" has links to read served by the app, for a bucket that those
//     who get links cannot reach. By default they are presigned URLs of S3.
//
// Credentials are those of the AWS SDK: its environment variables, shared files and
// instance roles. Presigned URLs end with the credentials that made them.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/cloud"
)

func init() { blobstore.Register(s3blob.Scheme, open) }

// open opens the bucket that a URL names.
func open(ctx context.Context, u *url.URL, opts blobstore.Options) (blobstore.Driver, error) {
	query := u.Query()
	links := query.Get("signed_urls")
	query.Del("signed_urls")
	if links != "" && links != "app" {
		return nil, fmt.Errorf("blobstore: s3: signed_urls=%q: leave it out or say %q", links, "app")
	}
	if query.Has("key") {
		return nil, errors.New("blobstore: s3: a bucket of one object (key) cannot hold blobs")
	}
	own := *u
	own.RawQuery = query.Encode()
	opened, err := blob.OpenBucket(ctx, own.String())
	if err != nil {
		return nil, fmt.Errorf("blobstore: s3: bucket %q: %w", u.Host, err)
	}
	var client *s3.Client
	if !opened.As(&client) {
		return nil, errors.Join(fmt.Errorf("blobstore: s3: bucket %q has no client", u.Host), opened.Close())
	}
	uploads := &uploads{client, u.Host, query.Get("prefix")}
	bucket, err := cloud.New(ctx, opened, cloud.Options{Owner: opts.Owner, Tidy: uploads.tidy})
	if err != nil {
		return nil, err
	}
	if links == "app" {
		return bucket, nil
	}
	return &signing{bucket, opened}, nil
}

// signing is a bucket whose links are presigned URLs.
type signing struct {
	*cloud.Bucket
	bucket *blob.Bucket
}

var _ blobstore.Linker = (*signing)(nil)

// maxExpiry is the longest life of a presigned URL that S3 allows.
const maxExpiry = 7 * 24 * time.Hour

// SignURL implements blobstore.Linker.
func (s *signing) SignURL(ctx context.Context, key string, d blobstore.Download) (string, error) {
	// The beginning is cut to whole seconds, so the length is not.
	expiry := min((d.For + time.Second - 1).Truncate(time.Second), maxExpiry)
	signed, err := s.bucket.SignedURL(ctx, key, &blob.SignedURLOptions{
		Method: http.MethodGet, Expiry: expiry,
		BeforeSign: func(as func(any) bool) error {
			var in *s3.GetObjectInput
			if !as(&in) {
				return errors.New("the headers of the answer cannot be set")
			}
			cache := "private, no-store"
			in.ResponseContentType, in.ResponseContentDisposition, in.ResponseCacheControl = &d.ContentType, &d.Disposition, &cache
			return nil
		},
	})
	if err != nil {
		return "", fmt.Errorf("blobstore: s3: sign a URL: %w", err)
	}
	return signed, nil
}

// uploads are the multipart uploads of a bucket. One that breaks off with its process
// is invisible, and is paid for.
type uploads struct {
	client         *s3.Client
	bucket, prefix string
}

// tidy gives up those that began before the time.
func (u *uploads) tidy(ctx context.Context, before time.Time, keep func(key string) bool) error {
	pages := s3.NewListMultipartUploadsPaginator(u.client, &s3.ListMultipartUploadsInput{Bucket: &u.bucket, Prefix: &u.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isCode(err, "NoSuchUpload", "NotImplemented") { // what some servers say where there are none
			return nil
		}
		if err != nil {
			return fmt.Errorf("s3: list uploads: %w", err)
		}
		for _, up := range page.Uploads {
			if up.Key == nil || up.Initiated == nil || !up.Initiated.Before(before) {
				continue
			}
			key := strings.TrimPrefix(*up.Key, u.prefix)
			if !blobstore.ValidKey(key) || keep(key) {
				continue
			}
			_, err := u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: up.Key, UploadId: up.UploadId})
			if err != nil && !isCode(err, "NoSuchUpload") { // it may have ended
				return fmt.Errorf("s3: give up an upload: %w", err)
			}
		}
	}
	return nil
}

// isCode reports whether S3 answered with one of the codes.
func isCode(err error, codes ...string) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && slices.Contains(codes, answer.ErrorCode())
}
