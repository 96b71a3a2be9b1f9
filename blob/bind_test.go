package blob_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/blob"
)

// bindIn fills a field of type T with a blob.
func bindIn[T any](ctx context.Context, key string) (value T, err error) {
	input, err := files.BindInput(reflect.TypeFor[T]())
	if err != nil {
		return value, err
	}
	v, err := input(ctx, key)
	if err == nil {
		reflect.ValueOf(&value).Elem().Set(v)
	}
	return value, err
}

// bindOut writes a field of type T.
func bindOut[T any](ctx context.Context, key string, value T) error {
	output, err := files.BindOutput(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	return output(ctx, key, reflect.ValueOf(&value).Elem())
}

func TestBindInput(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.write("a/b c", "hello")
	a.must(func(ctx context.Context) error {
		b, err1 := bindIn[[]byte](ctx, "a/b%20c")
		s, err2 := bindIn[string](ctx, "a%2Fb%20c") // a value with a "/" in it
		info, err3 := bindIn[blob.Info](ctx, "a/b c")
		if string(b) != "hello" || s != "hello" || info.Size != 5 {
			t.Errorf("got %q, %q, %+v", b, s, info)
		}
		reader, err4 := bindIn[*blob.Reader](ctx, "a/b c")
		plain, err5 := bindIn[io.Reader](ctx, "a/b c")
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return err
		}
		for _, r := range []io.Reader{reader, plain} {
			if b, err := io.ReadAll(r); err != nil || string(b) != "hello" {
				t.Errorf("reader gives %q, %v", b, err)
			}
			if err := r.(io.Closer).Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := bindIn[string](ctx, "none"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("absent: %v", err)
		}
		if _, err := bindIn[string](ctx, "%2E%2E%2Fx"); !errors.Is(err, blob.ErrName) || !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("bad name: %v", err)
		}
		if _, err := bindIn[string](ctx, "50%"); !errors.Is(err, blob.ErrName) {
			t.Errorf("bad escape: %v", err)
		}
		if _, err := bindIn[int](ctx, "n"); err == nil || !strings.Contains(err.Error(), "[]byte") {
			t.Errorf("bad type: %v", err)
		}
		return nil
	})
}

func TestBindOutput(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	upload := blob.Upload{Body: strings.NewReader("upload"), ContentType: "a/b", Metadata: map[string]string{"k": "v"}}
	pointed := upload
	pointed.Body = strings.NewReader("pointer")
	a.must(func(ctx context.Context) error {
		return errors.Join(
			bindOut(ctx, "bytes", []byte("bytes")),
			bindOut(ctx, "string", "string"),
			bindOut(ctx, "empty", ""),
			bindOut[io.Reader](ctx, "reader", strings.NewReader("reader")),
			bindOut(ctx, "up%2Fload", upload),
			bindOut(ctx, "pointer", &pointed),
			bindOut[[]byte](ctx, "nil1", nil),
			bindOut[io.Reader](ctx, "nil2", nil),
			bindOut[*blob.Upload](ctx, "nil3", nil),
		)
	})
	for name, want := range map[string]string{
		"bytes": "bytes", "string": "string", "empty": "", "reader": "reader", "up/load": "upload", "pointer": "pointer",
	} {
		if got, err := a.read(name); err != nil || got != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"nil1", "nil2", "nil3"} {
		if _, err := a.read(name); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.must(func(ctx context.Context) error {
		info, err := files.Stat(ctx, "up/load")
		if info.ContentType != "a/b" || info.Metadata["k"] != "v" {
			t.Errorf("got %+v", info)
		}
		return err
	})
	if err := a.unit(func(ctx context.Context) error { return bindOut(ctx, "n", 1) }); err == nil {
		t.Error("bad type: no error")
	}
}

// body is a request's body that a conflict does not use up.
type body struct {
	io.Reader
	object  string
	size    int64
	created int
}

func (b *body) Stage(create func(io.Reader) (string, int64, error), _ func(string)) (_ string, _ int64, err error) {
	if b.object == "" {
		b.created++
		b.object, b.size, err = create(b.Reader)
	}
	return b.object, b.size, err
}

func TestStagedBodySurvivesConflict(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := &body{Reader: strings.NewReader("staged")}
	write := func(conflict bool) error {
		return a.unit(func(ctx context.Context) error {
			err := bindOut[io.Reader](ctx, "n", b)
			if conflict {
				a.write("n", "other")
			}
			return err
		})
	}
	if err := write(true); !errors.Is(err, blob.ErrConflict) {
		t.Fatalf("got %v, want %v", err, blob.ErrConflict)
	}
	if err := write(false); err != nil {
		t.Fatal(err)
	}
	if text, err := a.read("n"); err != nil || text != "staged" || b.created != 1 {
		t.Errorf("holds %q, %v; bytes were written %d times", text, err, b.created)
	}
	if err := a.unit(func(ctx context.Context) error { return bindOut[io.Reader](ctx, "second", b) }); !errors.Is(err, blob.ErrWritten) {
		t.Errorf("second name: %v, want %v", err, blob.ErrWritten)
	}
}

func TestBindCollection(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, name := range []string{"a b/1", "a b/2", "c"} {
		a.write(name, name)
	}
	list, err := files.BindCollection(reflect.TypeFor[[]blob.Info]())
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]string{"": "a b/1 a b/2 c", "a%20b/": "a b/1 a b/2", "x": ""} {
		a.must(func(ctx context.Context) error {
			v, err := list(ctx, prefix, 10)
			if err != nil {
				return err
			}
			var names []string
			for _, info := range v.Interface().([]blob.Info) {
				names = append(names, info.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%q: %q, want %q", prefix, got, want)
			}
			return nil
		})
	}
	a.must(func(ctx context.Context) error {
		v, err := list(ctx, "", 2)
		if err == nil && v.Len() != 2 {
			t.Errorf("%d blobs, want the first 2", v.Len())
		}
		if _, err := list(ctx, "%zz", 2); !errors.Is(err, blob.ErrName) {
			t.Errorf("bad prefix: %v", err)
		}
		return err
	})
	if _, err := files.BindCollection(reflect.TypeFor[[]string]()); err == nil || !strings.Contains(err.Error(), "[]blob.Info, not []string") {
		t.Errorf("got %v", err)
	}
}

// page is kept as JSON.
type page struct {
	Title string            `json:"title"`
	Links map[string]string `json:"links,omitempty"`
}

func TestBindJSON(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	want := page{Title: "one", Links: map[string]string{"a": "b"}}
	a.must(func(ctx context.Context) error {
		return errors.Join(
			bindOut(ctx, "struct", want),
			bindOut(ctx, "pointer", &want),
			bindOut(ctx, "slice", []page{want}),
			bindOut(ctx, "map", want.Links),
			bindOut[*page](ctx, "nil", nil),
		)
	})
	a.must(func(ctx context.Context) error {
		one, err1 := bindIn[page](ctx, "struct")
		two, err2 := bindIn[*page](ctx, "pointer")
		three, err3 := bindIn[[]page](ctx, "slice")
		links, err4 := bindIn[map[string]string](ctx, "map")
		info, err5 := files.Stat(ctx, "struct")
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return err
		}
		if !reflect.DeepEqual(one, want) || !reflect.DeepEqual(*two, want) || !reflect.DeepEqual(three, []page{want}) || links["a"] != "b" {
			t.Errorf("got %v, %v, %v, %v", one, two, three, links)
		}
		if info.ContentType != "application/json" {
			t.Errorf("content type %q", info.ContentType)
		}
		if _, err := bindIn[page](ctx, "nil"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a nil pointer was written: %v", err)
		}
		return nil
	})
	a.write("text", "no JSON")
	a.must(func(ctx context.Context) error {
		if _, err := bindIn[page](ctx, "text"); err == nil || !strings.Contains(err.Error(), "want JSON") {
			t.Errorf("text as JSON: %v", err)
		}
		if _, err := files.BindInput(reflect.TypeFor[blob.Reader]()); err == nil {
			t.Error("a blob.Reader itself is taken for JSON")
		}
		if _, err := bindIn[struct{ C chan int }](ctx, "text"); err == nil || !strings.Contains(err.Error(), "cannot be JSON") {
			t.Errorf("a channel: %v", err)
		}
		return nil
	})
}
