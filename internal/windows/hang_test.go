package windows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/window"
)

// A function that does not return when its time is over is left alone: its result is
// taken aside, all others go on, and what it still does cannot commit.
func TestAFunctionThatHangs(t *testing.T) {
	t.Parallel()
	fails := &failures{held: map[string]bool{}}
	release, wrote := make(chan struct{}), make(chan error, 2)
	w := newWorld(t, window.Tumbling(5*second), func(c *config) {
		c.Failures = fails
		c.Timeout = 20 * time.Millisecond
		c.Handle = func(ctx context.Context, r result) error {
			if r.Key == "hangs" {
				<-release
				wrote <- keep(ctx, r)
				return nil
			}
			return keep(ctx, r)
		}
	})
	defer w.end()
	for _, who := range []string{"a", "hangs", "z"} {
		w.append(0, at(who, 0)...)
	}
	w.feedAll()
	w.pass(time.Minute)
	want(t, "the others", w.results(), "a 0-5=1 r1F", "z 0-5=1 r1F")
	if got := strings.Join(fails.taken, ", "); got != "hangs context deadline exceeded" {
		t.Errorf("taken: %s", got)
	}
	close(release)
	for range 2 { // among others, then alone
		if err := <-wrote; !errors.Is(err, unit.ErrUnitClosed) {
			t.Errorf("what was given up writes: %v", err)
		}
	}
}

func TestStopLeavesAFunctionThatHangs(t *testing.T) {
	t.Parallel()
	begun, release, wrote := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	w := newWorld(t, window.Tumbling(5*second), func(c *config) {
		c.Handle = func(ctx context.Context, r result) error {
			close(begun)
			<-release
			wrote <- keep(ctx, r)
			return nil
		}
	})
	w.append(0, at("a", 0)...)
	for {
		if n, err := w.feed(0, 1000); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			break
		}
	}
	w.clock.Advance(time.Minute)
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- w.f.Stop(ctx) }()
	select {
	case err := <-stopped:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("stop: %v, want that it was cut short", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("stop waits for a function that does not return")
	}
	close(release)
	if err := <-wrote; err == nil {
		t.Error("what was cut short writes")
	}
	want(t, "results", w.results())
	w.committer.Close()
	if err := w.store.Close(); err != nil {
		t.Error(err)
	}
}
