package queue

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"

	"github.com/perdure/perdure/internal/resource"
)

// ResourceName returns the queue's name.
func (q *Queue[T]) ResourceName() string { return q.name }

// ResourceKind returns "queue".
func (q *Queue[T]) ResourceKind() string { return "queue" }

// BindInput fails: a queue has no value under a key.
func (q *Queue[T]) BindInput(reflect.Type) (resource.Input, error) {
	return nil, fmt.Errorf("queue %q fills no field; handle its messages by perdure.OnQueue, or call its method Peek", q.name)
}

// BindOutput sends fields of type T, *T, []T, Message[T], *Message[T] and []Message[T].
// The key of the binding, if there is one, is that of the messages without one. Nil
// sends nothing.
func (q *Queue[T]) BindOutput(field reflect.Type) (resource.Output, error) {
	var of func(any) []Message[T]
	switch field {
	case reflect.TypeFor[T]():
		of = func(v any) []Message[T] { return []Message[T]{{Value: v.(T)}} }
		if field.Kind() == reflect.Interface {
			return nil, fmt.Errorf("queue %q sends values of an interface by its method Send alone", q.name)
		}
	case reflect.TypeFor[*T]():
		of = func(v any) []Message[T] {
			if p := v.(*T); p != nil {
				return []Message[T]{{Value: *p}}
			}
			return nil
		}
	case reflect.TypeFor[[]T]():
		of = func(v any) []Message[T] {
			values := v.([]T)
			messages := make([]Message[T], len(values))
			for i := range values {
				messages[i].Value = values[i]
			}
			return messages
		}
	case reflect.TypeFor[Message[T]]():
		of = func(v any) []Message[T] { return []Message[T]{v.(Message[T])} }
	case reflect.TypeFor[*Message[T]]():
		of = func(v any) []Message[T] {
			if p := v.(*Message[T]); p != nil {
				return []Message[T]{*p}
			}
			return nil
		}
	case reflect.TypeFor[[]Message[T]]():
		of = func(v any) []Message[T] { return append([]Message[T](nil), v.([]Message[T])...) }
	default:
		return nil, fmt.Errorf("queue %q sends a field of type %v, *%[2]v, []%[2]v, or queue.Message[%[2]v], a pointer to it or a slice of it, not %v", q.name, reflect.TypeFor[T](), field)
	}
	return func(ctx context.Context, key string, v reflect.Value) error {
		key, err := url.PathUnescape(key)
		if err != nil {
			return q.fault(errors.New("a % in a key is written %25"))
		}
		messages := of(v.Interface())
		for i := range messages {
			if messages[i].Key == "" {
				messages[i].Key = key
			}
		}
		return q.SendMessages(ctx, messages...)
	}, nil
}

var _ resource.Resource = (*Queue[struct{}])(nil)
