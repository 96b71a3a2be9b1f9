package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.must(func(ctx context.Context) error {
		info, err := files.Write(ctx, "a/b.txt", strings.NewReader("hello"),
			blob.ContentType("text/plain; charset=utf-8"), blob.Metadata{"filename": "ü.txt"})
		if err != nil {
			return err
		}
		if info.ETag == "" || info.Size != 5 {
			t.Errorf("written: %+v", info)
		}
		// The unit reads what it wrote.
		text, err := read(ctx, "a/b.txt")
		if text != "hello" {
			t.Errorf("read %q", text)
		}
		return err
	})
	a.must(func(ctx context.Context) error {
		info, err := files.Stat(ctx, "a/b.txt")
		want := blob.Info{
			Container: "files", Name: "a/b.txt", Size: 5, ContentType: "text/plain; charset=utf-8",
			Created: start, Metadata: map[string]string{"filename": "ü.txt"}, ETag: info.ETag,
		}
		if !reflect.DeepEqual(info, want) {
			t.Errorf("got %+v, want %+v", info, want)
		}
		return err
	})
	text, err := a.read("a/b.txt")
	if err != nil || text != "hello" {
		t.Errorf("read %q, %v", text, err)
	}
	if a.objects() != 1 {
		t.Errorf("%d settled objects, want 1", a.objects())
	}
}

func TestAbsentBlob(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for what, f := range map[string]func(ctx context.Context) error{
		"Open":      func(ctx context.Context) error { _, err := files.Open(ctx, "n"); return err },
		"Stat":      func(ctx context.Context) error { _, err := files.Stat(ctx, "n"); return err },
		"Delete":    func(ctx context.Context) error { return files.Delete(ctx, "n") },
		"SignedURL": func(ctx context.Context) error { _, err := files.SignedURL(ctx, "n"); return err },
	} {
		if err := a.unit(f); !errors.Is(err, blob.ErrNotFound) || !errors.Is(err, resource.ErrNotFound) {
			t.Errorf("%s: %v, want %v", what, err, blob.ErrNotFound)
		}
	}
}

func TestDiscardedUnitLeavesNoBytes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	failed := errors.New("failed")
	err := a.unit(func(ctx context.Context) error {
		if _, err := files.Write(ctx, "n", strings.NewReader("x")); err != nil {
			return err
		}
		if a.left() != 1 {
			t.Errorf("%d objects during the unit, want 1", a.left())
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := a.read("n"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after the discard: %v", err)
	}
	if a.left() != 0 {
		t.Errorf("%d objects left", a.left())
	}
}

func TestConflictingUnitLeavesNoBytes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	err := a.unit(func(ctx context.Context) error {
		_, err := files.Write(ctx, "n", strings.NewReader("loser"))
		a.write("n", "winner")
		return err
	})
	if !errors.Is(err, blob.ErrConflict) {
		t.Errorf("got %v, want %v", err, blob.ErrConflict)
	}
	if text, err := a.read("n"); err != nil || text != "winner" || a.left() != 1 {
		t.Errorf("holds %q, %v, and %d objects", text, err, a.left())
	}
}

// brokenCommitter does not know what became of a commit.
type brokenCommitter struct{ *store.Committer }

func (c brokenCommitter) Commit(ctx context.Context, txn *store.Txn) error {
	return errors.Join(store.ErrOutcomeUnknown, c.Committer.Commit(ctx, txn))
}

func TestUnknownOutcomeKeepsTheBytes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	err := unit.Run(t.Context(), &a.env, brokenCommitter{a.committer}, 1, func(ctx context.Context) error {
		_, err := files.Write(ctx, "n", strings.NewReader("x"))
		return err
	})
	if !errors.Is(err, store.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
	if text, err := a.read("n"); err != nil || text != "x" {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestReadsAreValidated(t *testing.T) {
	t.Parallel()
	for what, readIt := range map[string]func(ctx context.Context, name string) error{
		"Open": func(ctx context.Context, name string) error { _, err := read(ctx, name); return err },
		"Stat": func(ctx context.Context, name string) error { _, err := files.Stat(ctx, name); return err },
		"Open of nothing": func(ctx context.Context, _ string) error {
			_, err := files.Open(ctx, "other")
			if !errors.Is(err, blob.ErrNotFound) {
				return err
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			a.write("n", "old")
			err := a.unit(func(ctx context.Context) error {
				if err := readIt(ctx, "n"); err != nil {
					return err
				}
				a.write("n", "new")
				a.write("other", "new")
				_, err := files.Write(ctx, "mine", strings.NewReader("x"))
				return err
			})
			if !errors.Is(err, blob.ErrConflict) {
				t.Errorf("got %v, want %v", err, blob.ErrConflict)
			}
		})
	}
}

func TestMaxSize(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	small := blob.Container("small", blob.MaxSize(4))
	for _, tc := range []struct {
		bytes   int
		options []blob.WriteOption
		fits    bool
	}{
		{4, nil, true}, {5, nil, false},
		{5, []blob.WriteOption{blob.MaxSize(5)}, true}, {6, []blob.WriteOption{blob.MaxSize(5)}, false},
		{1, []blob.WriteOption{blob.MaxSize(0)}, false},
	} {
		err := a.unit(func(ctx context.Context) error {
			_, err := small.Write(ctx, "n", strings.NewReader(strings.Repeat("x", tc.bytes)), tc.options...)
			return err
		})
		if tc.fits != (err == nil) || !tc.fits && !errors.Is(err, blob.ErrTooLarge) {
			t.Errorf("%d bytes: %v", tc.bytes, err)
		}
	}
	if a.objects() != a.left() {
		t.Errorf("%d objects of %d are left behind", a.left()-a.objects(), a.left())
	}
}

func TestDeletedBlobKeepsOpenReaders(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("n", "hello")
	var r *blob.Reader
	a.must(func(ctx context.Context) (err error) {
		r, err = files.Open(ctx, "n")
		return err
	})
	a.must(func(ctx context.Context) error { return files.Delete(ctx, "n") })
	a.collect()
	if a.left() != 0 {
		t.Errorf("%d objects left", a.left())
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestReaderOfDiscardedUnitIsClosed(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("n", "hello")
	var r *blob.Reader
	failed := errors.New("failed")
	err := a.unit(func(ctx context.Context) (err error) {
		r, err = files.Open(ctx, "n")
		return errors.Join(err, failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read: %v, want %v", err, fs.ErrClosed)
	}
}

func TestOpenOfCollectedOrLostBytes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("n", "old")
	err := a.unit(func(ctx context.Context) error {
		if _, err := files.Stat(ctx, "n"); err != nil { // takes the snapshot
			return err
		}
		a.write("n", "new")
		a.collect()
		_, err := files.Open(ctx, "n")
		return err
	})
	if !errors.Is(err, blob.ErrConflict) {
		t.Errorf("replaced: %v, want %v", err, blob.ErrConflict)
	}
	if err := os.RemoveAll(a.root()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.read("n"); !errors.Is(err, blob.ErrMissing) {
		t.Errorf("lost: %v, want %v", err, blob.ErrMissing)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for i := range 5 {
		a.write(fmt.Sprintf("a/%d", i), "x")
	}
	a.write("b", "xy")
	list := func(options ...blob.ListOption) (names []string) {
		a.must(func(ctx context.Context) error {
			if _, err := files.Write(ctx, "a/2x", strings.NewReader("")); err != nil {
				return err
			}
			for info, err := range files.List(ctx, options...) {
				if err != nil {
					return err
				}
				if again, err := files.Stat(ctx, info.Name); err != nil || again.ETag != info.ETag {
					t.Errorf("listed %+v is %+v, %v", info, again, err)
				}
				names = append(names, info.Name)
			}
			return files.Delete(ctx, "a/2x")
		})
		return names
	}
	for _, tc := range []struct {
		options []blob.ListOption
		want    []string
	}{
		{nil, []string{"a/0", "a/1", "a/2", "a/2x", "a/3", "a/4", "b"}},
		{[]blob.ListOption{blob.Prefix("a/2")}, []string{"a/2", "a/2x"}},
		{[]blob.ListOption{blob.Limit(2)}, []string{"a/0", "a/1"}},
		{[]blob.ListOption{blob.Limit(0)}, nil},
		{[]blob.ListOption{blob.Prefix("a/"), blob.After("a/2"), blob.Limit(2)}, []string{"a/2x", "a/3"}},
		{[]blob.ListOption{blob.After("b")}, nil},
	} {
		if got := list(tc.options...); !slices.Equal(got, tc.want) {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	for _, err := range files.List(t.Context()) {
		if !errors.Is(err, blob.ErrNoUnit) {
			t.Errorf("without a unit: %v", err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, name := range []string{"a", "a/b/c.txt", "ü 漢 %2F?#&;\\", "...", strings.Repeat("n", blob.MaxName)} {
		a.write(name, name)
		if text, err := a.read(name); err != nil || text != name {
			t.Errorf("%q holds %q, %v", name, text, err)
		}
	}
	for _, name := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.", "a\x00b", "a\nb", "a\u0085b", "\xff",
		strings.Repeat("n", blob.MaxName+1),
	} {
		for what, f := range map[string]func(ctx context.Context) error{
			"Write": func(ctx context.Context) error {
				_, err := files.Write(ctx, name, strings.NewReader("x"))
				return err
			},
			"Open":   func(ctx context.Context) error { _, err := files.Open(ctx, name); return err },
			"Delete": func(ctx context.Context) error { return files.Delete(ctx, name) },
		} {
			if err := a.unit(f); !errors.Is(err, blob.ErrName) {
				t.Errorf("%s of %q: %v, want %v", what, name, err, blob.ErrName)
			}
		}
	}
	if a.left() != 5 {
		t.Errorf("%d objects, want 5", a.left())
	}
}

func TestBadDeclarationsAreReported(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"files": true, "a_B-9": true, "": false, "9a": false, "a/b": false, "ü": false, strings.Repeat("a", 65): false,
	} {
		if err := blob.Container(name).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := blob.Container("files", blob.MaxSize(0)).Validate(); err == nil {
		t.Error("MaxSize 0: no error")
	}
}

func TestBadWriteOptions(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for what, o := range map[string]blob.WriteOption{
		"line break":     blob.ContentType("text/plain\r\nX: y"),
		"no type":        blob.ContentType("plain text"),
		"not ASCII":      blob.ContentType("text/plain; a=\"ü\""),
		"long":           blob.ContentType("text/" + strings.Repeat("x", 255)),
		"empty key":      blob.Metadata{"": "x"},
		"not UTF-8":      blob.Metadata{"k": "\xff"},
		"large metadata": blob.Metadata{"k": strings.Repeat("x", blob.MaxMetadata)},
	} {
		err := a.unit(func(ctx context.Context) error {
			_, err := files.Write(ctx, "n", iotest.ErrReader(errors.New("read")), o)
			return err
		})
		if err == nil || strings.Contains(err.Error(), ": read") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestContextsWithoutUnit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	var ended context.Context
	a.must(func(ctx context.Context) error { ended = ctx; return nil })
	for ctx, want := range map[context.Context]error{t.Context(): blob.ErrNoUnit, ended: blob.ErrUnitClosed} {
		_, writeErr := files.Write(ctx, "n", strings.NewReader("x"))
		_, openErr := files.Open(ctx, "n")
		for _, err := range []error{writeErr, openErr, files.Delete(ctx, "n")} {
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	}
	// A unit that ends while bytes are on their way.
	err := a.unit(func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		_, err = files.Write(ctx, "n", io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) {
			u.Discarded()
			return 0, io.EOF
		})))
		return err
	})
	if !errors.Is(err, blob.ErrUnitClosed) || a.left() != 0 {
		t.Errorf("ended during Write: %v, %d objects left", err, a.left())
	}
	a.env.Blobs = nil
	err = a.unit(func(ctx context.Context) error {
		_, err := files.Write(ctx, "n", strings.NewReader("x"))
		return err
	})
	if !errors.Is(err, blob.ErrNoStore) {
		t.Errorf("got %v, want %v", err, blob.ErrNoStore)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestEveryWriteIsAnEvent(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("a/b", "hello", blob.ContentType("text/plain"))
	a.write("n", "")
	want := []string{
		`blob/created/files {"container":"files","name":"a/b","size":5,"contentType":"text/plain","time":"2026-03-01T12:00:00Z"}`,
		`blob/created/files {"container":"files","name":"n","size":0,"time":"2026-03-01T12:00:00Z"}`,
	}
	if !slices.Equal(a.events, want) {
		t.Errorf("events %q, want %q", a.events, want)
	}
	if topic := blob.Topic(files.ResourceName()); !strings.HasPrefix(want[0], topic+" ") {
		t.Errorf("topic %q", topic)
	}
	unpublished := errors.New("unpublished")
	a.env.Publish = func(*unit.Unit, string, []byte) error { return unpublished }
	err := a.unit(func(ctx context.Context) error {
		_, err := files.Write(ctx, "m", strings.NewReader("x"))
		return err
	})
	if !errors.Is(err, unpublished) {
		t.Errorf("got %v", err)
	}
}

func TestLinkExpiry(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("n", "x")
	for _, tc := range []struct {
		now     time.Duration // after start
		options []blob.LinkOption
		want    time.Duration
	}{
		{0, nil, time.Hour},
		{0, []blob.LinkOption{blob.Expires(time.Second)}, time.Second},
		// Never shorter than asked for, and whole seconds.
		{time.Nanosecond, []blob.LinkOption{blob.Expires(time.Hour)}, time.Hour + time.Second},
		{0, []blob.LinkOption{blob.Expires(time.Second - 1)}, 0},
		{0, []blob.LinkOption{blob.Expires(blob.MaxExpiry + 1)}, 0},
	} {
		a.now = start.Add(tc.now)
		var link blob.Link
		err := a.unit(func(ctx context.Context) (err error) {
			link, err = files.SignedURL(ctx, "n", tc.options...)
			return err
		})
		if (tc.want == 0) != (err != nil) || err == nil && !link.Expires.Equal(start.Add(tc.want)) {
			t.Errorf("%+v: expires %v, %v", tc, link.Expires, err)
		}
	}
	a.env.Blobs = a.dir // cannot sign
	err := a.unit(func(ctx context.Context) error { _, err := files.SignedURL(ctx, "n"); return err })
	if !errors.Is(err, blob.ErrNoLinks) {
		t.Errorf("got %v, want %v", err, blob.ErrNoLinks)
	}
}
