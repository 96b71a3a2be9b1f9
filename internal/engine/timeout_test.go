package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/engine"
)

var (
	timedCall = durable.NewActivity[string, string]("timed")
	timedRun  = durable.NewOrchestration[string, string]("timed run")
)

// An activity that finds no free place in time fails without having run.
func TestScheduleToStart(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan string, 2), make(chan struct{})
	w := newWorld(t,
		timedCall.Impl(func(_ context.Context, name string) (string, error) {
			begun <- name
			<-goOn
			return name, nil
		}),
		timedRun.Impl(func(ctx *durable.Context, name string) (string, error) {
			return timedCall.Call(ctx, name, durable.ScheduleToStart(time.Minute), durable.Retry{Attempts: 5})
		}))
	w.set = func(o *engine.Options) { o.MaxActivities = 1 }
	w.mustStart()
	for _, name := range []string{"first", "second"} {
		_, err := timedRun.StartWith(t.Context(), w.client, name, durable.ID(name))
		w.must(err)
		if name == "first" {
			soon(t, begun)
		}
	}
	w.clock.Advance(2 * time.Minute)
	close(goOn)
	if in := w.ended("first"); in.State != durable.Completed {
		t.Errorf("the one that ran is %s: %v", in.State, in.Err)
	}
	in := w.ended("second")
	if in.State != durable.Failed || !errors.Is(in.Err, durable.ErrTimeout) || !strings.Contains(in.Err.Error(), "did not start within 1m") {
		t.Errorf("the one that waited is %s: %v", in.State, in.Err)
	}
	if len(begun) != 0 {
		t.Error("it ran all the same")
	}
}

// An activity lives as long as it reports; the next attempt finds the last report.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	beat, beaten := make(chan struct{}), make(chan error)
	progress := make(chan string, 2)
	w := newWorld(t,
		timedCall.Impl(func(ctx context.Context, _ string) (string, error) {
			info, _ := durable.Info(ctx)
			progress <- string(info.Progress)
			if info.Attempt > 1 {
				return "resumed", nil
			}
			for range 3 {
				<-beat
				beaten <- durable.Heartbeat(ctx, "half way")
			}
			<-ctx.Done()
			return "", context.Cause(ctx)
		}),
		timedRun.Impl(func(ctx *durable.Context, name string) (string, error) {
			return timedCall.Call(ctx, name, durable.HeartbeatWithin(time.Minute), durable.Retry{Attempts: 2, Initial: time.Second})
		}))
	w.mustStart()
	_, err := timedRun.StartWith(t.Context(), w.client, "x", durable.ID("x"))
	w.must(err)
	if got := soon(t, progress); got != "" {
		t.Errorf("the first attempt finds progress %q", got)
	}
	for range 3 { // more than a minute in all, never a minute without a sign
		w.clock.Advance(50 * time.Second)
		beat <- struct{}{}
		if err := soon(t, beaten); err != nil {
			t.Errorf("heartbeat: %v", err)
		}
	}
	w.clock.Advance(time.Minute)
	w.engine.WaitIdle()
	w.advance(time.Minute)
	if in := w.ended("x"); in.State != durable.Completed || string(in.Output) != `"resumed"` {
		t.Errorf("it is %s: %s, %v", in.State, in.Output, in.Err)
	}
	if got := soon(t, progress); got != `"half way"` {
		t.Errorf("the second attempt finds progress %q", got)
	}
}
