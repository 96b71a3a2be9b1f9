package guides_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

var (
	Pictures = blob.Container("pictures", blob.MaxSize(10<<20))
	Sizes    = table.Of[int64]("sizes")
)

type savePictureIn struct {
	Name string          `path:"name"`
	File *perdure.Upload `body:"file"`
}

func savePicture(ctx context.Context, in *savePictureIn) (*struct{}, error) {
	_, err := Pictures.Write(ctx, in.Name, in.File.Body, blob.Metadata{"filename": in.File.Name})
	return nil, err
}

func firstBytes(ctx context.Context, name string) ([]byte, error) {
	r, err := Pictures.OpenRange(ctx, name, 0, 16)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

type noteSizeIn struct {
	Name  string     `path:"name"`
	Event blob.Event `body:""`
}

type noteSizeOut struct {
	Size *int64 `bind:"sizes/{name}"`
}

// archivePicture keeps a copy that shares the bytes.
func archivePicture(ctx context.Context, name string) error {
	_, err := Pictures.Copy(ctx, "archive/"+name, Pictures, name, blob.IfAbsent())
	return err
}

func describePicture(ctx context.Context, name string, seen blob.Info, title string) error {
	_, err := Pictures.Update(ctx, name, blob.Metadata{"filename": title}, blob.IfMatch(seen.ETag))
	return err
}

func folder(ctx context.Context, path, after string) (page []blob.Info, err error) {
	for info, err := range Pictures.List(ctx, blob.Prefix(path), blob.Folders(), blob.After(after), blob.Limit(100)) {
		if err != nil {
			return nil, err
		}
		page = append(page, info) // info.IsFolder() for what goes on with a "/"
	}
	return page, nil
}

type forgetSizeIn struct {
	Name    string        `path:"name"`
	Deleted blob.Deletion `body:""`
}

func forgetSize(ctx context.Context, in *forgetSizeIn) (*struct{}, error) {
	return nil, Sizes.Delete(ctx, in.Name)
}

func noteSize(_ context.Context, in *noteSizeIn) (*noteSizeOut, error) {
	return &noteSizeOut{Size: &in.Event.Size}, nil
}

type linkIn struct {
	Name   string `path:"name"`
	Origin perdure.Origin
}

type linkOut struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

func linkTo(ctx context.Context, in *linkIn) (*linkOut, error) {
	link, err := Pictures.SignedURL(ctx, in.Name, blob.Expires(10*time.Minute))
	if err != nil {
		return nil, err
	}
	return &linkOut{URL: in.Origin.URL(link.URL), Expires: link.Expires}, nil
}

func uploadLinkTo(ctx context.Context, in *linkIn) (*linkOut, error) {
	link, err := Pictures.SignedUploadURL(ctx, in.Name, blob.UploadLimits{
		MaxSize: 5 << 20, ContentType: "image/png", Within: 10 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return &linkOut{URL: in.Origin.URL(link.URL), Expires: link.Expires}, nil
}

// Here the guide's words end.

// sizeIn is a row that the trigger writes.
type sizeIn struct {
	Size int64 `bind:"sizes/{name}"`
}

func showSize(_ context.Context, in *sizeIn) (*int64, error) { return &in.Size, nil }

func TestGuideBlobs(t *testing.T) {
	t.Parallel()
	noted := make(chan struct{}, 1)
	app := startApp(t, perdure.Config{}, Sizes,
		perdure.HTTP("POST /pictures/{name}", savePicture),
		perdure.HTTP("GET /links/{name}", linkTo),
		perdure.HTTP("GET /uploads/{name}", uploadLinkTo),
		perdure.HTTP("GET /sizes/{name}", showSize),
		perdure.OnBlobDeleted(Pictures, "{name}", forgetSize),
		perdure.OnBlob(Pictures, "{name}", func(ctx context.Context, in *noteSizeIn) (*noteSizeOut, error) {
			noted <- struct{}{}
			return noteSize(ctx, in)
		}),
	)
	ask(t, app, "POST", "/pictures/cat", "meow", http.StatusNoContent, "")
	<-noted
	deadline := time.Now().Add(10 * time.Second)
	for { // the trigger's unit commits after it has returned
		var size *int64
		err := app.Unit(t.Context(), func(ctx context.Context) (err error) {
			size, err = Sizes.Get(ctx, "cat")
			return err
		})
		if err == nil && *size == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the size is not noted: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
	err := app.Unit(t.Context(), func(ctx context.Context) error {
		b, err := firstBytes(ctx, "cat")
		if string(b) != "meow" {
			t.Errorf("the blob begins with %q", b)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	err = app.Unit(t.Context(), func(ctx context.Context) error {
		info, err := Pictures.Stat(ctx, "cat")
		if err != nil {
			return err
		}
		if err := errors.Join(archivePicture(ctx, "cat"), describePicture(ctx, "cat", info, "Cat.png")); err != nil {
			return err
		}
		page, err := folder(ctx, "", "")
		if len(page) != 2 || !page[0].IsFolder() || page[0].Name != "archive/" || page[1].Metadata["filename"] != "Cat.png" {
			t.Errorf("listed %+v", page)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	ask(t, app, "GET", "/links/cat", "", http.StatusOK, "/blobs/pictures/cat?expires=")
	ask(t, app, "GET", "/uploads/dog", "", http.StatusOK, "&max=5242880&type=image%2Fpng")
	ask(t, app, "GET", "/links/dog", "", http.StatusNotFound, "")
}

// A blob that is deleted takes its row along.
func TestGuideDeletedBlobs(t *testing.T) {
	t.Parallel()
	app := startApp(t, perdure.Config{}, Sizes, perdure.OnBlob(Pictures, "{name}", noteSize), perdure.OnBlobDeleted(Pictures, "{name}", forgetSize))
	unit := func(fn func(ctx context.Context) error) {
		t.Helper()
		if err := app.Unit(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	waitForSize := func(there bool) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			err := app.Unit(t.Context(), func(ctx context.Context) error {
				_, err := Sizes.Get(ctx, "cat")
				return err
			})
			if there == (err == nil) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the row: %v", err)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	unit(func(ctx context.Context) error {
		_, err := Pictures.Write(ctx, "cat", strings.NewReader("meow"))
		return err
	})
	waitForSize(true)
	unit(func(ctx context.Context) error { return Pictures.Delete(ctx, "cat") })
	waitForSize(false)
}
