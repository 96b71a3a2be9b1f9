package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// documentType is the media type of a bound field that is kept as JSON.
const documentType = "application/json"

// isDocument reports whether a bound field of type t is kept as JSON: a struct, map or
// slice, or a pointer to one. The error says why JSON cannot hold it.
func isDocument(t reflect.Type) (bool, error) {
	at := t
	if at.Kind() == reflect.Pointer {
		at = at.Elem()
	}
	if at == reflect.TypeFor[Reader]() || at.Kind() != reflect.Struct && at.Kind() != reflect.Map && at.Kind() != reflect.Slice {
		return false, nil
	}
	var unsupported *json.UnsupportedTypeError
	if _, err := json.Marshal(reflect.New(at).Interface()); errors.As(err, &unsupported) {
		return false, fmt.Errorf("a field of type %v cannot be JSON: %w", t, err)
	}
	return true, nil
}

// readDocument reads a blob as JSON into a new value of type t.
func (c *ContainerRef) readDocument(ctx context.Context, name string, t reflect.Type) (any, error) {
	b, err := c.readAll(ctx, name)
	if err != nil {
		return nil, err
	}
	v := reflect.New(t)
	if err := json.Unmarshal(b, v.Interface()); err != nil {
		return nil, c.fault(name, fmt.Errorf("want JSON: %w", err))
	}
	return v.Elem().Interface(), nil
}

// document returns what writes v as JSON; nothing for a nil pointer, map or slice.
func document(v reflect.Value) Upload {
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Map || k == reflect.Slice) && v.IsNil() {
		return Upload{}
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return Upload{Body: failingReader{err}}
	}
	return Upload{Body: bytes.NewReader(b), ContentType: documentType}
}

// failingReader fails a write with its error.
type failingReader struct{ err error }

// Read implements io.Reader.
func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

var _ io.Reader = failingReader{}
