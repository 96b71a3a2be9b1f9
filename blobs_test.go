package perdure_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
)

// uploadLink makes a link to write a document.
func (r *running) uploadLink(name string, limits blob.UploadLimits) (link string) {
	r.w.t.Helper()
	r.unit(func(ctx context.Context) error {
		l, err := documents.SignedUploadURL(ctx, name, limits)
		link = l.URL
		return err
	})
	return link
}

func (r *running) stat(name string) (info blob.Info, content string, err error) {
	err = r.Unit(r.w.t.Context(), func(ctx context.Context) error {
		file, err := documents.Open(ctx, name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(file)
		info, content = file.Info, string(b)
		return errors.Join(err, file.Close())
	})
	return info, content, err
}

func TestSignedUpload(t *testing.T) {
	t.Parallel()
	got := make(chan fileIn, 10)
	r := newWorld(t).start(documents, perdure.OnBlob(documents, "in/{id}", func(_ context.Context, in *fileIn) (*empty, error) {
		got <- *in
		return nil, nil
	}))
	r.write("one", "the trigger's binding")
	link := r.uploadLink("in/one", blob.UploadLimits{})
	a := r.do("PUT", link, "hello", "Content-Type", "text/plain")
	if a.status != http.StatusCreated || a.body != "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	info, content, err := r.stat("in/one")
	if err != nil || content != "hello" || info.ContentType != "text/plain" || a.header.Get("ETag") != `"`+info.ETag+`"` {
		t.Errorf("uploaded %q, %+v, %v; answered %v", content, info, err, a.header)
	}
	r.settle()
	if in := get(t, got); in.ID != "one" || in.Event.Size != 5 {
		t.Errorf("triggered with %+v", in)
	}
	// It is good for one upload.
	r.do("PUT", link, "again", "Content-Type", "text/plain").problem(t, http.StatusConflict)
	if _, content, _ := r.stat("in/one"); content != "hello" {
		t.Errorf("holds %q", content)
	}
	// An empty file, and types that no blob can have.
	link = r.uploadLink("empty", blob.UploadLimits{})
	r.do("PUT", link, "", "Content-Type", "no type").problem(t, http.StatusUnsupportedMediaType)
	r.do("PUT", link, "", "Content-Type", "text/"+strings.Repeat("x", 300)).problem(t, http.StatusUnsupportedMediaType)
	if a := r.do("PUT", link, "", "Content-Type", ""); a.status != http.StatusCreated {
		t.Errorf("empty: %d %s", a.status, a.body)
	}
	if info, content, err := r.stat("empty"); err != nil || content != "" || info.ContentType != "" {
		t.Errorf("empty: %q, %+v, %v", content, info, err)
	}
	// A link that replaces.
	link = r.uploadLink("in/one", blob.UploadLimits{})
	r.write("in/one", "somebody else's")
	r.do("PUT", link, "mine").problem(t, http.StatusConflict)
	if a := r.do("PUT", r.uploadLink("in/one", blob.UploadLimits{}), "mine"); a.status != http.StatusCreated {
		t.Errorf("replace: %d %s", a.status, a.body)
	}
	if _, content, _ := r.stat("in/one"); content != "mine" {
		t.Errorf("holds %q", content)
	}
}

func TestSignedUploadLimits(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(documents)
	link := r.uploadLink("a", blob.UploadLimits{MaxSize: 5, ContentType: "image/png", Within: time.Minute})
	r.do("PUT", link, "12345", "Content-Type", "text/html").problem(t, http.StatusUnsupportedMediaType)
	r.do("PUT", link, "12345", "Content-Type", "").problem(t, http.StatusUnsupportedMediaType)
	detail := r.do("PUT", link, "123456", "Content-Type", "image/png").problem(t, http.StatusRequestEntityTooLarge)
	contains(t, detail, "5 bytes")
	r.w.clock.Advance(59 * time.Second)
	if a := r.do("PUT", link, "12345", "Content-Type", "image/png"); a.status != http.StatusCreated {
		t.Errorf("%d %s", a.status, a.body)
	}
	late := r.uploadLink("b", blob.UploadLimits{Within: time.Minute})
	r.w.clock.Advance(time.Minute)
	r.do("PUT", late, "x").problem(t, http.StatusForbidden)
	for what, limits := range map[string]blob.UploadLimits{
		"size": {MaxSize: -1}, "type": {ContentType: "no type"}, "short": {Within: time.Millisecond}, "long": {Within: 8 * 24 * time.Hour},
	} {
		err := r.Unit(t.Context(), func(ctx context.Context) error {
			_, err := documents.SignedUploadURL(ctx, "c", limits)
			return err
		})
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestSignedUploadIsRefused(t *testing.T) {
	t.Parallel()
	other := blob.Container("other")
	r := newWorld(t).start(documents)
	link := r.uploadLink("a", blob.UploadLimits{MaxSize: 5})
	r.write("readable", "x")
	var read, gone blob.Link
	r.unit(func(ctx context.Context) (err error) {
		read, err = documents.SignedURL(ctx, "readable")
		if err == nil {
			gone, err = other.SignedUploadURL(ctx, "a", blob.UploadLimits{})
		}
		return err
	})
	for what, changed := range map[string]string{
		"larger":        strings.Replace(link, "max=5", "max=6", 1),
		"another name":  strings.Replace(link, "/a?", "/b?", 1),
		"another path":  strings.Replace(link, "/blobs/", "/blob/", 1),
		"one more":      link + "&x=1",
		"no signature":  link[:strings.Index(link, "&signature")],
		"a read link":   read.URL,
		"another space": strings.Replace(link, "/files/", "/other/", 1),
	} {
		a := r.do("PUT", changed, "12345")
		if a.status != http.StatusForbidden && (what != "another path" || a.status != http.StatusNotFound) {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	r.do("GET", link, "").problem(t, http.StatusForbidden)
	r.do("PUT", gone.URL, "x").problem(t, http.StatusNotFound)
	// Pages of other origins have no way, with or without asking first.
	a := r.do("PUT", link, "x", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("cross-origin: %d %v", a.status, a.header)
	}
	a = r.do("OPTIONS", link, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT")
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: %v", a.header)
	}
	if _, _, err := r.stat("a"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after all: %v", err)
	}
	if strings.Contains(r.w.log.String(), url.QueryEscape("signature=")) || strings.Contains(r.w.log.String(), "signature=") {
		t.Errorf("a link in the log: %s", r.w.log)
	}
}

type deletedIn struct {
	ID       string        `path:"id"`
	Deletion blob.Deletion `body:""`
}

func TestBlobDeletionTriggersFunction(t *testing.T) {
	t.Parallel()
	got := make(chan deletedIn, 10)
	r := newWorld(t).start(items, documents, perdure.OnBlobDeleted(documents, "in/{id}", func(_ context.Context, in *deletedIn) (*fileOut, error) {
		got <- *in
		return &fileOut{&item{Count: int(in.Deletion.Size), Text: in.Deletion.Metadata["k"]}}, nil
	}))
	remove := func(name string) {
		r.unit(func(ctx context.Context) error { return documents.Delete(ctx, name) })
	}
	r.unit(func(ctx context.Context) error {
		_, err := documents.Write(ctx, "in/one", strings.NewReader("12345"), blob.Metadata{"k": "v"}, blob.ContentType("a/b"))
		return err
	})
	r.write("two", "x")
	r.w.clock.Advance(time.Hour)
	remove("in/one")
	remove("two") // another name
	r.settle()
	in := get(t, got)
	if d := in.Deletion; in.ID != "one" || d.Name != "in/one" || d.Container != "files" || d.ContentType != "a/b" ||
		!d.Time.Equal(noon) || !d.Deleted.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %+v", in)
	}
	if i := r.item("one"); i.Count != 5 || i.Text != "v" {
		t.Errorf("row %+v", i)
	}
	r.write("in/one", "replaced twice")
	r.write("in/one", "replaced")
	r.settle()
	if len(got) != 0 {
		t.Errorf("triggered by what is no deletion: %+v", <-got)
	}
}

func TestOriginURL(t *testing.T) {
	t.Parallel()
	o := perdure.Origin("http://localhost:8080")
	for link, want := range map[string]string{
		"/blobs/a?x=1": "http://localhost:8080/blobs/a?x=1", "https://s3.example.com/a?b": "https://s3.example.com/a?b",
	} {
		if got := o.URL(link); got != want {
			t.Errorf("%s: %s, want %s", link, got, want)
		}
	}
}

// A driver outside the program's own is named with its import.
func TestDriversByImport(t *testing.T) {
	t.Parallel()
	for rawURL, want := range map[string]string{
		"s3://bucket": "github.com/perdure/perdure/blob/s3", "azblob://container": "github.com/perdure/perdure/blob/azure",
		"gs://bucket": "this program knows file",
	} {
		w := newLasting(t)
		w.config.Blobs = rawURL
		contains(t, w.refuse(documents), "Blobs", want)
	}
}
