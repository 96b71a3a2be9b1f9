package binding

import (
	"errors"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Output is the compiled plan that carries a function's Out away.
type Output struct {
	// Status is the status of an answer whose status field is zero; 0 when
	// nothing says so: then it is 200, or 204 for an answer without a body.
	Status int
	// StatusVaries says that Out has a status field.
	StatusVaries bool
	// Headers are the headers that Out sets.
	Headers []Header
	// Body is what the answer's body is written from; nil when it has none.
	Body *Body

	typ         reflect.Type
	function    string
	statusIndex []int
	binds       []outputBind
}

// Header is a field that is sent as a header.
type Header struct {
	// Name is the header's, in canonical form.
	Name string
	// Type is the type of one value.
	Type reflect.Type
	// List says that the field is a slice; each element is a header line.
	List bool
	// Doc is the field's doc tag.
	Doc string

	index   []int
	pointer bool
	codec   textCodec
}

// CompileOutput makes the plan for values of type t, of a function whose In has
// the plan in. The error joins all that is wrong.
func CompileOutput(t reflect.Type, in *Input, env Env) (*Output, error) {
	out := &Output{typ: t, function: in.trigger.Function}
	fields, err := structFields(in.trigger, t, outputTags)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Kind() == reflect.Struct && len(fields) == 0 && t.NumField() == 0:
		return out, nil
	case t.Kind() != reflect.Struct || !bound(fields):
		return out, out.addBody(in.trigger, field{typ: t, kind: "body"})
	}
	var errs []error
	for _, f := range fields {
		switch f.kind {
		case "":
			err = in.trigger.fail(f.name, `has no tag; give it one of %s, or bind:"-" to leave it alone`, strings.Join(outputTags, ", "))
		case "status":
			err = out.addStatus(in.trigger, f)
		case "header":
			err = out.addHeader(in.trigger, f)
		case "body":
			err = out.addBody(in.trigger, f)
		case "bind":
			err = out.addBind(in, f, env)
		}
		errs, err = append(errs, err), nil
	}
	return out, errors.Join(errs...)
}

func (out *Output) addStatus(trig Trigger, f field) error {
	switch {
	case !trig.HTTP:
		return trig.fail(f.name, "tag status works on HTTP functions only")
	case out.StatusVaries:
		return trig.fail(f.name, "the status is set by another field already")
	case !f.typ.ConvertibleTo(reflect.TypeFor[int]()) || f.typ.Kind() != reflect.Int:
		return trig.fail(f.name, "type %s cannot be a status; use int", f.typ)
	}
	out.StatusVaries, out.statusIndex = true, f.index
	if f.tag == "" {
		return nil
	}
	status, err := strconv.Atoi(f.tag)
	if err != nil || !validStatus(status) {
		return trig.fail(f.name, "tag status:%q is not a status from 200 to 599", f.tag)
	}
	out.Status = status
	return nil
}

func validStatus(status int) bool { return status >= 200 && status <= 599 }

// hasNoBody reports whether answers with this status never have a body.
func hasNoBody(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// ownHeaders are sent by net/http and cannot be set by a function.
var ownHeaders = []string{"Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Date"}

func (out *Output) addHeader(trig Trigger, f field) error {
	h := Header{Name: textproto.CanonicalMIMEHeaderKey(f.tag), Type: f.typ, index: f.index, Doc: f.tags.Get("doc")}
	switch {
	case !trig.HTTP:
		return trig.fail(f.name, "tag header works on HTTP functions only")
	case f.tag == "":
		return trig.fail(f.name, `tag header needs the header's name, such as header:"Location"`)
	case f.has("required"):
		return trig.fail(f.name, "required makes no sense on a header that is sent")
	case slices.Contains(ownHeaders, h.Name):
		return trig.fail(f.name, "header %s is set by the server", h.Name)
	}
	var ok bool
	if h.codec, ok = textCodecOf(h.Type); !ok {
		switch {
		case h.Type.Kind() == reflect.Pointer:
			h.pointer, h.Type = true, h.Type.Elem()
		case h.Type.Kind() == reflect.Slice && h.Type.Elem().Kind() != reflect.Uint8:
			h.List, h.Type = true, h.Type.Elem()
		}
		h.codec, ok = textCodecOf(h.Type)
	}
	if !ok || !marshals(h.Type) {
		return trig.fail(f.name, "type %s cannot be sent as a header; use %s that has MarshalText%s", f.typ, textTypes, listHint("header"))
	}
	for _, other := range out.Headers {
		if other.Name == h.Name {
			return trig.fail(f.name, "header %s is set by another field already", h.Name)
		}
	}
	out.Headers = append(out.Headers, h)
	return nil
}

func (out *Output) addBody(trig Trigger, f field) error {
	if !trig.HTTP {
		return trig.fail(f.name, "an answer has a body on HTTP functions only; write it to a resource with bind")
	}
	if out.Body != nil {
		return trig.fail(f.name, "the body is written from another field already")
	}
	b := newBody(f)
	switch {
	case f.has("strict"):
		return trig.fail(f.name, "strict is for requests; drop it")
	case b.Kind == EventStream && f.tag != "":
		return trig.fail(f.name, "events are always %s; drop the type from the tag", eventStream)
	case b.Kind == File:
		return trig.fail(f.name, "type %s is for requests; answer with io.Reader", f.typ)
	case f.has("optional"):
		return trig.fail(f.name, "optional is for requests; answer with a nil pointer for no body")
	case b.Kind == JSON && f.tag != "" && !isMediaType(f.tag):
		return trig.fail(f.name, `tag body:%q is not a media type such as "application/ld+json"`, f.tag)
	case f.tag != "" && !isMediaType(f.tag):
		return trig.fail(f.name, `tag body:%q is not a media type such as "text/csv"`, f.tag)
	}
	if err := jsonType(b); err != nil {
		return trig.fail(f.name, "%w", err)
	}
	b.MediaType = f.tag
	if b.MediaType == "" {
		b.MediaType = map[BodyKind]string{
			JSON: "application/json", Text: "text/plain; charset=utf-8", Bytes: octets, Stream: octets, Written: octets,
			EventStream: eventStream,
		}[b.Kind]
	}
	out.Body = b
	return nil
}

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

// octets is the media type of bytes of which nothing is known.
const octets = "application/octet-stream"
