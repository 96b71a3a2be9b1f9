package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/drivertest"
	"github.com/perdure/perdure/internal/unit"
)

var (
	_ blobstore.Driver = (*blobstore.Dir)(nil)
	_ unit.Blobs       = (*blobstore.Dir)(nil)
)

func openDir(t *testing.T, path string, opts blobstore.Options) *blobstore.Dir {
	t.Helper()
	d, err := blobstore.OpenDir(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func create(t *testing.T, d *blobstore.Dir, text string) string {
	t.Helper()
	key, size, err := d.Create(t.Context(), strings.NewReader(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	if size != int64(len(text)) {
		t.Fatalf("size %d, want %d", size, len(text))
	}
	return key
}

func content(d *blobstore.Dir, key string) (string, error) {
	r, err := d.Open(context.Background(), key)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func wantContent(t *testing.T, d *blobstore.Dir, key, want string) {
	t.Helper()
	if got, err := content(d, key); err != nil || got != want {
		t.Errorf("object %s holds %q (%v), want %q", key, got, err, want)
	}
}

// files returns the files below root other than the lock.
func files(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "lock" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func listed(t *testing.T, d *blobstore.Dir) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := d.List(t.Context(), func(key string, size int64, _ time.Time) error {
		found[key] = size
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCreateKeepsBytesUnderRandomKey(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "data", "blobs")
	d := openDir(t, root, blobstore.Options{})
	big := strings.Repeat("0123456789", blobstore.CopyBuffer/4)
	keys := map[string]string{create(t, d, ""): "", create(t, d, "a"): "a", create(t, d, big): big}
	if len(keys) != 3 {
		t.Fatalf("keys repeat: %v", keys)
	}
	for key, want := range keys {
		wantContent(t, d, key, want)
		info, err := os.Stat(filepath.Join(root, key[:2], key))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 || len(key) != 32 {
			t.Errorf("object %s has mode %v", key, info.Mode())
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := openDir(t, root, blobstore.Options{})
	for key, want := range keys {
		wantContent(t, again, key, want)
	}
	if got := listed(t, again); len(got) != 3 {
		t.Errorf("listed %v, want three objects", got)
	}
}

func TestCreateLimit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root, blobstore.Options{})
	for _, tc := range []struct {
		bytes, limit int64
		err          error
	}{
		{0, 5, nil}, {5, 5, nil}, {6, 5, blobstore.ErrTooLarge}, {6, 0, nil},
		{blobstore.CopyBuffer * 2, blobstore.CopyBuffer*2 - 1, blobstore.ErrTooLarge},
	} {
		before := len(files(t, root))
		_, size, err := d.Create(t.Context(), bytes.NewReader(make([]byte, tc.bytes)), tc.limit)
		if !errors.Is(err, tc.err) || (err == nil && size != tc.bytes) {
			t.Errorf("%d bytes with limit %d: size %d, %v", tc.bytes, tc.limit, size, err)
		}
		if left := len(files(t, root)) - before; (left == 0) != (tc.err != nil) {
			t.Errorf("%d bytes with limit %d: %d files more", tc.bytes, tc.limit, left)
		}
	}
}

// endlessReader ends the context after some reads and never ends itself.
type endlessReader struct {
	reads  int
	cancel func()
}

func (r *endlessReader) Read(p []byte) (int, error) {
	if r.reads--; r.reads == 0 {
		r.cancel()
	}
	return len(p), nil
}

func TestBrokenOffCreateLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, run := range map[string]func(*testing.T, *blobstore.Dir) error{
		"cancelled": func(t *testing.T, d *blobstore.Dir) error {
			ctx, cancel := context.WithCancel(t.Context())
			_, _, err := d.Create(ctx, &endlessReader{3, cancel}, 0)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
			return err
		},
		"cancelled at the end": func(t *testing.T, d *blobstore.Dir) error {
			ctx, cancel := context.WithCancel(t.Context())
			_, _, err := d.Create(ctx, io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) {
				cancel()
				return 0, io.EOF
			})), 0)
			return err
		},
		"reader fails": func(t *testing.T, d *blobstore.Dir) error {
			_, _, err := d.Create(t.Context(), io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), 0)
			if !errors.Is(err, broken) {
				t.Errorf("got %v, want %v", err, broken)
			}
			return err
		},
		"reader panics": func(t *testing.T, d *blobstore.Dir) (err error) {
			defer func() { err, _ = recover().(error) }()
			_, _, _ = d.Create(t.Context(), readerFunc(func([]byte) (int, error) { panic(broken) }), 0)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			d := openDir(t, root, blobstore.Options{})
			if run(t, d) == nil {
				t.Error("no error")
			}
			if left := files(t, root); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			wantContent(t, d, create(t, d, "next"), "next")
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestObjectIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root, blobstore.Options{})
	d.SetRandom(readerFunc(func(p []byte) (int, error) { return len(p), nil }))
	first := create(t, d, "first")
	for _, state := range []string{"pending", "settled"} {
		if _, _, err := d.Create(t.Context(), strings.NewReader("second"), 0); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: got %v, want %v", state, err, fs.ErrExist)
		}
		wantContent(t, d, first, "first")
		if got := files(t, root); len(got) != 1 {
			t.Errorf("%s: files %v, want one", state, got)
		}
		d.Settle(first)
	}
}

func TestOpenHandleOutlivesDelete(t *testing.T) {
	t.Parallel()
	d := openDir(t, t.TempDir(), blobstore.Options{})
	key := create(t, d, "bytes")
	r, err := d.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing and is no error
		if err := d.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "bytes" {
		t.Errorf("open handle reads %q, %v", b, err)
	}
	if _, err := r.Seek(1, io.SeekStart); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "ytes" {
		t.Errorf("open handle reads %q, %v", b, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open after delete: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestListLeavesPendingObjectsOut(t *testing.T) {
	t.Parallel()
	d := openDir(t, t.TempDir(), blobstore.Options{})
	pending, mapped, gone := create(t, d, "pending"), create(t, d, "map"), create(t, d, "gone")
	d.Settle(mapped)
	if err := d.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	got := listed(t, d)
	if len(got) != 1 || got[mapped] != 3 {
		t.Errorf("listed %v, want %s alone and not %s", got, mapped, pending)
	}
	stop := errors.New("stop")
	err := d.List(t.Context(), func(string, int64, time.Time) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the visitor's error", err)
	}
}

func TestTidyRemovesOldTemporaryFilesAlone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root, blobstore.Options{})
	now := time.Now()
	if err := os.Mkdir(filepath.Join(root, "ab"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name string, age time.Duration) string {
		path := filepath.Join(root, "ab", name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := "ab" + strings.Repeat("0", 30)
	old := put(key+".tmp", 2*time.Hour)
	young := put("ab"+strings.Repeat("1", 30)+".tmp", time.Minute)
	object := put(key, 2*time.Hour)
	foreign := put("notes.tmp", 2*time.Hour)

	// A Create under way keeps its file, however old it is.
	var underWay string
	blocked := readerFunc(func([]byte) (int, error) {
		for _, path := range files(t, root) {
			if path != old && path != young && path != foreign && strings.HasSuffix(path, ".tmp") {
				underWay = path
			}
		}
		if err := os.Chtimes(underWay, now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
			return 0, err
		}
		if err := d.Tidy(t.Context(), now.Add(-time.Hour)); err != nil {
			return 0, err
		}
		return 0, io.EOF
	})
	if _, _, err := d.Create(t.Context(), blocked, 0); err != nil {
		t.Errorf("Create during Tidy: %v", err)
	}
	for path, want := range map[string]bool{old: false, young: true, object: true, foreign: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}

func TestFolderIsLocked(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root, blobstore.Options{})
	if _, err := blobstore.OpenDir(root, blobstore.Options{}); !errors.Is(err, blobstore.ErrLocked) {
		t.Errorf("got %v, want %v", err, blobstore.ErrLocked)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	openDir(t, root, blobstore.Options{})
}

func TestBadKeysReachNoFile(t *testing.T) {
	t.Parallel()
	d := openDir(t, t.TempDir(), blobstore.Options{})
	for _, key := range []string{"", "..", "../../../../../../etc/passwd", strings.Repeat("A", 32), strings.Repeat("a", 31) + "/"} {
		if _, err := d.Open(t.Context(), key); !errors.Is(err, blobstore.ErrBadKey) {
			t.Errorf("Open(%q): %v", key, err)
		}
		if err := d.Delete(t.Context(), key); !errors.Is(err, blobstore.ErrBadKey) {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	d := openDir(t, t.TempDir(), blobstore.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				text := strings.Repeat("x", i)
				key := create(t, d, text)
				wantContent(t, d, key, text)
				d.Settle(key)
				if i%2 == 0 {
					if err := d.Delete(t.Context(), key); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if got := listed(t, d); len(got) != 40 {
		t.Errorf("%d objects, want 40", len(got))
	}
}

func TestOpenByURL(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for url, path := range map[string]string{
		"file:./data/one":                  "data/one",
		"file:two":                         "two",
		"file:with%20space":                "with space",
		"file://" + dir + "/three":         dir + "/three",
		"file:" + dir + "/four":            dir + "/four",
		"file://localhost" + dir + "/five": dir + "/five",
	} {
		d, err := blobstore.Open(t.Context(), url, blobstore.Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "file:", "./data", "s3://key:secret@bucket", "file://host/path", "file:x?y=z", "file:x#y", "://secret", "file:%zz"} {
		_, err := blobstore.Open(t.Context(), url, blobstore.Options{})
		if err == nil {
			t.Errorf("%q: no error", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats it: %v", url, err)
		}
	}
}

func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, func(t *testing.T) func() blobstore.Driver {
		root := t.TempDir()
		return func() blobstore.Driver {
			d, err := blobstore.OpenDir(root, blobstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}
