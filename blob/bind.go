package blob

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"

	"github.com/perdure/perdure/internal/resource"
)

var _ resource.Resource = (*ContainerRef)(nil)

// Upload is what a field of Out writes when the bytes are not all.
type Upload struct {
	// Body are the bytes; nil writes nothing.
	Body io.Reader
	// ContentType is their media type, if known.
	ContentType string
	// Metadata is kept with the blob.
	Metadata map[string]string
}

// ResourceName returns the container's name.
func (c *ContainerRef) ResourceName() string { return c.name }

// ResourceKind returns "container".
func (c *ContainerRef) ResourceKind() string { return "container" }

// BindInput fills fields of type []byte, string, io.Reader, *Reader and Info with
// the blob that a key names; structs, maps and other slices with what its JSON says. An
// absent blob is ErrNotFound, also when no blob can have the name. A reader is closed by
// whoever got it.
func (c *ContainerRef) BindInput(field reflect.Type) (resource.Input, error) {
	var of func(ctx context.Context, name string) (any, error)
	switch field {
	case reflect.TypeFor[[]byte]():
		of = func(ctx context.Context, name string) (any, error) { return c.readAll(ctx, name) }
	case reflect.TypeFor[string]():
		of = func(ctx context.Context, name string) (any, error) {
			b, err := c.readAll(ctx, name)
			return string(b), err
		}
	case reflect.TypeFor[io.Reader](), reflect.TypeFor[*Reader]():
		of = func(ctx context.Context, name string) (any, error) { return c.Open(ctx, name) }
	case reflect.TypeFor[Info]():
		of = func(ctx context.Context, name string) (any, error) { return c.Stat(ctx, name) }
	default:
		if ok, err := isDocument(field); !ok {
			return nil, cmp.Or(err, fmt.Errorf("container %q fills a field of type []byte, string, io.Reader, *blob.Reader or blob.Info, or a struct, map or slice from JSON, not %v", c.name, field))
		}
		of = func(ctx context.Context, name string) (any, error) { return c.readDocument(ctx, name, field) }
	}
	return func(ctx context.Context, key string) (reflect.Value, error) {
		name, err := c.boundName(key)
		if err != nil {
			return reflect.Value{}, err
		}
		value, err := of(ctx, name)
		if errors.Is(err, ErrName) { // whoever sent it asks for what cannot be there
			err = fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		if err != nil {
			return reflect.Value{}, err
		}
		return reflect.ValueOf(value), nil
	}, nil
}

// BindOutput writes fields of type []byte, string, io.Reader, Upload and *Upload;
// structs, maps and other slices, and pointers to them, as JSON. A nil slice, map,
// reader or pointer writes nothing; an empty string writes an empty blob.
func (c *ContainerRef) BindOutput(field reflect.Type) (resource.Output, error) {
	var of func(reflect.Value) Upload
	switch field {
	case reflect.TypeFor[[]byte]():
		of = func(v reflect.Value) Upload {
			if v.IsNil() {
				return Upload{}
			}
			return Upload{Body: bytes.NewReader(v.Bytes())}
		}
	case reflect.TypeFor[string]():
		of = func(v reflect.Value) Upload { return Upload{Body: strings.NewReader(v.String())} }
	case reflect.TypeFor[io.Reader]():
		of = func(v reflect.Value) Upload {
			body, _ := v.Interface().(io.Reader)
			return Upload{Body: body}
		}
	case reflect.TypeFor[Upload]():
		of = func(v reflect.Value) Upload { return v.Interface().(Upload) }
	case reflect.TypeFor[*Upload]():
		of = func(v reflect.Value) Upload {
			if v.IsNil() {
				return Upload{}
			}
			return *v.Interface().(*Upload)
		}
	default:
		if ok, err := isDocument(field); !ok {
			return nil, cmp.Or(err, fmt.Errorf("container %q writes a field of type []byte, string, io.Reader, blob.Upload or *blob.Upload, or a struct, map or slice as JSON, not %v", c.name, field))
		}
		of = document
	}
	return func(ctx context.Context, key string, v reflect.Value) error {
		upload := of(v)
		if upload.Body == nil {
			return nil
		}
		name, err := c.boundName(key)
		if err != nil {
			return err
		}
		_, err = c.Write(ctx, name, upload.Body, ContentType(upload.ContentType), Metadata(upload.Metadata))
		return err
	}, nil
}

// boundName returns the blob's name in a key, in which the values of expressions
// are percent-encoded. What they hold becomes part of the name as it is: a value
// with a "/" is several parts.
func (c *ContainerRef) boundName(key string) (string, error) {
	name, err := url.PathUnescape(key)
	if err != nil {
		return "", c.fault(key, fmt.Errorf("%w %q: a %% is written %%25", ErrName, key))
	}
	return name, nil
}

func (c *ContainerRef) readAll(ctx context.Context, name string) (_ []byte, err error) {
	r, err := c.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if r.Info.Size > MaxInMemory {
		return nil, c.fault(name, fmt.Errorf("%w for memory: %d bytes, at most %d are read whole; use a *blob.Reader", ErrTooLarge, r.Info.Size, MaxInMemory))
	}
	b := make([]byte, r.Info.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, c.fault(name, err)
	}
	return b, nil
}
