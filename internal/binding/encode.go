package binding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
)

// Response is an answer that is ready to be sent.
type Response struct {
	Status int
	Header http.Header
	// Body is the answer's body, unless one of the following is set.
	Body []byte
	// Stream, unless nil, is copied to the caller and, if it is an io.Closer,
	// closed.
	Stream io.Reader
	// Write, unless nil, writes the body.
	Write func(io.Writer) error
	// Events, unless nil, are sent as they come.
	Events Events
}

// isNil reports whether v is of a kind that can be nil, and is. Nil slices and
// maps are values like any other.
func isNil(v reflect.Value) bool {
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface || v.Kind() == reflect.Func) && v.IsNil()
}

// Encode makes the answer from *Out. A nil Out is 204.
func (out *Output) Encode(outPtr reflect.Value) (*Response, error) {
	res := &Response{Header: http.Header{}}
	if outPtr.IsNil() {
		res.Status = http.StatusNoContent
		return res, nil
	}
	v := outPtr.Elem()
	for i := range out.Headers {
		if err := out.Headers[i].add(res.Header, v); err != nil {
			return nil, fmt.Errorf("header %s: %w", out.Headers[i].Name, err)
		}
	}
	hasBody, err := out.encodeBody(res, v)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if res.Status, err = out.statusOf(v, hasBody); err != nil {
		closeStream(res.Stream)
		return nil, err
	}
	if hasNoBody(res.Status) && hasBody {
		closeStream(res.Stream)
		res.Body, res.Stream, res.Write, res.Events = nil, nil, nil, nil
		res.Header.Del("Content-Type")
	}
	return res, nil
}

func (out *Output) statusOf(v reflect.Value, hasBody bool) (int, error) {
	if out.StatusVaries {
		if set := int(v.FieldByIndex(out.statusIndex).Int()); set != 0 {
			if !validStatus(set) {
				return 0, fmt.Errorf("function %s: status %d is not from 200 to 599", out.function, set)
			}
			return set, nil
		}
	}
	switch {
	case out.Status != 0:
		return out.Status, nil
	case hasBody:
		return http.StatusOK, nil
	}
	return http.StatusNoContent, nil
}

// add adds the header's lines; nil, empty and zero-length values add none.
func (h *Header) add(to http.Header, v reflect.Value) error {
	field := v.FieldByIndex(h.index)
	if h.pointer {
		if field.IsNil() {
			return nil
		}
		field = field.Elem()
	}
	lines := []reflect.Value{field}
	if h.List {
		lines = lines[:0]
		for i := range field.Len() {
			lines = append(lines, field.Index(i))
		}
	}
	for _, line := range lines {
		if !h.pointer && !h.List && line.IsZero() {
			continue // not set: a zero is sent through a pointer
		}
		text, err := h.codec.format(line)
		if err != nil {
			return err
		}
		if err := headerText(text); err != nil {
			return err
		}
		to.Add(h.Name, text)
	}
	return nil
}

// headerText refuses text that would end the header and begin another.
func headerText(text string) error {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("value %q has a control character", text)
		}
	}
	return nil
}

func (out *Output) encodeBody(res *Response, v reflect.Value) (bool, error) {
	if out.Body == nil {
		return false, nil
	}
	field := fieldAt(v, out.Body.index)
	if isNil(field) {
		return false, nil
	}
	if out.Body.pointer {
		field = field.Elem()
	}
	switch out.Body.Kind {
	case Bytes:
		res.Body = field.Bytes()
	case Text:
		res.Body = []byte(field.String())
	case Stream:
		res.Stream, _ = field.Interface().(io.Reader)
	case Written:
		res.Write, _ = field.Convert(writerType).Interface().(func(io.Writer) error)
	case EventStream:
		res.Events, _ = field.Interface().(Events)
	default:
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false) // it is served as JSON, and links are to be copied
		if err := enc.Encode(field.Interface()); err != nil {
			return false, err
		}
		res.Body = buf.Bytes()
	}
	if res.Header.Get("Content-Type") == "" {
		res.Header.Set("Content-Type", out.Body.MediaType)
	}
	return true, nil
}

func closeStream(r io.Reader) {
	if c, ok := r.(io.Closer); ok {
		_ = c.Close() // it was only read
	}
}

// Streams reports whether the body is made while it is sent.
func (res *Response) Streams() bool {
	return res.Stream != nil || res.Write != nil || res.Events != nil
}

// Send writes the answer to a request with a method; Events are not sent. The error is
// the stream's or the connection's; the status has been sent by then.
func (res *Response) Send(w http.ResponseWriter, method string) error {
	for name, lines := range res.Header {
		w.Header()[name] = lines
	}
	defer closeStream(res.Stream)
	w.WriteHeader(res.Status)
	switch {
	case method == http.MethodHead && res.Streams():
		return nil
	case res.Stream != nil:
		_, err := io.Copy(w, res.Stream)
		return err
	case res.Write != nil:
		return res.Write(&flushed{w, http.NewResponseController(w)})
	}
	if len(res.Body) == 0 {
		return nil
	}
	_, err := w.Write(res.Body)
	return err
}

// flushed sends what is written at once.
type flushed struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (f *flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	if errors.Is(err, http.ErrNotSupported) { // then it is sent when there is enough
		err = nil
	}
	return n, err
}

// Discard releases an answer that is not sent.
func (res *Response) Discard() { closeStream(res.Stream) }
