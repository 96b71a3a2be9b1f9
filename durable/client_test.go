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
