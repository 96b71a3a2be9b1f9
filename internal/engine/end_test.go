package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// What follows from the end of an instance is in the commit that ends it, however it
// ends, and nowhere else.
func TestOnEnd(t *testing.T) {
	t.Parallel()
	var (
		mu    sync.Mutex
		ends  []string
		fails = 1
	)
	w := newWorld(t, flow.Impl(func(ctx *durable.Context, n int) (int, error) {
		switch v, err := goOn.Wait(ctx); {
		case err != nil:
			return 0, err
		case v < 0:
			return 0, errors.New("no")
		case n < v:
			return flow.ContinueAsNew(n + 1)
		default:
			return v, nil
		}
	}))
	w.set = func(o *engine.Options) {
		o.OnEnd = func(u *unit.Unit, ended *records.Instance) error {
			mu.Lock()
			defer mu.Unlock()
			if fails--; fails >= 0 {
				return errors.New("not now")
			}
			u.OnCommit(func() {
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, fmt.Sprint(ended.ID, " ", ended.State, " ", string(ended.Output)))
			})
			return u.Put([]byte("end/"+ended.ID), []byte(ended.State.String()))
		}
	}
	w.mustStart()
	for _, id := range []string{"completed", "failed", "terminated", "canceled", "waiting"} {
		_, err := flow.StartWith(t.Context(), w.client, 0, durable.ID(id))
		w.must(err)
	}
	w.must(goOn.RaiseWith(t.Context(), w.client, "completed", 0))
	w.ended("completed") // after the hook has failed once
	w.must(goOn.RaiseWith(t.Context(), w.client, "failed", -1))
	w.must(w.client.Terminate(t.Context(), "terminated", "because"))
	w.must(w.client.Cancel(t.Context(), "canceled", "because", time.Hour))
	w.must(goOn.RaiseWith(t.Context(), w.client, "waiting", 1))
	w.engine.WaitIdle()
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(ends)
	if want := []string{"canceled Canceled ", "completed Completed 0", "failed Failed ", "terminated Terminated "}; !slices.Equal(ends, want) {
		t.Errorf("ended %q, want %q", ends, want)
	}
	snap, err := w.store.Snapshot()
	w.must(err)
	defer snap.Close()
	for id, want := range map[string]string{"completed": "Completed", "failed": "Failed", "terminated": "Terminated", "canceled": "Canceled", "waiting": ""} {
		if got, _, err := snap.Get([]byte("end/" + id)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", id, got, err, want)
		}
	}
}
