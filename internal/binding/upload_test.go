package binding_test

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/binding"
)

type uploadIn struct {
	Note string          `form:"note"`
	File *binding.Upload `body:"photo"`
}

func compile[In any](t *testing.T) *binding.Input {
	t.Helper()
	plan, err := binding.CompileInput(reflect.TypeFor[In](), post(), newFixture().env)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func readUpload(t *testing.T, r *http.Request, limit int64) (in *uploadIn, body string, err error) {
	t.Helper()
	v, err := compile[uploadIn](t).Decode(t.Context(), binding.NewRequest(httptest.NewRecorder(), r, limit))
	if err != nil {
		return nil, "", err
	}
	in = v.Interface().(*uploadIn)
	b, err := io.ReadAll(in.File.Body)
	return in, string(b), err
}

func TestUpload(t *testing.T) {
	t.Parallel()
	in, body, err := readUpload(t, multipartRequest(t, "note", "n", "@photo", "bytes"), 0)
	if err != nil || body != "bytes" || in.Note != "n" || in.File.Name != "cat.png" || in.File.DeclaredType != "application/octet-stream" {
		t.Errorf("multipart: got %+v, %q, %v", in, body, err)
	}
	r := newRequest("POST", "/", "image/png; x=y", "bytes")
	r.Header.Set("Content-Disposition", `attachment; filename="../../etc/cat.png"`)
	in, body, err = readUpload(t, r, 0)
	if err != nil || body != "bytes" || in.File.Name != "cat.png" || in.File.DeclaredType != "image/png" {
		t.Errorf("raw: got %+v, %q, %v", in, body, err)
	}
	_, body, err = readUpload(t, newRequest("POST", "/", "", ""), 0)
	if err != nil || body != "" {
		t.Errorf("empty: got %q, %v", body, err)
	}
	_, _, err = readUpload(t, multipartRequest(t, "note", "n"), 0)
	wantProblem(t, err, 400, `form "photo": is needed: the file`)
	_, _, err = readUpload(t, multipartRequest(t, "note", strings.Repeat("x", 1<<20+1), "@photo", "b"), 0)
	wantProblem(t, err, 413, "1 MiB")
}

// A file of the limit's size fits, raw and in a form; one byte more does not,
// whether or not the request says its length.
func TestUploadLimit(t *testing.T) {
	t.Parallel()
	const limit = 4096
	for name, request := range map[string]func(body string) *http.Request{
		"raw":       func(body string) *http.Request { return newRequest("POST", "/", "", body) },
		"multipart": func(body string) *http.Request { return multipartRequest(t, "@photo", body) },
	} {
		for _, declared := range []bool{true, false} {
			send := func(n int) error {
				r := request(strings.Repeat("x", n))
				if !declared {
					r.ContentLength = -1
				}
				_, body, err := readUpload(t, r, limit)
				if err == nil && len(body) != n {
					t.Errorf("%s: read %d bytes of %d", name, len(body), n)
				}
				return err
			}
			if err := send(limit); err != nil {
				t.Errorf("%s of the limit: %v", name, err)
			}
			wantProblem(t, send(limit+1), 413, "The body may have at most 4 KiB.")
		}
	}
}

// A request that says that it is too long is refused before the function runs.
func TestDeclaredLength(t *testing.T) {
	t.Parallel()
	r := newRequest("POST", "/", "", "12345")
	_, err := compile[uploadIn](t).Decode(t.Context(), binding.NewRequest(httptest.NewRecorder(), r, 4))
	wantProblem(t, err, 413, "4 bytes")
}

// That an upload breaks off is no failure of the server.
func TestUploadCutShort(t *testing.T) {
	t.Parallel()
	whole := multipartRequest(t, "@photo", "bytes")
	body, err := io.ReadAll(whole.Body)
	if err != nil {
		t.Fatal(err)
	}
	end := strings.Index(string(body), "bytes") + len("byt")
	for name, r := range map[string]*http.Request{
		"multipart": newRequest("POST", "/", whole.Header.Get("Content-Type"), string(body[:end])),
		"raw":       httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("byt"), iotest.ErrReader(io.ErrUnexpectedEOF))),
	} {
		_, got, err := readUpload(t, r, 0)
		if got != "byt" {
			t.Errorf("%s: got %q", name, got)
		}
		wantProblem(t, err, 400, "could not be read to its end")
	}
}

// The file is not read before the function reads it.
func TestUploadIsStreamed(t *testing.T) {
	t.Parallel()
	pr, pw := io.Pipe()
	r := httptest.NewRequest("POST", "/", pr)
	v, err := compile[uploadIn](t).Decode(t.Context(), binding.NewRequest(httptest.NewRecorder(), r, 0))
	if err != nil {
		t.Fatal(err)
	}
	go func() { // nobody has written a byte so far
		_, _ = io.WriteString(pw, "late")
		_ = pw.Close()
	}()
	body, err := io.ReadAll(v.Interface().(*uploadIn).File.Body)
	if err != nil || string(body) != "late" {
		t.Errorf("got %q, %v", body, err)
	}
}

// stager is how a blob container sees the body.
type stager interface {
	Stage(create func(io.Reader) (string, int64, error), remove func(string)) (string, int64, error)
}

// objects counts what a blob store would hold.
type objects map[string]string

func (o objects) create(r io.Reader) (string, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	o["k"] += string(b)
	return "k", int64(len(b)), nil
}

func (o objects) remove(key string) { delete(o, key) }

func TestBodyReadByHandIsNotReadAgain(t *testing.T) {
	t.Parallel()
	plan := compile[uploadIn](t)
	req := binding.NewRequest(httptest.NewRecorder(), newRequest("POST", "/", "", "bytes"), 0)
	again := func() (io.Reader, error) {
		v, err := plan.Decode(t.Context(), req)
		if err != nil {
			return nil, err
		}
		return v.Interface().(*uploadIn).File.Body, nil
	}
	if _, err := again(); err != nil {
		t.Fatal(err)
	}
	body, err := again() // nothing was read so far
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, err = again()
	wantProblem(t, err, 503, "send it again")
}

func TestStagedBody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		runs    []bool // whether the run stages the body
		outcome binding.Outcome
		kept    bool
	}{
		"committed":            {[]bool{true}, binding.Committed, true},
		"committed on re-run":  {[]bool{true, true}, binding.Committed, true},
		"not used on re-run":   {[]bool{true, false}, binding.Committed, false},
		"discarded":            {[]bool{true}, binding.Discarded, false},
		"discarded, unused":    {[]bool{true, false}, binding.Discarded, false},
		"nobody knows":         {[]bool{true}, binding.Unknown, true},
		"unused, nobody knows": {[]bool{true, false}, binding.Unknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, store := compile[uploadIn](t), objects{}
			req := binding.NewRequest(httptest.NewRecorder(), multipartRequest(t, "@photo", "bytes"), 0)
			var body io.Reader
			for _, stage := range tt.runs {
				v, err := plan.Decode(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				body = v.Interface().(*uploadIn).File.Body
				if !stage {
					continue
				}
				key, size, err := body.(stager).Stage(store.create, store.remove)
				if err != nil || key != "k" || size != 5 || store["k"] != "bytes" {
					t.Fatalf("got %q, %d, %v, object %q", key, size, err, store["k"])
				}
			}
			req.Settle(tt.outcome)
			if _, kept := store["k"]; kept != tt.kept {
				t.Errorf("object kept: %v, want %v", kept, tt.kept)
			}
			if _, err := body.Read(make([]byte, 1)); err == nil {
				t.Error("the body can be read after the request")
			}
		})
	}
}

// A body of which a part was read by hand and the rest staged cannot be had again.
func TestBodyReadThenStaged(t *testing.T) {
	t.Parallel()
	plan, store := compile[uploadIn](t), objects{}
	req := binding.NewRequest(httptest.NewRecorder(), newRequest("POST", "/", "", "bytes"), 0)
	v, err := plan.Decode(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	body := v.Interface().(*uploadIn).File.Body
	if _, err := body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := body.(stager).Stage(store.create, store.remove); err != nil {
		t.Fatal(err)
	}
	_, err = plan.Decode(t.Context(), req)
	wantProblem(t, err, 503, "send it again")
}

func TestFailedStaging(t *testing.T) {
	t.Parallel()
	plan := compile[uploadIn](t)
	req := binding.NewRequest(httptest.NewRecorder(), newRequest("POST", "/", "", "bytes"), 0)
	v, err := plan.Decode(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	_, _, err = v.Interface().(*uploadIn).File.Body.(stager).Stage(func(io.Reader) (string, int64, error) { return "", 0, full }, nil)
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	req.Settle(binding.Discarded)
	_, err = plan.Decode(t.Context(), req)
	wantProblem(t, err, 503, "send it again")
}

// The name of a file is text in one line that names no folder.
func FuzzUploadName(f *testing.F) {
	for _, name := range []string{"cat.png", "../../etc/passwd", `C:\cat.png`, "..", ".\x00.", "a\r\nb", "\xff", strings.Repeat("ü", 200)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r := newRequest("POST", "/", "", "bytes")
		r.Header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
		in, err := decode[struct {
			File binding.Upload `body:""`
		}](t, newFixture(), post(), r)
		if err != nil {
			t.Fatal(err)
		}
		got := in.File.Name
		if len(got) > 255 || !utf8.ValidString(got) || got == "." || got == ".." || strings.ContainsAny(got, "/\\") || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", name, got)
		}
		if utf8.ValidString(name) && len(name) < 50 && !strings.ContainsAny(name, "/\\") && !strings.ContainsFunc(name, unicode.IsControl) && name != "." && name != ".." && got != name {
			t.Errorf("%q became %q", name, got)
		}
	})
}
