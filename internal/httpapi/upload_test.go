package httpapi_test

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
)

var files = blob.Container("files")

type storeIn struct {
	ID   string          `path:"id"`
	Meta *meta           `bind:"metadata/{id},optional"`
	File *binding.Upload `body:""`
}

type storeOut struct {
	Bytes io.Reader `bind:"files/{id}"`
	Meta  *meta     `bind:"metadata/{id}"`
}

// uploads is an app that keeps what is uploaded, with the function to count the
// objects in its blob store. Before runs in each run of the function; commit
// takes the place of the committer's Commit, which it is given.
func uploads(t *testing.T, before func(), commit func(*txn, func() error) error) (*app, func() int) {
	t.Helper()
	dir := t.TempDir()
	blobs, err := blobstore.OpenDir(dir, blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	a := newApp(t)
	a.mux = http.NewServeMux()
	cfg := a.cfg
	cfg.Env.Blobs = blobs
	cfg.Bindings = binding.Env{Resources: map[string]resource.Resource{"metadata": metadata, "files": files}}
	cfg.Committer = committerFunc(func(ctx context.Context, txn *txn) error {
		return commit(txn, func() error { return a.cfg.Committer.Commit(ctx, txn) })
	})
	err = httpapi.Register(a.mux, cfg, httpapi.New("POST /files/{id}", func(_ context.Context, in *storeIn) (*storeOut, error) {
		before()
		out := &storeOut{Bytes: in.File.Body, Meta: &meta{Count: 1}}
		if in.Meta != nil {
			out.Meta.Count += in.Meta.Count
		}
		return out, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return a, func() (n int) {
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
				n++
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
}

func plainCommit(_ *txn, commit func() error) error { return commit() }

// A streamed body that goes into a blob is there again after a conflict: its
// bytes are staged once.
func TestUploadIsRunAgain(t *testing.T) {
	t.Parallel()
	runs := 0
	var race func()
	a, objects := uploads(t, func() { runs++; race() }, plainCommit)
	a.put("f1", meta{})
	race = a.racer("f1", 2)
	wantAnswer(t, a.send("POST", "/files/f1", "bytes"), 204, "")
	if runs != 3 || a.count("f1") != 201 || objects() != 1 {
		t.Errorf("%d runs, count %d, %d objects; want 3, 201 and 1", runs, a.count("f1"), objects())
	}
	a.unit(func(ctx context.Context) error {
		r, err := files.Open(ctx, "f1")
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		if b, err := io.ReadAll(r); err != nil || string(b) != "bytes" {
			t.Errorf("the blob has %q, %v", b, err)
		}
		return nil
	})
}

// Staged bytes are removed when the unit is known not to have committed, and are
// left to the collector when nobody knows.
func TestUploadThatIsNotCommitted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		failure error
		status  int
		text    string
		objects int
	}{
		"conflict": {store.ErrConflict, 503, "try again", 0},
		"refused":  {store.ErrMalformed, 500, "The request failed", 0},
		"unknown":  {store.ErrOutcomeUnknown, 500, "may or may not", 1},
	} {
		a, objects := uploads(t, func() {}, func(*txn, func() error) error { return tt.failure })
		wantProblem(t, a.send("POST", "/files/f1", "bytes"), tt.status, tt.text)
		if n := objects(); n != tt.objects {
			t.Errorf("%s: %d objects are left, want %d", name, n, tt.objects)
		}
	}
}
