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

type greeting struct{ Name string }

var (
	hello    = durable.NewActivity[string, string]("hello")
	greetAll = durable.NewOrchestration[[]string, []string]("greetAll")
	decided  = durable.NewEvent[bool]("decided")
	wait     = durable.NewOrchestration[time.Duration, string]("wait")
)

func sayHello(_ context.Context, name string) (string, error) { return "Hello " + name, nil }

func TestSequence(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, hello.Impl(sayHello), greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
		var out []string
		for _, n := range names {
			s, err := hello.Call(ctx, n)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}))
	out, err := durabletest.Run(env, greetAll, []string{"Ada", "Grace", "Lin"})
	if err != nil || strings.Join(out, ",") != "Hello Ada,Hello Grace,Hello Lin" {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestFanOut(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, name string) (string, error) {
			runs.Add(1)
			return sayHello(ctx, name)
		}),
		greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			tasks := make([]*durable.Task[string], len(names))
			for i, n := range names {
				tasks[i] = hello.Start(ctx, n)
			}
			return durable.All(ctx, tasks...)
		}))
	names := make([]string, 2500)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	out, err := durabletest.Run(env, greetAll, names)
	if err != nil || len(out) != len(names) {
		t.Fatalf("got %d results, %v", len(out), err)
	}
	for i := range out {
		if out[i] != "Hello "+names[i] {
			t.Fatalf("result %d is %q", i, out[i])
		}
	}
	if n := runs.Load(); int(n) != len(names) {
		t.Fatalf("%d activities ran %d times", len(names), n)
	}
}

func waitFor(ctx *durable.Context, d time.Duration) (string, error) {
	ok, err := decided.Wait(ctx, durable.Within(d))
	if errors.Is(err, durable.ErrTimeout) {
		return "expired", nil
	}
	return fmt.Sprint(ok), err
}

func TestEventWithTimeout(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))

	id := durabletest.Start(env, wait, 72*time.Hour)
	env.Advance(72*time.Hour - time.Nanosecond)
	if in, _ := env.Client.Get(t.Context(), id); in.State != durable.Running {
		t.Fatalf("a nanosecond before its time it is %s", in.State)
	}
	env.Advance(time.Nanosecond)
	if out, err := durabletest.Wait(env, wait, id); out != "expired" || err != nil {
		t.Fatalf("got %q, %v", out, err)
	}

	id = durabletest.Start(env, wait, time.Hour)
	durabletest.Raise(env, decided, id, true)
	if out, err := durabletest.Wait(env, wait, id); out != "true" || err != nil {
		t.Fatalf("got %q, %v", out, err)
	}
	if err := decided.RaiseWith(t.Context(), env.Client, id, true); !errors.Is(err, durable.ErrEnded) {
		t.Fatalf("raise to an ended instance: %v", err)
	}
	if err := decided.RaiseWith(t.Context(), env.Client, "nobody", true); !errors.Is(err, durable.ErrNotFound) {
		t.Fatalf("raise to nobody: %v", err)
	}
}

func TestEventsComeEarlyAndInOrder(t *testing.T) {
	t.Parallel()
	number := durable.NewEvent[int]("number")
	sum := durable.NewOrchestration[int, []int]("sum")
	env := durabletest.New(t, sum.Impl(func(ctx *durable.Context, n int) ([]int, error) {
		if err := ctx.Sleep(time.Hour); err != nil {
			return nil, err
		}
		var got []int
		for range n {
			v, err := number.Wait(ctx)
			if err != nil {
				return nil, err
			}
			got = append(got, v)
		}
		return got, nil
	}))
	for i := range 3 {
		durabletest.Raise(env, number, "s", i, durable.KeepFor(time.Hour))
	}
	id := durabletest.Start(env, sum, 6, durable.ID("s"))
	for i := 3; i < 6; i++ {
		durabletest.Raise(env, number, id, i)
	}
	out, err := durabletest.Wait(env, sum, id)
	if err != nil || fmt.Sprint(out) != "[0 1 2 3 4 5]" {
		t.Fatalf("got %v, %v", out, err)
	}
}

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

func TestChildAndContinueAsNew(t *testing.T) {
	t.Parallel()
	count := durable.NewOrchestration[int, int]("count")
	parent := durable.NewOrchestration[int, int]("parent")
	env := durabletest.New(t,
		count.Impl(func(ctx *durable.Context, n int) (int, error) {
			if err := ctx.Sleep(time.Second); err != nil {
				return 0, err
			}
			if n >= 100 {
				return n, nil
			}
			return count.ContinueAsNew(n + 1)
		}),
		parent.Impl(func(ctx *durable.Context, n int) (int, error) {
			tasks := make([]*durable.Task[int], n)
			for i := range tasks {
				tasks[i] = count.Begin(ctx, i)
			}
			all, err := durable.All(ctx, tasks...)
			return len(all), err
		}))
	if n, err := durabletest.Run(env, parent, 10); n != 10 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	counts, err := env.Client.Counts(t.Context())
	if err != nil || counts[durable.Completed] != 11 {
		t.Fatalf("counts %v, %v", counts, err)
	}
}

func TestContinueAsNewKeepsUnreadEvents(t *testing.T) {
	t.Parallel()
	number := durable.NewEvent[int]("number")
	loop := durable.NewOrchestration[[]int, []int]("loop")
	env := durabletest.New(t, loop.Impl(func(ctx *durable.Context, got []int) ([]int, error) {
		if len(got) == 5 {
			return got, nil
		}
		v, err := number.Wait(ctx)
		if err != nil {
			return nil, err
		}
		return loop.ContinueAsNew(append(got, v))
	}), wait.Impl(waitFor))
	id := durabletest.Start(env, loop, nil)
	if err := env.Client.Suspend(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		durabletest.Raise(env, number, id, i)
	}
	if err := env.Client.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out, err := durabletest.Wait(env, loop, id); err != nil || fmt.Sprint(out) != "[0 1 2 3 4]" {
		t.Fatalf("got %v, %v", out, err)
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

func TestCancelRunsCleanUp(t *testing.T) {
	t.Parallel()
	var undone []string
	started := make(chan struct{})
	canceled := make(chan error, 1)
	undo := durable.NewActivity[string, string]("undo")
	child := durable.NewOrchestration[int, int]("child")
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, _ string) (string, error) {
			close(started)
			<-ctx.Done()
			canceled <- context.Cause(ctx)
			return "", ctx.Err()
		}),
		undo.Impl(func(_ context.Context, s string) (string, error) {
			undone = append(undone, s)
			return s, nil
		}),
		child.Impl(func(ctx *durable.Context, _ int) (int, error) { return 0, ctx.Sleep(24 * time.Hour) }),
		greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			for _, s := range []string{"first", "second"} {
				ctx.OnFailure(s, func(ctx *durable.Context) error {
					_, err := undo.Call(ctx, s)
					return err
				})
			}
			child.Begin(ctx, 1, durable.ID("the-child"))
			_, err := hello.Call(ctx, "x")
			if !errors.Is(err, durable.ErrCanceled) || !ctx.Canceled() {
				t.Errorf("the call ended with %v", err)
			}
			return nil, err
		}))
	id, err := greetAll.StartWith(t.Context(), env.Client, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-started
	if err := env.Client.Cancel(t.Context(), id, "changed my mind", time.Hour); err != nil {
		t.Fatal(err)
	}
	if cause := <-canceled; !errors.Is(cause, durable.ErrCanceled) {
		t.Errorf("the activity's context was canceled by %v", cause)
	}
	env.Settle()
	for _, id := range []string{id, "the-child"} {
		in, err := env.Client.Get(t.Context(), id)
		if err != nil || in.State != durable.Canceled {
			t.Fatalf("%s is %+v, %v", id, in, err)
		}
	}
	if strings.Join(undone, ",") != "second,first" {
		t.Fatalf("undone %q", undone)
	}
}

func TestCleanUpDeadline(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(func(ctx *durable.Context, _ time.Duration) (string, error) {
		ctx.OnFailure("slow", func(ctx *durable.Context) error { return ctx.Sleep(24 * time.Hour) })
		return "", ctx.Sleep(time.Hour)
	}))
	id := durabletest.Start(env, wait, 0)
	if err := env.Client.Cancel(t.Context(), id, "enough", time.Minute); err != nil {
		t.Fatal(err)
	}
	env.Advance(time.Minute)
	if in, _ := env.Client.Get(t.Context(), id); in.State != durable.Terminated {
		t.Fatalf("after the deadline it is %s", in.State)
	}
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))
	id := durabletest.Start(env, wait, time.Hour)
	if err := env.Client.Suspend(t.Context(), id, "look at it"); err != nil {
		t.Fatal(err)
	}
	durabletest.Raise(env, decided, id, true)
	env.Advance(2 * time.Hour)
	if in, _ := env.Client.Get(t.Context(), id); in.State != durable.Suspended || in.Reason != "look at it" {
		t.Fatalf("it is %s: %s", in.State, in.Reason)
	}
	env.Restart()
	if err := env.Client.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out, err := durabletest.Wait(env, wait, id); out != "true" || err != nil {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestSuspendKeepsActivityResults(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	begun, goOn := make(chan struct{}), make(chan struct{})
	env := durabletest.New(t,
		hello.Impl(func(ctx context.Context, n string) (string, error) {
			runs.Add(1)
			close(begun)
			<-goOn
			return sayHello(ctx, n)
		}),
		greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			s, err := hello.Call(ctx, names[0])
			return []string{s}, err
		}))
	id, err := greetAll.StartWith(t.Context(), env.Client, []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := env.Client.Suspend(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	env.Settle()
	env.Restart()
	if err := env.Client.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out, err := durabletest.Wait(env, greetAll, id); err != nil || out[0] != "Hello x" || runs.Load() != 1 {
		t.Fatalf("got %q, %v after %d runs", out, err, runs.Load())
	}
}

func TestTerminateAndPurge(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))
	id := durabletest.Start(env, wait, time.Hour)
	if err := env.Client.Purge(t.Context(), id); !errors.Is(err, durable.ErrNotEnded) {
		t.Fatalf("purge of a running instance: %v", err)
	}
	if err := env.Client.Terminate(t.Context(), id, "no more"); err != nil {
		t.Fatal(err)
	}
	in, err := env.Client.Get(t.Context(), id)
	if err != nil || in.State != durable.Terminated || in.Reason != "no more" {
		t.Fatalf("got %+v, %v", in, err)
	}
	if err := env.Client.Purge(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := env.Client.Get(t.Context(), id); !errors.Is(err, durable.ErrNotFound) {
		t.Fatalf("after the purge: %v", err)
	}
}

func TestRetentionPurges(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor, durable.Retention(time.Hour)))
	id := durabletest.Start(env, wait, time.Minute)
	env.Advance(time.Hour)
	if in, err := env.Client.Get(t.Context(), id); err != nil || in.State != durable.Completed {
		t.Fatalf("got %+v, %v", in, err)
	}
	env.Advance(time.Minute)
	if _, err := env.Client.Get(t.Context(), id); !errors.Is(err, durable.ErrNotFound) {
		t.Fatalf("after its retention: %v", err)
	}
}

func TestMismatchStallsAndADeployMends(t *testing.T) {
	t.Parallel()
	other := durable.NewActivity[string, string]("other")
	code := func(a *durable.Activity[string, string]) durable.Implementation {
		return greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
			s, err := a.Call(ctx, names[0])
			if err != nil {
				return nil, err
			}
			if _, err := decided.Wait(ctx); err != nil {
				return nil, err
			}
			return []string{s}, nil
		})
	}
	env := durabletest.New(t, code(hello), hello.Impl(sayHello), other.Impl(sayHello))
	id := durabletest.Start(env, greetAll, []string{"x"})
	env.Restart(code(other), hello.Impl(sayHello), other.Impl(sayHello))
	durabletest.Raise(env, decided, id, true)
	in, err := env.Client.Get(t.Context(), id)
	if err != nil || in.State != durable.Stalled {
		t.Fatalf("got %+v, %v", in, err)
	}
	for _, want := range []string{`"hello"`, `"other"`} {
		if !strings.Contains(in.Reason, want) {
			t.Errorf("the reason does not name %s: %s", want, in.Reason)
		}
	}
	env.Restart(code(hello), hello.Impl(sayHello))
	if out, err := durabletest.Wait(env, greetAll, id); err != nil || out[0] != "Hello x" {
		t.Fatalf("after the mend: %q, %v", out, err)
	}
}

func TestPanicStalls(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
		if _, err := decided.Wait(ctx); err != nil {
			return nil, err
		}
		return []string{names[7]}, nil
	}))
	id := durabletest.Start(env, greetAll, nil)
	durabletest.Raise(env, decided, id, true)
	in, _ := env.Client.Get(t.Context(), id)
	if in.State != durable.Stalled || !strings.Contains(in.Reason, "index out of range") || !strings.Contains(in.Reason, "orchestration_test.go") {
		t.Fatalf("got %s: %s", in.State, in.Reason)
	}
	env.Restart(greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
		_, err := decided.Wait(ctx)
		return []string{"mended"}, err
	}))
	if out, err := durabletest.Wait(env, greetAll, id); err != nil || out[0] != "mended" {
		t.Fatalf("after the mend: %q, %v", out, err)
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

func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))
	start := func(d time.Duration, opts ...durable.StartOption) error {
		_, err := wait.StartWith(t.Context(), env.Client, d, append(opts, durable.ID("one"))...)
		return err
	}
	if err := start(time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := start(time.Hour); err != nil {
		t.Errorf("the same start again: %v", err)
	}
	if err := start(time.Minute); !errors.Is(err, durable.ErrExists) {
		t.Errorf("another input: %v", err)
	}
	if err := start(time.Hour, durable.RefuseExisting()); !errors.Is(err, durable.ErrExists) {
		t.Errorf("RefuseExisting: %v", err)
	}
	env.Advance(time.Hour)
	if err := start(time.Minute, durable.ReplaceEnded()); err != nil {
		t.Errorf("ReplaceEnded: %v", err)
	}
	if in, _ := env.Client.Get(t.Context(), "one"); in.State != durable.Running {
		t.Errorf("the new one is %s", in.State)
	}
}

func TestUnitStartsAndRaises(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))
	boom := errors.New("boom")
	err := env.Unit(func(ctx context.Context) error {
		if _, err := wait.Start(ctx, time.Hour, durable.ID("a")); err != nil {
			return err
		}
		if _, err := wait.RunWith(ctx, env.Client, time.Hour); !errors.Is(err, durable.ErrInsideUnit) {
			t.Errorf("a waiting call inside a unit: %v", err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := env.Client.Get(t.Context(), "a"); !errors.Is(err, durable.ErrNotFound) {
		t.Fatalf("a unit that failed started it: %v", err)
	}
	err = env.Unit(func(ctx context.Context) error {
		if _, err := wait.Start(ctx, time.Hour, durable.ID("a")); err != nil {
			return err
		}
		if err := decided.Raise(ctx, "a", true); err != nil { // of the same unit
			return err
		}
		return decided.Raise(ctx, "b", false, durable.KeepFor(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := durabletest.Wait(env, wait, "a"); out != "true" || err != nil {
		t.Fatalf("a: %q, %v", out, err)
	}
	if out, err := durabletest.Run(env, wait, time.Hour, durable.ID("b")); out != "false" || err != nil {
		t.Fatalf("b: %q, %v", out, err)
	}
	err = env.Unit(func(ctx context.Context) error {
		_, err := wait.Start(ctx, time.Hour, durable.ID("c"), durable.RefuseExisting())
		return err
	})
	if !errors.Is(err, durable.ErrInvalid) {
		t.Fatalf("an option that a unit cannot keep: %v", err)
	}
	if _, err := wait.Start(t.Context(), time.Hour); !errors.Is(err, durable.ErrNoUnit) {
		t.Fatalf("without a unit: %v", err)
	}
}

func TestDelayedStart(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))
	id := durabletest.Start(env, wait, time.Hour, durable.StartAt(env.Now().Add(24*time.Hour)))
	durabletest.Raise(env, decided, id, true)
	env.Advance(24*time.Hour - time.Second)
	if in, _ := env.Client.Get(t.Context(), id); in.State != durable.Running {
		t.Fatalf("before its time it is %s", in.State)
	}
	env.Advance(time.Second)
	if in, _ := env.Client.Get(t.Context(), id); in.State != durable.Completed {
		t.Fatalf("after its time it is %s", in.State)
	}
}

func TestSelectSendStatusAndTags(t *testing.T) {
	t.Parallel()
	target := durable.NewOrchestration[int, bool]("target")
	env := durabletest.New(t,
		target.Impl(func(ctx *durable.Context, _ int) (bool, error) {
			ctx.SetStatus(greeting{"waiting"})
			return decided.Wait(ctx)
		}),
		wait.Impl(func(ctx *durable.Context, d time.Duration) (string, error) {
			timer, event := ctx.Timer(d), decided.Await(ctx)
			if i := durable.Select(ctx, event, timer); i != 1 {
				return "", fmt.Errorf("task %d was done first", i)
			}
			ctx.CancelTask(event)
			decided.Send(ctx, "t", true)
			return "sent", nil
		}))
	durabletest.Start(env, target, 0, durable.ID("t"), durable.Tags{"team": "red"})
	in, err := env.Client.Get(t.Context(), "t")
	if err != nil || string(in.Status) != `{"Name":"waiting"}` || in.Tags["team"] != "red" {
		t.Fatalf("got %+v, %v", in, err)
	}
	if out, err := durabletest.Run(env, wait, time.Hour); out != "sent" || err != nil {
		t.Fatalf("got %q, %v", out, err)
	}
	if ok, err := durabletest.Wait(env, target, "t"); !ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
}

func TestDeterministicValues(t *testing.T) {
	t.Parallel()
	values := durable.NewOrchestration[int, []string]("values")
	env := durabletest.New(t, values.Impl(func(ctx *durable.Context, _ int) ([]string, error) {
		draw := func() string {
			return fmt.Sprint(ctx.NewID(), ctx.Rand().Uint64(), ctx.Now().UnixNano())
		}
		first := draw()
		if err := ctx.Sleep(time.Hour); err != nil {
			return nil, err
		}
		return []string{first, draw()}, nil
	}))
	id := durabletest.Start(env, values, 0)
	out, err := durabletest.Wait(env, values, id)
	if err != nil || out[0] == out[1] {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, wait.Impl(waitFor))
	for i := range 25 {
		tags := durable.Tags{"even": fmt.Sprint(i%2 == 0)}
		durabletest.Start(env, wait, time.Hour, durable.ID(fmt.Sprintf("i%02d", i)), tags)
	}
	for i := range 5 {
		durabletest.Raise(env, decided, fmt.Sprintf("i%02d", i), true)
	}
	seen := map[string]bool{}
	q := durable.Query{Limit: 4, Tags: map[string]string{"even": "true"}}
	for pages := 0; ; pages++ {
		page, err := env.Client.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range page.Instances {
			if seen[in.ID] || in.Tags["even"] != "true" {
				t.Fatalf("%s was seen twice or should not be seen", in.ID)
			}
			seen[in.ID] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		if pages > 10 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != 13 {
		t.Fatalf("saw %d of 13", len(seen))
	}
	page, err := env.Client.List(t.Context(), durable.Query{States: []durable.State{durable.Completed}, Limit: 2})
	if err != nil || len(page.Instances) != 2 || page.Instances[0].ID != "i04" || page.Next == "" {
		t.Fatalf("got %+v, %v", page, err)
	}
}

func TestNotRegistered(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, greetAll.Impl(func(ctx *durable.Context, names []string) ([]string, error) {
		_, err := hello.Call(ctx, "x")
		return nil, err
	}))
	if _, err := wait.StartWith(t.Context(), env.Client, 0); !errors.Is(err, durable.ErrNotRegistered) {
		t.Fatalf("unknown orchestration: %v", err)
	}
	if _, err := durabletest.Run(env, greetAll, nil); err == nil || !strings.Contains(err.Error(), `activity "hello": not registered`) {
		t.Fatalf("unknown activity: %v", err)
	}
}
