package clock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestManualFiresInOrderAtTheirTimes(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	var fired []string
	note := func(name string) func() {
		return func() { fired = append(fired, name+"@"+m.Now().Sub(start).String()) }
	}
	m.AfterFunc(3*time.Second, note("c"))
	m.AfterFunc(time.Second, func() {
		note("a")()
		m.AfterFunc(time.Second, note("b")) // set on the way, fires on the way
	})
	m.AfterFunc(3*time.Second, note("d"))
	m.AfterFunc(time.Hour, note("late"))

	m.Advance(3 * time.Second)
	if want := []string{"a@1s", "b@2s", "c@3s", "d@3s"}; !slices.Equal(fired, want) {
		t.Errorf("fired %v, want %v", fired, want)
	}
	if next, ok := m.Next(); !ok || !next.Equal(start.Add(time.Hour)) {
		t.Errorf("Next = %v %v, want the timer in one hour", next, ok)
	}
	if got := m.Now().Sub(start); got != 3*time.Second {
		t.Errorf("clock moved by %v, want 3s", got)
	}
	m.AdvanceTo(start)
	if m.Now().Before(start.Add(3 * time.Second)) {
		t.Error("clock went back")
	}
}

func TestManualTimerStopAndReset(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	timer := m.NewTimer(time.Second)
	if !timer.Stop() || timer.Stop() {
		t.Error("Stop reported wrongly")
	}
	m.Advance(time.Minute)
	select {
	case at := <-timer.C():
		t.Errorf("stopped timer fired at %v", at)
	default:
	}
	if timer.Reset(time.Second) {
		t.Error("Reset of a stopped timer says it was set")
	}
	m.Advance(time.Second)
	if timer.Reset(time.Second) {
		t.Error("Reset of a fired timer says it was set")
	}
	select {
	case <-timer.C():
		t.Error("value of the earlier setting after Reset")
	default:
	}
	m.Advance(time.Second)
	if at := <-timer.C(); !at.Equal(start.Add(time.Minute + 2*time.Second)) {
		t.Errorf("fired at %v", at)
	}
}

func TestManualFiresAtOnceWhenDue(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	called := make(chan struct{})
	m.AfterFunc(0, func() { close(called) })
	<-called
	if at := <-m.NewTimer(-time.Second).C(); !at.Equal(start) {
		t.Errorf("fired at %v", at)
	}
}

func TestManualWaitTimers(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	go func() {
		m.NewTimer(time.Second)
		m.NewTimer(time.Second)
	}()
	if err := m.WaitTimers(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got := m.Timers(); got != 2 {
		t.Errorf("%d timers, want 2", got)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("gave up")
	cancel(cause)
	if err := m.WaitTimers(ctx, 3); !errors.Is(err, cause) {
		t.Errorf("WaitTimers = %v, want the context's cause", err)
	}
}

func TestSystem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.System()
		begin := c.Now()
		called := make(chan time.Time, 1)
		c.AfterFunc(time.Minute, func() { called <- c.Now() })
		timer := c.NewTimer(time.Second)
		if at := <-timer.C(); at.Sub(begin) != time.Second {
			t.Errorf("timer fired after %v", at.Sub(begin))
		}
		if at := <-called; at.Sub(begin) != time.Minute {
			t.Errorf("AfterFunc called after %v", at.Sub(begin))
		}
	})
}
