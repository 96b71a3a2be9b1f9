package durable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/durable/durabletest"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, name string) (string, error) {
			info, _ := durable.Info(ctx)
			if n := int(calls.Add(1)); n != info.Attempt {
				t.Errorf("call %d says it is attempt %d", n, info.Attempt)
			}
			if calls.Load() < 4 {
				return "", durable.NewError("busy", "try later")
			}
			return sayHello(ctx, name)
		}),
		greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			s, err := hello.Call(ctx, names[0], durable.Retry{Attempts: 5, Initial: time.Hour})
			return []string{s}, err
		}))
	start := env.Now()
	out, err := durabletest.Run(env, greetAll, []string{"x"})
	if err != nil || len(out) != 1 || out[0] != "Hello x" {
		t.Fatalf("got %q, %v", out, err)
	}
	if waited := env.Now().Sub(start); waited < 6*time.Hour || waited > 7*time.Hour {
		t.Errorf("waited %v between four attempts, want about 1 + 2 + 4 hours less jitter", waited)
	}
}

func TestFailureIsFinal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err      error
		attempts int32
		code     string
	}{
		"no more attempts": {durable.NewError("busy", "try later"), 3, "busy"},
		"final":            {durable.Final(durable.NewError("broke", "no money")), 1, "broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			env := durabletest.New(t,
				hello.Impl(func(context.Context, string) (string, error) {
					calls.Add(1)
					return "", test.err
				}),
				greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
					_, err := hello.Call(ctx, "x", durable.Retry{Attempts: 3})
					return nil, err
				}))
			_, err := durabletest.Run(env, greetAll, nil)
			if !errors.Is(err, &durable.Error{Code: test.code}) {
				t.Fatalf("got %v", err)
			}
			if calls.Load() != test.attempts {
				t.Fatalf("called %d times, want %d", calls.Load(), test.attempts)
			}
		})
	}
}

func TestPanicInActivityIsAFailure(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t,
		hello.Impl(func(context.Context, string) (string, error) { panic("oh") }),
		greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			_, err := hello.Call(ctx, "x")
			return nil, err
		}))
	if _, err := durabletest.Run(env, greetAll, nil); err == nil || !strings.Contains(err.Error(), "oh") {
		t.Fatalf("got %v", err)
	}
}

func TestStep(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	env := durabletest.New(t, greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
		for i, n := range names {
			s, err := durable.Step(ctx, "greet", func(ctx context.Context) (string, error) {
				runs.Add(1)
				return sayHello(ctx, n)
			})
			if err != nil {
				return nil, err
			}
			names[i] = s
		}
		return names, nil
	}))
	out, err := durabletest.Run(env, greetAll, []string{"a", "b", "c"})
	if err != nil || strings.Join(out, ",") != "Hello a,Hello b,Hello c" || runs.Load() != 3 {
		t.Fatalf("got %q, %v after %d runs", out, err, runs.Load())
	}
}

func TestCompletionFromOutside(t *testing.T) {
	t.Parallel()
	tokens := make(chan string, 1)
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, name string) (string, error) {
			token, err := durable.Token(ctx)
			if err != nil {
				return "", err
			}
			tokens <- token
			return "", durable.ErrPending
		}),
		greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			s, err := hello.Call(ctx, "x", durable.StartToClose(time.Hour))
			return []string{s}, err
		}))
	id := durabletest.Start(env, greetAll, nil)
	token := <-tokens
	env.Restart()
	if err := env.Client.Complete(t.Context(), token[:len(token)-1]+"_", "forged"); !errors.Is(err, durable.ErrToken) {
		t.Fatalf("a wrong token: %v", err)
	}
	if err := env.Client.Complete(t.Context(), token, "from outside"); err != nil {
		t.Fatal(err)
	}
	if out, err := durabletest.Wait(env, greetAll, id); err != nil || out[0] != "from outside" {
		t.Fatalf("got %q, %v", out, err)
	}
	if err := env.Client.Complete(t.Context(), token, "again"); !errors.Is(err, durable.ErrToken) {
		t.Fatalf("a used token: %v", err)
	}

	_, err := durabletest.Run(env, greetAll, nil)
	if !errors.Is(err, durable.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nobody completed it: %v", err)
	}
}

func TestStartToCloseFencesALateRun(t *testing.T) {
	t.Parallel()
	begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, _ string) (string, error) {
			close(begun)
			<-goOn
			_, err := greetAll.Start(ctx, nil, durable.ID("late"))
			ended <- err
			return "", err
		}),
		wait.Impl(func(ctx *durable.Context, _ time.Duration) (string, error) {
			return hello.Call(ctx, "x", durable.StartToClose(time.Minute))
		}),
		greetAll.Impl(func(*durable.Context, []string) ([]string, error) { return nil, nil }))
	id, err := wait.StartWith(t.Context(), env.Client, 0)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	env.Skip(time.Minute)
	if _, err := wait.WaitWith(t.Context(), env.Client, id); !errors.Is(err, durable.ErrTimeout) {
		t.Fatalf("got %v", err)
	}
	close(goOn)
	if err := <-ended; !errors.Is(err, durable.ErrUnitClosed) {
		t.Fatalf("the late run wrote: %v", err)
	}
	if _, err := env.Client.Get(t.Context(), "late"); !errors.Is(err, durable.ErrNotFound) {
		t.Fatalf("what the late run wrote exists: %v", err)
	}
}

func TestAnyTakesTheFirstThatIsDone(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(func(ctx *durable.Context, d time.Duration) (string, error) {
		slow, fast := ctx.Timer(2*d), ctx.Timer(d)
		i, at, err := durable.Any(ctx, slow, fast)
		return fmt.Sprint(i, at.Equal(ctx.Now()), slow.Done()), err
	}))
	if out, err := durabletest.Run(env, wait, time.Hour); out != "1 true false" || err != nil {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestFailureFromOutside(t *testing.T) {
	t.Parallel()
	tokens := make(chan string, 1)
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, _ string) (string, error) {
			token, err := durable.Token(ctx)
			if err != nil {
				return "", err
			}
			tokens <- token
			return "", durable.ErrPending
		}),
		wait.Impl(func(ctx *durable.Context, _ time.Duration) (string, error) { return hello.Call(ctx, "x") }))
	id := durabletest.Start(env, wait, 0)
	if err := env.Client.Fail(t.Context(), <-tokens, durable.NewError("refused", "not today")); err != nil {
		t.Fatal(err)
	}
	if _, err := durabletest.Wait(env, wait, id); !errors.Is(err, &durable.Error{Code: "refused"}) {
		t.Fatalf("got %v", err)
	}
}
