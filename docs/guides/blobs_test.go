package guides_test

import (
	"context"
	"io"
	"net/http"
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
	r, err := Pictures.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 16))
}

type noteSizeIn struct {
	Name  string     `path:"name"`
	Event blob.Event `body:""`
}

type noteSizeOut struct {
	Size *int64 `bind:"sizes/{name}"`
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
	return &linkOut{URL: string(in.Origin) + link.URL, Expires: link.Expires}, nil
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
		perdure.HTTP("GET /sizes/{name}", showSize),
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
	ask(t, app, "GET", "/links/cat", "", http.StatusOK, "/blobs/pictures/cat?expires=")
	ask(t, app, "GET", "/links/dog", "", http.StatusNotFound, "")
}
