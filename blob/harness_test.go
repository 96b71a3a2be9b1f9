package blob_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/collector"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var files = blob.Container("files")

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// app is as much of an app as containers need.
type app struct {
	t         *testing.T
	store     *memory.Store
	committer *store.Committer
	folder    string
	dir       *blobstore.Dir
	env       unit.Env

	mu     sync.Mutex
	now    time.Time
	events []string // topic, space, event
}

func newApp(t *testing.T) *app {
	t.Helper()
	folder := t.TempDir()
	dir, err := blobstore.OpenDir(folder+"/blobs", blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signedurl.OpenKeys(blobstore.OS, folder)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t, store: memory.New(nil), folder: folder, dir: dir, now: start}
	a.committer = store.NewCommitter(a.store, store.CommitterOptions{})
	a.env = unit.Env{
		Snapshot: a.store.Snapshot,
		Now: func() time.Time {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.now
		},
		Publish: func(_ *unit.Unit, topic string, event []byte) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.events = append(a.events, topic+" "+string(event))
			return nil
		},
	}
	a.env.Blobs = &signedurl.Place{Driver: dir, Signer: signer, Now: a.env.Now}
	t.Cleanup(func() {
		a.committer.Close()
		if err := errors.Join(a.store.Close(), dir.Close()); err != nil {
			t.Error(err)
		}
	})
	return a
}

// unit runs f in a unit of work, once.
func (a *app) unit(f func(ctx context.Context) error) error {
	return unit.Run(a.t.Context(), &a.env, a.committer, 1, f)
}

func (a *app) must(f func(ctx context.Context) error) {
	a.t.Helper()
	if err := a.unit(f); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) write(name, text string, options ...blob.WriteOption) {
	a.t.Helper()
	a.must(func(ctx context.Context) error {
		_, err := files.Write(ctx, name, strings.NewReader(text), options...)
		return err
	})
}

// read returns the bytes of a blob in a unit of its own.
func (a *app) read(name string) (text string, err error) {
	err = a.unit(func(ctx context.Context) error {
		text, err = read(ctx, name)
		return err
	})
	return text, err
}

func read(ctx context.Context, name string) (string, error) {
	r, err := files.Open(ctx, name)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

// objects counts the objects on the disk that are not pending.
func (a *app) objects() int {
	a.t.Helper()
	n := 0
	err := a.dir.List(a.t.Context(), func(string, int64, time.Time) error {
		n++
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// left counts all objects on the disk, and remains of objects.
func (a *app) left() int {
	a.t.Helper()
	n := 0
	err := filepath.WalkDir(a.root(), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "lock" {
			n++
		}
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

func (a *app) root() string { return filepath.Join(a.folder, "blobs") }

// collect removes the bytes of replaced and deleted blobs.
func (a *app) collect() {
	a.t.Helper()
	c := collector.New(collector.Config{Store: a.store, Committer: a.committer, Objects: a.dir})
	if _, err := c.Collect(a.t.Context(), a.env.Now()); err != nil {
		a.t.Fatal(err)
	}
}
