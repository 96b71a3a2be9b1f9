package binding

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/perdure/perdure/internal/suggest"
)

// Input is the compiled plan that fills a function's In.
type Input struct {
	// Params are the parameters read from path, query, header, cookie and form.
	Params []Param
	// Body is what the request's body is read as; nil when it is not read.
	Body *Body

	typ      reflect.Type
	trigger  Trigger
	injected []injectedField
	secrets  []secretField
	bound    []*boundField
	binds    []*inputBind // in the order in which they are loaded
}

// Param is a field that is filled from one parameter of the request.
type Param struct {
	// In is "path", "query", "header", "cookie" or "form".
	In string
	// Name is the parameter's.
	Name string
	// Type is the type of the value; of one value when List is set.
	Type reflect.Type
	// List says that the field is a slice.
	List bool
	// Required says that a request without the parameter is refused.
	Required bool
	// Default, unless empty, is the value of an absent parameter.
	Default string
	// Doc is the field's doc tag.
	Doc string

	index   []int
	pointer bool
	codec   textCodec
}

type injectedField struct {
	name  string
	typ   reflect.Type
	index []int
	fill  Injector
}

// CompileInput makes the plan that fills values of type t. The error joins all
// that is wrong.
func CompileInput(t reflect.Type, trig Trigger, env Env) (*Input, error) {
	in := &Input{typ: t, trigger: trig}
	fields, err := structFields(trig, t, inputTags)
	if err != nil {
		return nil, err
	}
	isInjected := func(f field) bool { return f.kind == "" && env.Injectors[f.typ] != nil }
	if t.Kind() != reflect.Struct || t == uploadType.Elem() || len(fields) > 0 && !bound(fields) && !slices.ContainsFunc(fields, isInjected) {
		return in, in.addBody(field{typ: t, kind: "body", index: nil})
	}
	var errs []error
	for _, f := range fields {
		switch f.kind {
		case "":
			fill := env.Injectors[f.typ]
			if fill == nil {
				err = trig.fail(f.name, `has no tag; give it one of %s, or bind:"-" to leave it alone`, strings.Join(inputTags, ", "))
				break
			}
			in.injected = append(in.injected, injectedField{f.name, f.typ, f.index, fill})
		case "body":
			err = in.addBody(f)
		case "bind": // once all parameters are known
		default:
			err = in.addParam(f)
		}
		errs, err = append(errs, err), nil
	}
	for _, f := range fields {
		if f.kind != "bind" || f.tag == skipped {
			continue
		}
		if secret, err := in.addSecret(f, env); secret || err != nil {
			errs = append(errs, err)
			continue
		}
		in.bound = append(in.bound, &boundField{field: f})
	}
	for _, f := range in.bound {
		errs = append(errs, in.addBind(f, env))
	}
	if err := errors.Join(append(errs, in.checkForms())...); err != nil {
		return in, err
	}
	return in, in.orderBinds()
}

// Injected returns the name of the first field that an injector fills with a type; empty
// without one.
func (in *Input) Injected(t reflect.Type) string {
	for _, f := range in.injected {
		if f.typ == t {
			return f.name
		}
	}
	return ""
}

// structFields is fieldsOf for any type; only structs have fields.
func structFields(trig Trigger, t reflect.Type, tags []string) ([]field, error) {
	if t.Kind() != reflect.Struct {
		return nil, nil
	}
	return fieldsOf(trig, t, tags)
}

func (in *Input) addParam(f field) error {
	fail := func(format string, args ...any) error { return in.trigger.fail(f.name, format, args...) }
	p := Param{In: f.kind, Name: f.tag, Type: f.typ, index: f.index, Doc: f.tags.Get("doc"), Default: f.tags.Get("default")}
	switch {
	case p.Name == "":
		return fail(`tag %s needs the parameter's name, such as %s:"name"`, p.In, p.In)
	case !in.trigger.HTTP && p.In != "path" && p.In != "header":
		return fail("tag %s works on HTTP functions only", p.In)
	case p.In == "path" && !slices.Contains(in.trigger.Path, p.Name):
		return fail("the pattern has no {%s}%s", p.Name, suggest.Hint(p.Name, in.trigger.Path))
	case p.In == "form" && in.trigger.NoBody != "":
		return fail("there is no form to read: %s", in.trigger.NoBody)
	case p.In == "form" && (deref(f.typ) == uploadType.Elem() || f.typ == readerType):
		return fail(`a streamed file is a body; use body:%q with the type %s`, p.Name, uploadType)
	}
	p.Required = p.In == "path" || f.has("required")
	var ok bool
	if p.codec, ok = textCodecOf(p.Type); !ok {
		switch {
		case p.Type.Kind() == reflect.Pointer && p.In != "path":
			p.pointer, p.Type = true, p.Type.Elem()
		case p.Type.Kind() == reflect.Slice && slices.Contains([]string{"query", "header", "form"}, p.In) && p.Type.Elem().Kind() != reflect.Uint8:
			p.List, p.Type = true, p.Type.Elem()
		}
		if p.codec, ok = textCodecOf(p.Type); !ok {
			return fail("type %s cannot be read from the %s; use %s%s", f.typ, p.In, textTypes, listHint(p.In))
		}
	}
	if _, ok := f.tags.Lookup("default"); ok {
		switch {
		case p.Required:
			return fail("is required, so its default is never used; drop one of the two")
		case p.pointer:
			return fail("is a pointer with a default, so it is never nil; drop one of the two")
		case p.List:
			return fail("is a list; a list has no default")
		}
		if err := p.codec.parse(p.Default, reflect.New(p.Type).Elem()); err != nil {
			return fail("default %q %w", p.Default, err)
		}
	}
	for _, other := range in.Params {
		if other.In == p.In && sameName(p.In, other.Name, p.Name) {
			return fail("reads %s %q, which another field reads already", p.In, p.Name)
		}
	}
	in.Params = append(in.Params, p)
	return nil
}

// listHint says what else a parameter may be.
func listHint(in string) string {
	switch in {
	case "path":
		return ""
	case "cookie":
		return ", or a pointer to one"
	}
	return ", a pointer to one or a slice of them"
}

// sameName compares parameter names; those of headers regardless of case.
func sameName(in, a, b string) bool {
	return a == b || in == "header" && strings.EqualFold(a, b)
}

// BodyKind is what a body is read as.
type BodyKind int

// The kinds of body.
const (
	// JSON is decoded and encoded by encoding/json.
	JSON BodyKind = iota
	// Bytes are taken as they are.
	Bytes
	// Text is a string, taken as it is.
	Text
	// Stream is an io.Reader.
	Stream
	// File is an Upload.
	File
	// Written is a func(io.Writer) error, which writes the body of an answer.
	Written
	// EventStream is Events.
	EventStream
)

// Streams reports whether the body of an answer is made while it is sent.
func (k BodyKind) Streams() bool { return k == Stream || k == Written || k == EventStream }

// Body is a field that is filled from the body, or is the body.
type Body struct {
	// Kind is what the body is read or written as.
	Kind BodyKind
	// Type is the Go type, without the pointer.
	Type reflect.Type
	// Optional says that a request may come without a body.
	Optional bool
	// MediaType, unless empty, is the media type of bytes, text and streams.
	MediaType string
	// Part is the name of the multipart field of a File.
	Part string
	// Strict says that a JSON body with members that the type does not have is
	// refused.
	Strict bool

	index   []int // nil: In or Out as a whole
	pointer bool
}

var (
	uploadType = reflect.TypeFor[*Upload]()
	readerType = reflect.TypeFor[io.Reader]()
	bytesType  = reflect.TypeFor[[]byte]()
)

func (in *Input) addBody(f field) error {
	fail := func(format string, args ...any) error { return in.trigger.fail(f.name, format, args...) }
	if in.trigger.NoBody != "" {
		return fail("there is no body to read: %s", in.trigger.NoBody)
	}
	if in.Body != nil {
		return fail("the body is read by another field already")
	}
	b := newBody(f)
	if !in.trigger.HTTP && b.Kind == Text {
		b.Kind = JSON // an event is; its text would have quotes
	}
	b.Optional, b.Strict = f.has("optional"), f.has("strict")
	switch {
	case b.Strict && b.Kind != JSON:
		return fail("strict is for JSON, which knows its members; drop it")
	case b.Kind == EventStream, b.Kind == Written:
		return fail("type %s is for answers; read io.Reader", f.typ)
	case !in.trigger.HTTP && (b.Kind == Stream || b.Kind == File):
		return fail("type %s works on HTTP functions only", f.typ)
	case b.Kind == Stream && f.typ != readerType:
		return fail("type %s cannot be made from a body; use io.Reader", f.typ)
	case b.Kind == File && f.tag == "":
		b.Part = "file"
	case b.Kind == File:
		b.Part = f.tag
	case b.Kind == JSON && f.tag != "":
		return fail(`tag body:%q names a media type, but the body is JSON; use []byte, string or io.Reader`, f.tag)
	case b.Kind != JSON && f.tag != "" && !isMediaType(f.tag):
		return fail(`tag body:%q is not a media type such as "text/csv"`, f.tag)
	default:
		b.MediaType = f.tag
	}
	if err := jsonType(b); err != nil {
		return fail("%w", err)
	}
	in.Body = b
	return nil
}

// newBody tells the kind of body from a field's type.
func newBody(f field) *Body {
	b := &Body{Type: f.typ, index: f.index}
	switch {
	case deref(f.typ) == uploadType.Elem():
		b.Kind, b.Type, b.pointer = File, uploadType.Elem(), f.typ.Kind() == reflect.Pointer
		return b
	case f.typ.Implements(readerType):
		b.Kind = Stream
		return b
	case f.typ == eventsType:
		b.Kind = EventStream
		return b
	case f.typ.ConvertibleTo(writerType):
		b.Kind = Written
		return b
	}
	if f.typ.Kind() == reflect.Pointer {
		b.pointer, b.Type = true, f.typ.Elem()
	}
	switch {
	case b.Type == bytesType:
		b.Kind = Bytes
	case b.Type.Kind() == reflect.String && !reflect.PointerTo(b.Type).Implements(textUnmarshalerType):
		b.Kind = Text
	}
	return b
}

// jsonType refuses what has no JSON form at all.
func jsonType(b *Body) error {
	if b.Kind != JSON {
		return nil
	}
	switch b.Type.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return errors.New("type " + b.Type.String() + " has no JSON form")
	}
	return nil
}

func isMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && major != "" && minor != "" && !strings.ContainsAny(s, " ,")
}

// checkForms refuses what cannot be read from the same body.
func (in *Input) checkForms() error {
	if in.Body == nil || in.Body.Kind == File {
		return nil
	}
	for _, p := range in.Params {
		if p.In == "form" {
			return in.trigger.fail("", "a form field (%q) and a body cannot both be read; only a %s comes with form fields", p.Name, uploadType)
		}
	}
	return nil
}
