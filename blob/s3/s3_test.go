package s3_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	aws "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob"

	_ "github.com/perdure/perdure/blob/s3"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/cloud"
	"github.com/perdure/perdure/internal/blobstore/drivertest"
)

func TestMain(m *testing.M) {
	// Nothing of the machine's own configuration counts.
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// newBucket starts an S3 server with a bucket and returns the bucket's URL.
func newBucket(t *testing.T) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("files"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return "s3://files?region=eu-central-1&use_path_style=true&endpoint=" + url.QueryEscape(server.URL)
}

func open(t *testing.T, rawURL, owner string) blobstore.Driver {
	t.Helper()
	d, err := blobstore.Open(t.Context(), rawURL, blobstore.Options{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	t.Parallel()
	for name, params := range map[string]string{"bucket": "", "prefix": "&prefix=app/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, func(t *testing.T) func() blobstore.Driver {
				bucket := newBucket(t) + params
				return func() blobstore.Driver { return open(t, bucket, "owner") }
			})
		})
	}
}

// Each of two stores in one place would take the other's objects for left-overs.
func TestOneOwner(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	first := open(t, bucket, "first")
	if err := first.List(t.Context(), func(key string, _ int64, _ time.Time) error {
		return errors.New(key + " is taken for an object")
	}); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := open(t, bucket, "first").Close(); err != nil {
		t.Errorf("the owner again: %v", err)
	}
	if err := open(t, bucket+"&prefix=second/", "second").Close(); err != nil {
		t.Errorf("another prefix: %v", err)
	}
	for _, other := range []string{"second", "firs", "first "} {
		_, err := blobstore.Open(t.Context(), bucket, blobstore.Options{Owner: other})
		if !errors.Is(err, cloud.ErrOwned) || !strings.Contains(err.Error(), "prefix=") {
			t.Errorf("%q: %v, want %v", other, err, cloud.ErrOwned)
		}
	}
}

func TestBucketsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	for what, rawURL := range map[string]string{
		"no such bucket":    strings.Replace(bucket, "//files", "//other", 1),
		"password":          strings.Replace(bucket, "//", "//user:hidden@", 1),
		"unknown parameter": bucket + "&colour=red",
		"one object":        bucket + "&key=a",
		"signed_urls":       bucket + "&signed_urls=maybe",
	} {
		for _, owner := range []string{"", "owner"} {
			_, err := blobstore.Open(t.Context(), rawURL, blobstore.Options{Owner: owner})
			if err == nil || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestPresignedURL(t *testing.T) {
	t.Parallel()
	d := open(t, newBucket(t), "owner")
	linker, ok := d.(blobstore.Linker)
	if !ok {
		t.Fatal("makes no links")
	}
	key, _, err := d.Create(t.Context(), strings.NewReader("hello"), 0)
	if err != nil {
		t.Fatal(err)
	}
	link, err := linker.SignURL(t.Context(), key, blobstore.Download{
		ContentType: "text/plain", Disposition: "attachment; filename=a.txt", For: 90*time.Minute + time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-Amz-Expires": "5401", "response-content-type": "text/plain",
		"response-content-disposition": "attachment; filename=a.txt", "response-cache-control": "private, no-store",
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if status, body := get(t, link); status != http.StatusOK || body != "hello" {
		t.Errorf("%d %q", status, body)
	}
	if link, err := linker.SignURL(t.Context(), key, blobstore.Download{For: 8 * 24 * time.Hour}); err != nil || !strings.Contains(link, "X-Amz-Expires=604800&") {
		t.Errorf("a long life: %s, %v", link, err)
	}
	if err := d.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, link); status != http.StatusNotFound {
		t.Errorf("deleted: %d", status)
	}
	if _, ok := open(t, newBucket(t)+"&signed_urls=app", "owner").(blobstore.Linker); ok {
		t.Error("signed_urls=app makes links")
	}
}

func get(t *testing.T, link string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A process that dies in a large upload leaves parts that nobody sees.
func TestTidyGivesUpUploads(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "app/"} {
		rawURL := newBucket(t)
		if prefix != "" {
			rawURL += "&prefix=" + prefix
		}
		bucket, err := blob.OpenBucket(t.Context(), rawURL)
		if err != nil {
			t.Fatal(err)
		}
		var client *aws.Client
		if !bucket.As(&client) {
			t.Fatal("no client")
		}
		name := "files"
		for _, key := range []string{strings.Repeat("0", 32), "another"} {
			key = prefix + key
			if _, err := client.CreateMultipartUpload(t.Context(), &aws.CreateMultipartUploadInput{Bucket: &name, Key: &key}); err != nil {
				t.Fatal(err)
			}
		}
		left := func() (keys []string) {
			page, err := client.ListMultipartUploads(t.Context(), &aws.ListMultipartUploadsInput{Bucket: &name})
			if err != nil {
				t.Fatal(err)
			}
			for _, up := range page.Uploads {
				keys = append(keys, strings.TrimPrefix(*up.Key, prefix))
			}
			return keys
		}
		d := open(t, rawURL, "owner")
		if err := d.Tidy(t.Context(), time.Now().Add(-time.Hour)); err != nil || len(left()) != 2 {
			t.Errorf("new uploads: %v, %v", left(), err)
		}
		if err := d.Tidy(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if keys := left(); len(keys) != 1 || keys[0] != "another" {
			t.Errorf("left: %v", keys)
		}
		if err := errors.Join(bucket.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}
}
