package binding

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/perdure/perdure/internal/problem"
)

// The bounds of bodies where a function sets none, in bytes.
const (
	// DefaultLimit bounds a body that is kept in memory: JSON, bytes, text and
	// forms.
	DefaultLimit = 1 << 20
	// DefaultStreamLimit bounds a streamed body.
	DefaultStreamLimit = 64 << 20
	// formLimit bounds what surrounds a file in a multipart body.
	formLimit = 1 << 20
)

// Request is one event on its way into a function. It may be decoded several
// times, once for each run; what was read of the body is kept for the next one.
type Request struct {
	path     func(name string) string
	metadata map[string]string
	headers  map[string]string // of an event
	source   string            // names an event

	now   time.Time // of the run
	newID string    // made when it is asked for

	http  *http.Request
	w     http.ResponseWriter
	limit int64

	read   bool   // payload is complete
	body   []byte // the body kept in memory
	form   url.Values
	upload *Upload
	stream *stream
}

// NewRequest returns the request that came as r. Limit bounds its body, in bytes;
// 0 stands for the default of what it is read as.
func NewRequest(w http.ResponseWriter, r *http.Request, limit int64) *Request {
	return &Request{path: r.PathValue, http: r, w: w, limit: limit}
}

// NewEvent returns an event that is not an HTTP request: the values of the names
// in the trigger's pattern and of its metadata, and the payload that a body field
// is read from.
func NewEvent(path, metadata map[string]string, payload []byte) *Request {
	return &Request{path: func(name string) string { return path[name] }, metadata: metadata, read: true, body: payload}
}

// From adds what an event came with: its headers, and a name of its own, which is the
// same each time it is handled. The ids that bindings make follow from the name.
func (r *Request) From(source string, headers map[string]string) *Request {
	r.source, r.headers = source, headers
	return r
}

// id returns the id that {new-id} stands for: the same in each run of a request, and for
// an event with a name each time that it is handled.
func (r *Request) id() string {
	switch {
	case r.newID != "":
	case r.source == "":
		r.newID = rand.Text()
	default:
		sum := sha256.Sum256([]byte(r.source))
		r.newID = newIDText.EncodeToString(sum[:16])
	}
	return r.newID
}

// newIDText writes ids as rand.Text does.
var newIDText = base32.StdEncoding.WithPadding(base32.NoPadding)

// limitOr is the request's limit, or what stands for none.
func (r *Request) limitOr(unset int64) int64 {
	if r.limit > 0 {
		return r.limit
	}
	return unset
}

// bounded returns the body, which fails with *http.MaxBytesError after limit
// bytes. A body that says beforehand that it is longer is refused at once.
func (r *Request) bounded(limit int64) (io.Reader, error) {
	if r.http.ContentLength > limit {
		return nil, problem.TooLarge(limit)
	}
	return http.MaxBytesReader(r.w, r.http.Body, limit), nil
}

// bytes reads the body into memory, once.
func (r *Request) bytes() ([]byte, error) {
	if r.read {
		return r.body, nil
	}
	src, err := r.bounded(r.limitOr(DefaultLimit))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(src)
	if err != nil {
		return nil, unreadable(err)
	}
	r.read, r.body = true, body
	return body, nil
}

// unreadable turns a failure of the connection into the caller's fault.
func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem.Error{Status: http.StatusRequestTimeout, Detail: "The body came too slowly.", Cause: err}
	}
	p := problem.Invalid(problem.Fault{In: "body", Detail: "could not be read to its end"})
	p.Cause = err
	return p
}

// mediaType returns the declared media type of the body without parameters, and
// "" when there is none.
func (r *Request) mediaType() (string, error) {
	declared := r.http.Header.Get("Content-Type")
	if declared == "" {
		return "", nil
	}
	t, _, err := mime.ParseMediaType(declared)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return "", unsupported(declared, "a media type")
	}
	return t, nil
}

// unsupported is the answer to a body of a type that cannot be read.
func unsupported(got, want string) error {
	detail := "The body has no Content-Type; send " + want + "."
	if got != "" {
		detail = "Content-Type " + got + " cannot be read here; send " + want + "."
	}
	return problem.New(http.StatusUnsupportedMediaType, detail)
}

const (
	formURLEncoded = "application/x-www-form-urlencoded"
	formMultipart  = "multipart/form-data"
)

// values reads a form into memory, once. Files in it are passed over.
func (r *Request) values() (url.Values, error) {
	if r.form != nil {
		return r.form, nil
	}
	mediaType, err := r.mediaType()
	if err != nil {
		return nil, err
	}
	switch mediaType {
	case formURLEncoded:
		body, err := r.bytes()
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, problem.Invalid(problem.Fault{In: "form", Detail: "is not well-formed"})
		}
		r.form = form
		return form, nil
	case formMultipart:
		parts, err := r.parts(r.limitOr(DefaultLimit))
		if err != nil {
			return nil, err
		}
		form := url.Values{}
		if _, err := fieldsBefore(parts, form, "", r.limitOr(DefaultLimit)); err != nil {
			return nil, err
		}
		r.form = form
		return form, nil
	}
	if r.empty() {
		return url.Values{}, nil
	}
	return nil, unsupported(mediaType, formURLEncoded+" or "+formMultipart)
}

// empty reports whether the request came without a body.
func (r *Request) empty() bool { return r.http.ContentLength == 0 || r.http.Body == http.NoBody }

func (r *Request) parts(limit int64) (*multipart.Reader, error) {
	src, err := r.bounded(limit)
	if err != nil {
		return nil, err
	}
	_, params, err := mime.ParseMediaType(r.http.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return nil, unsupported(formMultipart, formMultipart+" with a boundary")
	}
	return multipart.NewReader(src, params["boundary"]), nil
}

// fieldsBefore collects form fields, of together at most budget bytes, until the
// one named stop, which it returns; nil when there is none.
func fieldsBefore(parts *multipart.Reader, form url.Values, stop string, budget int64) (*multipart.Part, error) {
	left := budget
	for {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // a body cut short is a wrapped io.EOF
			return nil, nil
		}
		if err != nil {
			return nil, unreadable(err)
		}
		name := part.FormName()
		if stop != "" && name == stop {
			return part, nil
		}
		if name == "" || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, left+1))
		if err != nil {
			return nil, unreadable(err)
		}
		if left -= int64(len(value)); left < 0 {
			return nil, problem.TooLarge(budget)
		}
		form[name] = append(form[name], string(value))
	}
}

// file opens the body as an upload, once: the whole body, or the part of a
// multipart form, nil when the form has none. The form's fields before the part
// are kept.
func (r *Request) file(part string) (*Upload, error) {
	if r.read {
		return r.upload, nil
	}
	mediaType, err := r.mediaType()
	if err != nil {
		return nil, err
	}
	limit := r.limitOr(DefaultStreamLimit)
	r.form = url.Values{}
	if mediaType != formMultipart {
		src, err := r.bounded(limit)
		if err != nil {
			return nil, err
		}
		_, params, _ := mime.ParseMediaType(r.http.Header.Get("Content-Disposition"))
		r.stream = &stream{r: incoming{src}}
		r.upload = &Upload{Name: baseName(params["filename"]), DeclaredType: mediaType, Body: r.stream}
		r.read = true
		return r.upload, nil
	}
	if r.http.ContentLength > limit+formLimit {
		return nil, problem.TooLarge(limit)
	}
	parts, err := r.parts(limit + formLimit)
	if err != nil {
		return nil, err
	}
	p, err := fieldsBefore(parts, r.form, part, formLimit)
	if err != nil {
		return nil, err
	}
	r.read = true
	if p != nil {
		r.stream = &stream{r: incoming{&limited{r: p, left: limit, limit: limit}}}
		r.upload = &Upload{Name: baseName(p.FileName()), DeclaredType: p.Header.Get("Content-Type"), Body: r.stream}
	}
	return r.upload, nil
}

// maxFileName bounds the name of an upload, in bytes: what file systems allow.
const maxFileName = 255

// baseName makes of what a sender calls a file a name: text in one line, without the
// folders of any system, and not too long.
func baseName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if len(name) > maxFileName {
		name = strings.ToValidUTF8(name[:maxFileName], "")
	}
	if name == "." || name == ".." {
		return ""
	}
	return name
}

// reader returns the body as a stream, once opened the same one.
func (r *Request) reader() (*stream, error) {
	if r.stream == nil {
		src, err := r.bounded(r.limitOr(DefaultStreamLimit))
		if err != nil {
			return nil, err
		}
		r.stream = &stream{r: incoming{src}}
	}
	return r.stream, nil
}

// rewind makes the request ready for a run; it fails when an earlier run has read
// a body that was not kept.
func (r *Request) rewind() error {
	if r.stream == nil {
		return nil
	}
	return r.stream.rewind()
}

// Outcome is what became of the unit that a request ran in.
type Outcome int

// The outcomes of a unit.
const (
	// Committed: it is durable.
	Committed Outcome = iota
	// Discarded: it is known not to have been committed.
	Discarded
	// Unknown: it may have been committed.
	Unknown
)

// Settle ends the request after its last run. A streamed body cannot be read any
// more, and what was staged of it is removed when no unit has taken it over.
func (r *Request) Settle(o Outcome) {
	if r.stream != nil {
		r.stream.settle(o)
	}
}

// Digest writes what makes the request this one and no other: method, address
// and body. Of a streamed body, which has not been read yet, the declared length
// counts; a multipart body is told apart by its fields before the file alone,
// since each client puts other text between them. It is called after Decode.
func (r *Request) Digest(to hash.Hash) {
	for _, part := range []string{r.http.Method, r.http.URL.RequestURI(), r.http.Header.Get("Content-Encoding")} {
		fmt.Fprintf(to, "%d:%s", len(part), part)
	}
	switch {
	case r.form != nil:
		_, _ = io.WriteString(to, r.form.Encode()) // a hash takes everything
		if mediaType, _ := r.mediaType(); r.stream != nil && mediaType != formMultipart {
			fmt.Fprint(to, r.http.ContentLength)
		}
	case r.stream != nil:
		fmt.Fprint(to, r.http.ContentLength)
	default:
		_, _ = to.Write(r.body)
	}
}
