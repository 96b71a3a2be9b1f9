package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/perdure/perdure"
	_ "github.com/perdure/perdure/blob/s3"
	"github.com/perdure/perdure/internal/clock"
)

// The same program with its files in a bucket: only the configuration says so.
func TestFilesInS3(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("files"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	bucket := "s3://files?region=eu-central-1&use_path_style=true&endpoint=" + url.QueryEscape(server.URL)

	for links, params := range map[string]string{"of S3": "&prefix=one/", "of the app": "&prefix=two/&signed_urls=app"} {
		s := &site{t: t, clock: clock.NewManual(noon), config: perdure.Config{Data: t.TempDir(), Blobs: bucket + params}}
		s.start()
		id := s.available("hello")
		waiting := s.upload("uploaded before the restart")
		s.restart()
		link := s.download(id).DownloadURL
		from := server.URL
		if links == "of the app" {
			from = s.url
		}
		if !strings.HasPrefix(link, from+"/") {
			t.Errorf("links %s: %s, want it at %s", links, link, from)
		}
		if a := s.get(link); a.status != http.StatusOK || a.body != "hello" {
			t.Errorf("links %s: %d %q", links, a.status, a.body)
		}
		if a := s.get(link, "Range", "bytes=1-3"); a.status != http.StatusPartialContent || a.body != "ell" {
			t.Errorf("links %s: range: %d %q", links, a.status, a.body)
		}
		s.decide("/api/approve/"+waiting, `{"approved":false}`)
		s.state(waiting, Rejected)

		// The rejected file goes when those who may still read it have had their time.
		s.waitFor(func() bool {
			s.clock.Advance(time.Minute)
			return objects(t, backend, s) == 1
		}, func() string { return "the bytes of the rejected file are still there" })

		other := perdure.New(perdure.Config{Data: t.TempDir(), Blobs: s.config.Blobs, Listen: "localhost:0", Logger: s.config.Logger})
		err := other.Start(t.Context())
		if !errors.Is(err, perdure.ErrConfig) || !strings.Contains(err.Error(), "prefix=") {
			t.Errorf("another app in the same place: %v", errors.Join(err, other.Stop(context.Background())))
		}
	}
}

// objects counts the objects that the app has in the bucket.
func objects(t *testing.T, backend gofakes3.Backend, s *site) (n int) {
	t.Helper()
	u, err := url.Parse(s.config.Blobs)
	if err != nil {
		t.Fatal(err)
	}
	prefix := u.Query().Get("prefix")
	list, err := backend.ListBucket("files", &gofakes3.Prefix{HasPrefix: true, Prefix: prefix}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		if len(strings.TrimPrefix(o.Key, prefix)) == 32 { // not the owner's name
			n++
		}
	}
	return n
}
