package durable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/durable/durabletest"
)

// TestErrorsCrossTheStore: what an activity returns and what its caller's caller sees,
// after each turn was replayed.
func TestErrorsCrossTheStore(t *testing.T) {
	t.Parallel()
	broke := durable.NewError("broke", "no money")
	for name, test := range map[string]struct {
		err  error
		is   []error
		not  []error
		text string
	}{
		"plain":          {errors.New("oops"), nil, []error{broke, durable.ErrTimeout}, `activity "charge": oops (2 attempts)`},
		"coded":          {broke, []error{broke}, []error{durable.ErrCanceled}, `activity "charge": no money (2 attempts)`},
		"wrapped":        {fmt.Errorf("card 1: %w", broke), []error{broke}, nil, `activity "charge": card 1: no money (2 attempts)`},
		"joined":         {errors.Join(errors.New("first"), broke), []error{broke}, nil, "activity \"charge\": first\nno money (2 attempts)"},
		"final":          {durable.Final(broke), []error{broke}, nil, `activity "charge": no money`},
		"wrapped final":  {fmt.Errorf("card 1: %w", durable.Final(broke)), []error{broke}, nil, `activity "charge": card 1: no money`},
		"final timeout":  {durable.Final(fmt.Errorf("call: %w", context.DeadlineExceeded)), []error{durable.ErrTimeout, context.DeadlineExceeded}, nil, `activity "charge": call: context deadline exceeded`},
		"code and final": {&durable.Error{Code: "broke", Message: "no", Final: true}, []error{broke}, nil, `activity "charge": no`},
		"timeout":        {durable.ErrTimeout, []error{durable.ErrTimeout, context.DeadlineExceeded}, nil, `activity "charge": timed out (2 attempts)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			charge := durable.NewActivity[int, int]("charge", durable.Retry{Attempts: 2})
			child := durable.NewOrchestration[int, int]("child")
			parent := durable.NewOrchestration[int, int]("parent")
			check := func(where string, err error, text string) {
				for _, target := range test.is {
					if !errors.Is(err, target) {
						t.Errorf("%s: %v is not %v", where, err, target)
					}
				}
				for _, target := range test.not {
					if errors.Is(err, target) {
						t.Errorf("%s: %v is %v", where, err, target)
					}
				}
				if err == nil || err.Error() != text {
					t.Errorf("%s:\n got %v\nwant %s", where, err, text)
				}
			}
			env := durabletest.New(t,
				charge.Impl(func(context.Context, int) (int, error) { return 0, test.err }),
				child.Impl(func(ctx *durable.Context, n int) (int, error) {
					_, err := charge.Call(ctx, n)
					check("in the child", err, test.text)
					return 0, err
				}),
				parent.Impl(func(ctx *durable.Context, n int) (int, error) {
					_, err := child.Call(ctx, n)
					check("in the parent", err, `orchestration "child": `+test.text)
					return 0, err
				}))
			id := durabletest.Start(env, parent, 1)
			_, err := durabletest.Wait(env, parent, id)
			check("outside", err, fmt.Sprintf("instance %q: Failed: orchestration \"child\": %s", id, test.text))
		})
	}
}

// TestAttemptsAreCounted: the error says how often the call was made.
func TestAttemptsAreCounted(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t,
		hello.Impl(func(context.Context, string) (string, error) { return "", errors.New("no") }),
		wait.Impl(func(ctx *durable.Context, _ time.Duration) (string, error) {
			_, err := hello.Call(ctx, "x", durable.Retry{Attempts: 4})
			var e *durable.Error
			if !errors.As(err, &e) || e.Attempts != 4 || e.Message != "no" {
				t.Errorf("got %+v", e)
			}
			return "", nil
		}))
	if _, err := durabletest.Run(env, wait, 0); err != nil {
		t.Fatal(err)
	}
}

type order struct {
	Item  string
	Count int
	Extra *string `json:",omitempty"`
}

// TestDecoding: what becomes of values that an earlier or later release wrote.
func TestDecoding(t *testing.T) {
	t.Parallel()
	raw := durable.NewActivity[int, map[string]any]("read")
	typed := durable.NewActivity[int, order]("read")
	rawNull := durable.NewActivity[int, *int]("read")
	for name, test := range map[string]struct {
		impl durable.Implementation
		want order
		code string
	}{
		"missing": {raw.Impl(func(context.Context, int) (map[string]any, error) {
			return map[string]any{"Item": "tea"}, nil
		}), order{Item: "tea"}, ""},
		"unknown": {raw.Impl(func(context.Context, int) (map[string]any, error) {
			return map[string]any{"Item": "tea", "Colour": "green"}, nil
		}), order{Item: "tea"}, ""},
		"null field": {raw.Impl(func(context.Context, int) (map[string]any, error) {
			return map[string]any{"Item": "tea", "Count": nil}, nil
		}), order{Item: "tea"}, ""},
		"null": {rawNull.Impl(func(context.Context, int) (*int, error) { return nil, nil }), order{}, ""},
		"retyped": {raw.Impl(func(context.Context, int) (map[string]any, error) {
			return map[string]any{"Count": "three"}, nil
		}), order{}, durable.DecodeCode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow := durable.NewOrchestration[int, order]("flow")
			env := durabletest.New(t, test.impl, flow.Impl(func(ctx *durable.Context, n int) (order, error) {
				return typed.Call(ctx, n)
			}))
			got, err := durabletest.Run(env, flow, 1)
			if got != test.want {
				t.Errorf("got %+v", got)
			}
			if test.code == "" && err != nil || test.code != "" && !errors.Is(err, &durable.Error{Code: test.code}) {
				t.Errorf("got error %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), `activity "read": result: `) {
				t.Errorf("the error does not say what it could not decode: %v", err)
			}
		})
	}
}

// TestInputThatCannotBeDecoded fails the call, or the instance, once.
func TestInputThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	wrongActivity := durable.NewActivity[int, string]("hello")
	wrongFlow := durable.NewOrchestration[string, string]("wait")
	env := durabletest.New(t, hello.Impl(sayHello),
		wait.Impl(func(ctx *durable.Context, _ time.Duration) (string, error) {
			return wrongActivity.Call(ctx, 1, durable.Retry{Attempts: 5, Initial: time.Hour})
		}))
	start := env.Now()
	_, err := durabletest.Run(env, wait, 0)
	if !errors.Is(err, &durable.Error{Code: durable.DecodeCode}) || env.Now() != start {
		t.Errorf("got %v after %v", err, env.Now().Sub(start))
	}
	if _, err := durabletest.Run(env, wrongFlow, "soon"); !errors.Is(err, &durable.Error{Code: durable.DecodeCode}) {
		t.Errorf("got %v", err)
	}
	if _, err := wait.StartWith(t.Context(), env.Client, 0, durable.ID(strings.Repeat("x", 257))); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("a long id: %v", err)
	}
}

// TestTimeoutNamesWhatDidNotCome: an orchestration that hands the error on says which
// event it waited for.
func TestTimeoutNamesWhatDidNotCome(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(func(ctx *durable.Context, d time.Duration) (string, error) {
		_, err := decided.Wait(ctx, durable.Within(d))
		return "", err
	}))
	_, err := durabletest.Run(env, wait, time.Hour)
	if !errors.Is(err, durable.ErrTimeout) || !strings.Contains(err.Error(), `event "decided": timed out`) {
		t.Errorf("got %v", err)
	}
}
