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
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/table"
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
	contains(t, newWorld(t).refuse(perdure.OnQueue[job, struct{}, struct{}](q, nil)), "function queue/jobs: is nil")
	other := func(context.Context, *struct {
		Body struct{ Elsewhere int } `body:""`
	}) (*struct{}, error) {
		return nil, nil
	}
	contains(t, newWorld(t).refuse(perdure.OnQueue(q, other)), "queue/jobs", "perdure_test.job", "queue.Received[")
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

// Whatever commit the app crashes at, each message is handled once, those of a key in the
// order in which they were sent, one that fails and one that is a dead letter included.
func TestMessagesAreHandledOnceInOrderWhateverCrashes(t *testing.T) {
	t.Parallel()
	type in struct {
		Job queue.Received[job] `body:""`
	}
	type handled struct{ Jobs []int }
	rows := table.Of[handled]("handled")
	jobs := queue.Of[job]("jobs", queue.OrderBy(func(j job) string { return j.Customer }))
	parts := func() []perdure.Part {
		return []perdure.Part{rows, perdure.OnQueue(jobs, func(ctx context.Context, in *in) (*struct{}, error) {
			j := in.Job.Value
			row, err := rows.Get(ctx, j.Customer)
			if errors.Is(err, table.ErrNotFound) {
				row, err = &handled{}, nil
			}
			if err != nil {
				return nil, err
			}
			row.Jobs = append(row.Jobs, j.Number)
			if err := rows.Put(ctx, j.Customer, row); err != nil {
				return nil, err
			}
			switch {
			case j.Number == 2 && in.Job.Attempt == 1:
				return nil, errors.New("not at once")
			case j.Number == 3 && j.Customer == "ada":
				return nil, perdure.Permanent(errors.New("never"))
			}
			return nil, nil
		})}
	}
	perduretest.CrashEverywhere(t, perdure.Config{}, parts, func(t *testing.T, app *perduretest.App) {
		for number := 1; number <= 4; number++ {
			app.Unit(func(ctx context.Context) error {
				return jobs.SendAll(ctx, []job{{"ada", number}, {"bob", number}})
			})
		}
		app.Advance(time.Minute)
		check := func(customer string, want ...int) {
			t.Helper()
			app.Unit(func(ctx context.Context) error {
				row, err := rows.Get(ctx, customer)
				if err == nil && !slices.Equal(row.Jobs, want) {
					t.Errorf("jobs of %s: %v, want %v", customer, row.Jobs, want)
				}
				return err
			})
		}
		check("ada", 1, 2)
		check("bob", 1, 2, 3, 4)
		letters := app.DeadLetters()
		if len(letters) != 1 || letters[0].Lane != "ada" {
			t.Fatalf("dead letters %+v", letters)
		}
	})
}
