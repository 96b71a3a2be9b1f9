package binding

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/suggest"
	"github.com/perdure/perdure/internal/unit"
)

// Decode reads the request into a new In and returns the pointer to it. Fields
// bound to resources are left to Load. What is wrong with the request is a
// *problem.Error; a conflict that cannot be repeated because the body was
// streamed into an earlier run is one too.
func (in *Input) Decode(ctx context.Context, r *Request) (reflect.Value, error) {
	r.now = unit.Now(ctx).UTC()
	ptr := reflect.New(in.typ)
	v := ptr.Elem()
	for _, f := range in.injected {
		value, err := f.fill(ctx, r.http)
		if err != nil {
			return reflect.Value{}, err
		}
		v.FieldByIndex(f.index).Set(value)
	}
	if err := r.rewind(); err != nil {
		return reflect.Value{}, err
	}
	if in.Body != nil && in.Body.Kind == File { // first: it brings the form fields
		if err := in.decodeFile(r, v); err != nil {
			return reflect.Value{}, err
		}
	}
	if err := in.decodeParams(r, v); err != nil {
		return reflect.Value{}, err
	}
	if in.Body != nil && in.Body.Kind != File {
		if err := in.decodeBody(r, v); err != nil {
			return reflect.Value{}, err
		}
	}
	return ptr, nil
}

func (in *Input) decodeParams(r *Request, v reflect.Value) error {
	var (
		faults []problem.Fault
		src    paramSource
	)
	for i := range in.Params {
		p := &in.Params[i]
		texts, err := src.texts(r, p)
		if err != nil {
			return err
		}
		if err := p.set(v.FieldByIndex(p.index), texts); err != nil {
			faults = append(faults, problem.Fault{In: p.In, Name: p.Name, Detail: err.Error()})
		}
	}
	if faults != nil {
		return problem.Invalid(faults...)
	}
	return nil
}

// paramSource finds the text of parameters; it parses the query once.
type paramSource struct{ query url.Values }

func (s *paramSource) texts(r *Request, p *Param) ([]string, error) {
	switch p.In {
	case "path":
		return []string{r.path(p.Name)}, nil
	case "query":
		if s.query == nil {
			q, err := url.ParseQuery(r.http.URL.RawQuery)
			if err != nil {
				return nil, problem.Invalid(problem.Fault{In: "query", Detail: "is not well-formed"})
			}
			s.query = q
		}
		return s.query[p.Name], nil
	case "header":
		return r.headerTexts(p), nil
	case "cookie":
		c, err := r.http.Cookie(p.Name)
		if err != nil {
			return nil, nil
		}
		return []string{c.Value}, nil
	default:
		form, err := r.values()
		return form[p.Name], err
	}
}

// headerLines returns the lines of a header, in any case of its name.
func (r *Request) headerLines(name string) []string {
	if r.http != nil {
		if strings.EqualFold(name, "Host") { // net/http keeps it apart
			return []string{r.http.Host}
		}
		return r.http.Header.Values(name)
	}
	for header, value := range r.headers {
		if strings.EqualFold(header, name) {
			return []string{value}
		}
	}
	return nil
}

// headerTexts returns the values of a header; a list may also be written with
// commas (RFC 9110, section 5.6.1).
func (r *Request) headerTexts(p *Param) []string {
	texts := r.headerLines(p.Name)
	if !p.List {
		return texts
	}
	var list []string
	for _, text := range texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

// set fills a field from the texts of its parameter. An empty text counts as an
// absent one, as browsers send it for a field left empty.
func (p *Param) set(field reflect.Value, texts []string) error {
	if p.List {
		if len(texts) == 0 && p.Required {
			return errors.New("is needed")
		}
		list := reflect.MakeSlice(field.Type(), len(texts), len(texts))
		for i, text := range texts {
			if err := p.codec.parse(text, list.Index(i)); err != nil {
				return err
			}
		}
		if len(texts) > 0 {
			field.Set(list)
		}
		return nil
	}
	if len(texts) > 1 {
		return errors.New("is given more than once")
	}
	text := ""
	if len(texts) == 1 {
		text = texts[0]
	}
	switch {
	case text != "":
	case p.Required:
		return errors.New("is needed")
	case p.Default != "":
		text = p.Default
	case p.pointer && len(texts) == 1 && p.Type.Kind() == reflect.String:
		// a pointer to a string tells empty from absent
	default:
		return nil
	}
	if p.pointer {
		field.Set(reflect.New(p.Type))
		field = field.Elem()
	}
	return p.codec.parse(text, field)
}

var errBodyNeeded = problem.Fault{In: "body", Detail: "is needed"}

func (in *Input) decodeFile(r *Request, v reflect.Value) error {
	upload, err := r.file(in.Body.Part)
	if err != nil {
		return err
	}
	switch {
	case upload == nil && !in.Body.Optional:
		return problem.Invalid(problem.Fault{In: "form", Name: in.Body.Part, Detail: "is needed: the file"})
	case upload == nil, in.Body.Optional && r.empty():
		return nil
	}
	file := reflect.ValueOf(upload)
	if !in.Body.pointer {
		file = file.Elem()
	}
	fieldAt(v, in.Body.index).Set(file)
	return nil
}

func (in *Input) decodeBody(r *Request, v reflect.Value) error {
	b := in.Body
	field := fieldAt(v, b.index)
	if b.Kind == Stream {
		if err := r.accepts(b); err != nil {
			return err
		}
		s, err := r.reader()
		if err != nil {
			return err
		}
		field.Set(reflect.ValueOf(s))
		return nil
	}
	body, err := r.bytes()
	if err != nil {
		return err
	}
	if len(body) == 0 && (b.Kind == JSON || b.pointer) {
		if b.Optional {
			return nil
		}
		return problem.Invalid(errBodyNeeded)
	}
	if err := r.accepts(b); err != nil {
		return err
	}
	if b.pointer {
		field.Set(reflect.New(b.Type))
		field = field.Elem()
	}
	switch b.Kind {
	case Bytes:
		field.SetBytes(body)
	case Text:
		field.SetString(string(body))
	default:
		return decodeJSON(body, field, b.Strict)
	}
	return nil
}

// accepts checks the declared media type. JSON must say so: a page of another
// site can make a browser send a text without asking, but not this type.
func (r *Request) accepts(b *Body) error {
	if r.http == nil || b.Kind != JSON && b.MediaType == "" {
		return nil
	}
	got, err := r.mediaType()
	if err != nil {
		return err
	}
	want := b.MediaType
	if b.Kind == JSON {
		if got == "application/json" || strings.HasPrefix(got, "application/") && strings.HasSuffix(got, "+json") {
			return nil
		}
		want = "application/json"
	}
	if matches(got, want) {
		return nil
	}
	return unsupported(got, want)
}

// matches compares a media type with a wanted one, which may end in "/*" and may
// have parameters.
func matches(got, want string) bool {
	if t, _, err := mime.ParseMediaType(want); err == nil {
		want = t
	}
	if major, ok := strings.CutSuffix(want, "/*"); ok {
		return strings.HasPrefix(got, major+"/")
	}
	return got == want
}

// decodeJSON reads one JSON value. Unknown members are ignored, so that a newer
// client can speak to an older function, unless the body is strict.
func decodeJSON(body []byte, into reflect.Value, strict bool) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(into.Addr().Interface()); err != nil {
		if name, unknown := unknownMember(err); unknown {
			return problem.Invalid(problem.Fault{In: "body", Name: name, Detail: "is not known" + didYouMean(name, into.Type())})
		}
		return jsonFault(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return problem.Invalid(problem.Fault{In: "body", Detail: "has more than one JSON value"})
	}
	return nil
}

// unknownMember tells the error of encoding/json about a member that the type does not
// have, which has no type of its own.
func unknownMember(err error) (name string, ok bool) {
	quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field ")
	if !ok {
		return "", false
	}
	name, err = strconv.Unquote(quoted)
	return name, err == nil
}

// didYouMean names the member of t that was probably meant.
func didYouMean(name string, t reflect.Type) string {
	if t = deref(t); t.Kind() != reflect.Struct {
		return ""
	}
	if known, ok := suggest.Nearest(name, memberNames(t)); ok {
		return fmt.Sprintf("; did you mean %q?", known)
	}
	return ""
}

// jsonFault says what is wrong with a JSON body, without the names of Go types.
func jsonFault(err error) error {
	var (
		syntax *json.SyntaxError
		typ    *json.UnmarshalTypeError
		own    *problem.Error
		fault  = problem.Fault{In: "body"}
	)
	switch {
	case errors.As(err, &own): // an UnmarshalJSON method chose its answer
		return err
	case errors.As(err, &syntax):
		fault.Detail = fmt.Sprintf("is not well-formed JSON at byte %d", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		fault.Detail = "is JSON cut short"
	case errors.As(err, &typ):
		fault.Name = typ.Field
		fault.Detail = fmt.Sprintf("must be %s, not %s", jsonNoun(typ.Type), typ.Value)
	default:
		fault.Detail = err.Error()
	}
	p := problem.Invalid(fault)
	p.Cause = err
	return p
}

// jsonNoun is what a JSON value for t is called.
func jsonNoun(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "an integer in range"
}
