package stream_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/stream"
)

func TestStreamIsAResource(t *testing.T) {
	t.Parallel()
	var r resource.Resource = names
	if r.ResourceName() != "names" || r.ResourceKind() != "stream" {
		t.Errorf("it is %s %q", r.ResourceKind(), r.ResourceName())
	}
}

func TestBindings(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	write := func(ctx context.Context, key string, v any) error {
		output, err := plain.BindOutput(reflect.TypeOf(v))
		if err != nil {
			return err
		}
		return output(ctx, key, reflect.ValueOf(v))
	}
	mine := []stream.Event[Name]{{Value: Name{Text: "f"}}, {Value: Name{Text: "g"}, Key: "own"}}
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			write(ctx, "", Name{Text: "a"}),
			write(ctx, "a%2Fb", &Name{Text: "b"}),
			write(ctx, "none", (*Name)(nil)),
			write(ctx, "k", []Name{{Text: "c"}, {Text: "d"}}),
			write(ctx, "k", []Name(nil)),
			write(ctx, "k", stream.Event[Name]{Value: Name{Text: "e"}, Headers: map[string]string{"h": "1"}}),
			write(ctx, "k", mine),
		)
	})
	var got []string
	for _, e := range read(t, a, plain, 0, stream.FromStart) {
		got = append(got, fmt.Sprintf("%s=%s%s", e.Key, e.Value.Text, e.Headers["h"]))
	}
	if want := "=a a/b=b k=c k=d k=e1 k=f own=g"; strings.Join(got, " ") != want {
		t.Errorf("appended %q, want %q", strings.Join(got, " "), want)
	}
	if mine[0].Key != "" {
		t.Error("the function's own slice was changed")
	}
	if err := a.try(func(ctx context.Context) error { return write(ctx, "%", Name{}) }); err == nil {
		t.Error("the key % was taken")
	}
}

func TestBindingsOfWrongTypes(t *testing.T) {
	t.Parallel()
	if _, err := plain.BindInput(reflect.TypeFor[Name]()); err == nil || !strings.Contains(err.Error(), "perdure.OnStream") {
		t.Errorf("input: %v", err)
	}
	if _, err := plain.BindOutput(reflect.TypeFor[string]()); err == nil ||
		!strings.Contains(err.Error(), "stream_test.Name, *stream_test.Name, []stream_test.Name, stream.Event[stream_test.Name] or a slice of these, not string") {
		t.Errorf("output: %v", err)
	}
}
