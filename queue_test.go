package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/queue"
)

type job struct {
	Customer string `json:"customer"`
	Number   int    `json:"number"`
}

func TestQueueFunction(t *testing.T) {
	t.Parallel()
	type in struct {
		Job queue.Received[job] `body:""`
	}
	type out struct {
		Next *queue.Message[job] `bind:"second/{queue.key}"`
	}
	first := queue.Of[job]("first", queue.OrderBy(func(j job) string { return j.Customer }))
	second := queue.Of[job]("second")
	var (
		mu   sync.Mutex
		seen []string
	)
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf(format, args...))
	}
	r := newWorld(t).start(
		perdure.OnQueue(first, func(ctx context.Context, in *in) (*out, error) {
			if in.Job.Attempt == 1 {
				return nil, errors.New("not at once")
			}
			note("first %d of %s at attempt %d", in.Job.Value.Number, in.Job.Key, in.Job.Attempt)
			return &out{Next: &queue.Message[job]{Value: in.Job.Value, Delay: time.Hour}}, perdure.Extend(ctx, time.Hour)
		}),
		perdure.OnQueue(second, func(_ context.Context, in *struct {
			Job job `body:""`
		}) (*struct{}, error) {
			note("second %d of %s", in.Job.Number, in.Job.Customer)
			return nil, nil
		}),
	)
	r.unit(func(ctx context.Context) error {
		return first.SendAll(ctx, []job{{"ada", 1}, {"ada", 2}})
	})
	r.settle()
	r.advance(time.Second)
	r.settle()
	r.advance(time.Second)
	r.settle()
	want := []string{"first 1 of ada at attempt 2", "first 2 of ada at attempt 2"}
	if !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
	r.advance(time.Hour)
	r.settle()
	if want = append(want, "second 1 of ada", "second 2 of ada"); !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
	if err := perdure.Extend(t.Context(), time.Second); err == nil {
		t.Error("extended nothing")
	}
}

func TestQueueFunctionsThatCannotBe(t *testing.T) {
	t.Parallel()
	q := queue.Of[job]("jobs")
	fn := func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }
	contains(t, newWorld(t).refuse(perdure.OnQueue(q, fn), perdure.OnQueue(q, fn)), `queue "jobs" has two functions`, "stream")
	contains(t, newWorld(t).refuse(perdure.OnQueue(q, fn, perdure.FunctionName("other"))), "FunctionName")
	bad := func(context.Context, *struct {
		X string `bind:"jobs/1"`
	}) (*struct{}, error) {
		return nil, nil
	}
	contains(t, newWorld(t).refuse(perdure.OnQueue(q, bad)), "queue/jobs", "OnQueue")
	if text := newWorld(t).refuse(perdure.OnQueue(queue.Of[func()]("f"), fn)); !strings.Contains(text, "cannot be JSON") {
		t.Error(text)
	}
}
