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
