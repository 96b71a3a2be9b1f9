package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
)

type endedIn struct {
	Ended perdure.Ended `body:""`
}

type endedOut struct {
	Item *item `bind:"items/{orchestration.name}/{orchestration.state}"`
}

// Of each end of an instance those functions hear that want to, once.
func TestEndedTriggersFunction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	waits := durable.NewEvent[string]("go")
	other := durable.NewOrchestration[string, string]("other")
	type key struct {
		Item *item `bind:"items/{orchestration.id}"`
	}
	all := make(chan string, 10)
	var events []perdure.Ended
	r := w.start(items,
		process.Impl(func(ctx *durable.Context, in string) (string, error) {
			got, err := waits.Wait(ctx)
			if got == "fail" {
				err = errors.New("told to fail")
			}
			return "result " + got, err
		}),
		other.Impl(func(*durable.Context, string) (string, error) { return "done", nil }),
		perdure.OnEnded(process, func(_ context.Context, in *endedIn) (*key, error) {
			events = append(events, in.Ended)
			return &key{&item{Count: 1, Text: string(in.Ended.State) + " " + string(in.Ended.Result) + " " + in.Ended.Failure}}, nil
		}, perdure.Policy{Concurrency: 1}),
		perdure.OnEnded(perdure.AnyOrchestration, func(_ context.Context, in *endedIn) (*empty, error) {
			all <- fmt.Sprint(in.Ended.Name, " ", in.Ended.InstanceID)
			return nil, nil
		}),
		perdure.OnEnded(perdure.OrchestrationName("nobody"), func(context.Context, *empty) (*empty, error) {
			t.Error("it ran")
			return nil, nil
		}))
	for _, id := range []string{"completes", "fails", "terminates", "waits"} {
		if _, err := process.StartWith(t.Context(), r.Durable(), "in", durable.ID(id), durable.Tags{"k": "v"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.StartWith(t.Context(), r.Durable(), "in", durable.ID("o")); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	err := errors.Join(
		waits.RaiseWith(t.Context(), r.Durable(), "completes", "on"),
		waits.RaiseWith(t.Context(), r.Durable(), "fails", "fail"),
		r.Durable().Terminate(t.Context(), "terminates", "enough"))
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	for id, want := range map[string]string{
		"completes": `Completed "result on" `, "fails": "Failed  told to fail", "terminates": "Terminated  enough", "waits": "", "o": "",
	} {
		if got := r.item(id).Text; got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	var heard []string
	for range 4 {
		heard = append(heard, get(t, all))
	}
	slices.Sort(heard)
	name := process.Name()
	if want := []string{"other o", name + " completes", name + " fails", name + " terminates"}; len(all) != 0 || !slices.Equal(heard, sorted(want)) {
		t.Errorf("heard of %q, want %q", heard, want)
	}
	for _, e := range events {
		if e.Name != name || e.Tags["k"] != "v" || !e.Created.Equal(noon) || !e.Ended.Equal(noon.Add(time.Second)) {
			b, _ := json.Marshal(e)
			t.Errorf("event %s", b)
		}
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

// An end is heard of after a restart, too.
func TestEndedOutlivesTheApp(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	simple := durable.NewOrchestration[string, string]("simple")
	fails := true
	parts := []perdure.Part{
		items, simple.Impl(func(*durable.Context, string) (string, error) { return "done", nil }),
		perdure.OnEnded(simple, func(context.Context, *endedIn) (*endedOut, error) {
			if fails {
				return nil, errors.New("not yet")
			}
			return &endedOut{&item{Count: 1}}, nil
		}),
	}
	r := w.start(items, parts[1], parts[2])
	if _, err := simple.StartWith(t.Context(), r.Durable(), "in", durable.ID("x")); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.stop()
	fails = false
	r = w.start(parts...)
	r.advance(time.Minute)
	if r.item("simple/Completed").Count != 1 {
		t.Error("nobody heard of the end")
	}
}
