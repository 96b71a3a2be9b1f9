package stream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"

	"github.com/perdure/perdure/internal/resource"
)

// ResourceName returns the stream's name.
func (s *Stream[T]) ResourceName() string { return s.name }

// ResourceKind returns "stream".
func (s *Stream[T]) ResourceKind() string { return "stream" }

// BindInput fails: a stream has no value under a key.
func (s *Stream[T]) BindInput(reflect.Type) (resource.Input, error) {
	return nil, fmt.Errorf("stream %q fills no field; handle its events by perdure.OnStream, or call its method Read", s.name)
}

// BindOutput appends fields of type T, *T, []T, Event[T] and []Event[T]. The key of
// the binding, if there is one, is that of the events without one. Nil appends
// nothing.
func (s *Stream[T]) BindOutput(field reflect.Type) (resource.Output, error) {
	var of func(reflect.Value) []Event[T]
	switch field {
	case reflect.TypeFor[T]():
		of = func(v reflect.Value) []Event[T] {
			var e Event[T]
			reflect.ValueOf(&e.Value).Elem().Set(v)
			return []Event[T]{e}
		}
	case reflect.TypeFor[*T]():
		of = func(v reflect.Value) []Event[T] {
			if v.IsNil() {
				return nil
			}
			return []Event[T]{{Value: *v.Interface().(*T)}}
		}
	case reflect.TypeFor[[]T]():
		of = func(v reflect.Value) []Event[T] {
			values := v.Interface().([]T)
			events := make([]Event[T], len(values))
			for i := range values {
				events[i].Value = values[i]
			}
			return events
		}
	case reflect.TypeFor[Event[T]]():
		of = func(v reflect.Value) []Event[T] { return []Event[T]{v.Interface().(Event[T])} }
	case reflect.TypeFor[[]Event[T]]():
		of = func(v reflect.Value) []Event[T] { return append([]Event[T](nil), v.Interface().([]Event[T])...) }
	default:
		return nil, fmt.Errorf("stream %q appends a field of type %v, *%[2]v, []%[2]v, stream.Event[%[2]v] or a slice of these, not %v", s.name, reflect.TypeFor[T](), field)
	}
	return func(ctx context.Context, key string, v reflect.Value) error {
		key, err := url.PathUnescape(key)
		if err != nil {
			return s.fault(errors.New("a % in a key is written %25"))
		}
		events := of(v)
		for i := range events {
			if events[i].Key == "" {
				events[i].Key = key
			}
		}
		return s.AppendEvents(ctx, events...)
	}, nil
}

var _ resource.Resource = (*Stream[struct{}])(nil)
