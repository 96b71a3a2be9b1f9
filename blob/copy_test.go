package blob_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/blob"
)

func (a *app) stat(name string) (info blob.Info) {
	a.t.Helper()
	a.must(func(ctx context.Context) (err error) {
		info, err = files.Stat(ctx, name)
		return err
	})
	return info
}

func TestCopySharesTheBytes(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	archive := blob.Container("archive")
	a.write("a", "hello", blob.ContentType("text/plain"), blob.Metadata{"k": "v"})
	a.now = start.Add(time.Minute)
	a.must(func(ctx context.Context) error {
		info, err := archive.Copy(ctx, "2026/a", files, "a")
		if info.Container != "archive" || info.Size != 5 || info.ContentType != "text/plain" || info.Metadata["k"] != "v" ||
			!info.Created.Equal(a.now) || info.ETag == a.stat("a").ETag {
			t.Errorf("copied: %+v", info)
		}
		_, err2 := files.Copy(ctx, "b", files, "a", blob.ContentType("a/b"), blob.Metadata{})
		return errors.Join(err, err2)
	})
	if b := a.stat("b"); b.ContentType != "a/b" || len(b.Metadata) != 0 {
		t.Errorf("described anew: %+v", b)
	}
	if a.left() != 1 {
		t.Errorf("%d objects, want one", a.left())
	}
	want := []string{"blob/created/files", "blob/created/archive", "blob/created/files"}
	for i, e := range a.events {
		if !strings.HasPrefix(e, want[i]+" ") {
			t.Errorf("event %d is %s", i, e)
		}
	}
	// The bytes stay for as long as one name stands for them.
	for _, name := range []string{"a", "b"} {
		a.must(func(ctx context.Context) error { return files.Delete(ctx, name) })
		a.collect()
	}
	a.must(func(ctx context.Context) error {
		r, err := archive.Open(ctx, "2026/a")
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if string(b) != "hello" {
			t.Errorf("the last copy holds %q", b)
		}
		return errors.Join(err, r.Close(), archive.Delete(ctx, "2026/a"))
	})
	a.collect()
	if a.left() != 0 {
		t.Errorf("%d objects left", a.left())
	}
}

func TestCopyFails(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("a", "hello")
	small := blob.Container("small", blob.MaxSize(4))
	for what, tc := range map[string]struct {
		copy func(ctx context.Context) (blob.Info, error)
		want error
	}{
		"no source": {func(ctx context.Context) (blob.Info, error) { return files.Copy(ctx, "b", files, "none") }, blob.ErrNotFound},
		"bad name":  {func(ctx context.Context) (blob.Info, error) { return files.Copy(ctx, "b", files, "..") }, blob.ErrName},
		"too large": {func(ctx context.Context) (blob.Info, error) { return small.Copy(ctx, "b", files, "a") }, blob.ErrTooLarge},
		"exists": {func(ctx context.Context) (blob.Info, error) {
			return files.Copy(ctx, "a", files, "a", blob.IfAbsent())
		}, blob.ErrExists},
	} {
		err := a.unit(func(ctx context.Context) error { _, err := tc.copy(ctx); return err })
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
	err := a.unit(func(ctx context.Context) error {
		_, err := files.Copy(ctx, "b", files, "a")
		a.must(func(ctx context.Context) error { return files.Delete(ctx, "a") })
		a.collect()
		return err
	})
	if !errors.Is(err, blob.ErrConflict) {
		t.Errorf("source deleted meanwhile: %v, want %v", err, blob.ErrConflict)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("a", "hello", blob.ContentType("text/plain"), blob.Metadata{"k": "v"})
	before := a.stat("a")
	a.now = start.Add(time.Minute)
	update := func(options ...blob.UpdateOption) (info blob.Info, err error) {
		err = a.unit(func(ctx context.Context) error {
			info, err = files.Update(ctx, "a", options...)
			return err
		})
		return info, err
	}
	info, err := update(blob.Metadata{"l": "w"})
	if err != nil || info.ContentType != "text/plain" || !maps.Equal(info.Metadata, map[string]string{"l": "w"}) ||
		info.ETag == before.ETag || !info.Created.Equal(before.Created) {
		t.Errorf("metadata: %+v, %v", info, err)
	}
	if info, err = update(blob.ContentType(""), blob.IfMatch(info.ETag)); err != nil || info.ContentType != "" || info.Metadata["l"] != "w" {
		t.Errorf("content type: %+v, %v", info, err)
	}
	if _, err := update(blob.ContentType("a/b"), blob.IfMatch(before.ETag)); !errors.Is(err, blob.ErrChanged) {
		t.Errorf("old ETag: %v, want %v", err, blob.ErrChanged)
	}
	if _, err := update(blob.ContentType("bad type")); err == nil {
		t.Error("bad type: no error")
	}
	if text, err := a.read("a"); text != "hello" || err != nil || len(a.events) != 1 {
		t.Errorf("holds %q, %v; %d events, want that of the write", text, err, len(a.events))
	}
	err = a.unit(func(ctx context.Context) error { _, err := files.Update(ctx, "none"); return err })
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	write := func(name string, option blob.WriteOption) (info blob.Info, err error) {
		err = a.unit(func(ctx context.Context) error {
			info, err = files.Write(ctx, name, strings.NewReader(name), option)
			return err
		})
		return info, err
	}
	first, err := write("a", blob.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write("a", blob.IfAbsent()); !errors.Is(err, blob.ErrExists) {
		t.Errorf("exists: %v, want %v", err, blob.ErrExists)
	}
	second, err := write("a", blob.IfMatch(first.ETag))
	if err != nil || second.ETag == first.ETag {
		t.Errorf("matches: %+v, %v", second, err)
	}
	for what, do := range map[string]func(ctx context.Context) error{
		"write": func(ctx context.Context) error {
			_, err := files.Write(ctx, "a", strings.NewReader("x"), blob.IfMatch(first.ETag))
			return err
		},
		"write of nothing": func(ctx context.Context) error {
			_, err := files.Write(ctx, "none", strings.NewReader("x"), blob.IfMatch(first.ETag))
			return err
		},
		"copy": func(ctx context.Context) error {
			_, err := files.Copy(ctx, "a", files, "a", blob.IfMatch(first.ETag))
			return err
		},
		"delete": func(ctx context.Context) error { return files.Delete(ctx, "a", blob.IfMatch(first.ETag)) },
	} {
		if err := a.unit(do); !errors.Is(err, blob.ErrChanged) {
			t.Errorf("%s: %v, want %v", what, err, blob.ErrChanged)
		}
	}
	if a.left() != 2 { // the replaced one is not collected yet
		t.Errorf("%d objects: bytes were written in vain", a.left())
	}
	a.must(func(ctx context.Context) error { return files.Delete(ctx, "a", blob.IfMatch(second.ETag)) })
	// What happens after the check is found at the commit.
	err = a.unit(func(ctx context.Context) error {
		_, err := files.Write(ctx, "a", strings.NewReader("loser"), blob.IfAbsent())
		a.write("a", "winner")
		return err
	})
	if !errors.Is(err, blob.ErrConflict) {
		t.Errorf("two writers: %v, want %v", err, blob.ErrConflict)
	}
	err = a.unit(func(ctx context.Context) error {
		_, err1 := files.Write(ctx, "twice", strings.NewReader("x"), blob.IfAbsent())
		_, err2 := files.Write(ctx, "twice", strings.NewReader("x"), blob.IfAbsent())
		return errors.Join(err1, err2)
	})
	if !errors.Is(err, blob.ErrExists) {
		t.Errorf("twice in one unit: %v, want %v", err, blob.ErrExists)
	}
}

func TestOpenRange(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("a", "0123456789")
	a.must(func(ctx context.Context) error {
		for _, tc := range []struct {
			offset, length int64
			want           string
		}{{0, -1, "0123456789"}, {2, 3, "234"}, {8, 5, "89"}, {3, -1, "3456789"}, {10, 1, ""}, {10, -1, ""}, {4, 0, ""}} {
			r, err := files.OpenRange(ctx, "a", tc.offset, tc.length)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(r)
			if string(b) != tc.want || r.Info.Size != 10 {
				t.Errorf("%+v: %q of %+v", tc, b, r.Info)
			}
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
		}
		for _, offset := range []int64{-1, 11} {
			if _, err := files.OpenRange(ctx, "a", offset, 1); !errors.Is(err, blob.ErrRange) {
				t.Errorf("from %d: %v, want %v", offset, err, blob.ErrRange)
			}
		}
		return nil
	})
}

func TestFolders(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, name := range []string{"a", "b/1", "b/2/x", "b/2/y", "b/3", "b0", "c/d/e"} {
		a.write(name, name)
	}
	list := func(options ...blob.ListOption) (names []string) {
		a.must(func(ctx context.Context) error {
			for info, err := range files.List(ctx, append(options, blob.Folders())...) {
				if err != nil {
					return err
				}
				if info.IsFolder() != strings.HasSuffix(info.Name, "/") || info.IsFolder() != (info.ETag == "") || info.Container != "files" {
					t.Errorf("%+v", info)
				}
				names = append(names, info.Name)
			}
			return nil
		})
		return names
	}
	for _, tc := range []struct {
		options []blob.ListOption
		want    []string
	}{
		{nil, []string{"a", "b/", "b0", "c/"}},
		{[]blob.ListOption{blob.Prefix("b/")}, []string{"b/1", "b/2/", "b/3"}},
		{[]blob.ListOption{blob.Prefix("b")}, []string{"b/", "b0"}},
		{[]blob.ListOption{blob.Limit(2)}, []string{"a", "b/"}},
		{[]blob.ListOption{blob.Limit(2), blob.After("b/")}, []string{"b0", "c/"}},
		{[]blob.ListOption{blob.Prefix("b/"), blob.After("b/2/")}, []string{"b/3"}},
		{[]blob.ListOption{blob.Prefix("none/")}, nil},
	} {
		if got := list(tc.options...); !slices.Equal(got, tc.want) {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// A page begins where the one before ended, whatever happens in between.
func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, name := range []string{"a", "c", "e", "g"} {
		a.write(name, name)
	}
	page := func(after string) (names []string) {
		a.must(func(ctx context.Context) error {
			for info, err := range files.List(ctx, blob.After(after), blob.Limit(2)) {
				if err != nil {
					return err
				}
				names = append(names, info.Name)
			}
			return nil
		})
		return names
	}
	if got := page(""); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("first page %q", got)
	}
	a.must(func(ctx context.Context) error { return errors.Join(files.Delete(ctx, "a"), files.Delete(ctx, "c")) })
	a.write("b", "")
	a.write("d", "")
	if got := page("c"); !slices.Equal(got, []string{"d", "e"}) {
		t.Errorf("second page %q", got)
	}
}

func TestEveryDeleteIsADeletion(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("a", "hello", blob.ContentType("text/plain"), blob.Metadata{"k": "v"})
	a.write("a", "hi", blob.Metadata{"k": "v"}) // is not one
	a.now, a.events = start.Add(time.Minute), nil
	a.must(func(ctx context.Context) error { return files.Delete(ctx, "a") })
	want := `blob/deleted/files {"container":"files","name":"a","size":2,"time":"2026-03-01T12:00:00Z","metadata":{"k":"v"},"deleted":"2026-03-01T12:01:00Z"}`
	if !slices.Equal(a.events, []string{want}) {
		t.Errorf("events %q, want %s", a.events, want)
	}
}
