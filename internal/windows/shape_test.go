package windows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/windows"
	"github.com/perdure/perdure/window"
)

func spans(bounds ...int64) (all []windows.Span) {
	for i := 0; i < len(bounds); i += 2 {
		all = append(all, windows.NewSpan(bounds[i], bounds[i+1]))
	}
	return all
}

func TestWindowsOfAnEvent(t *testing.T) {
	t.Parallel()
	const ns = time.Nanosecond
	for _, c := range []struct {
		windows window.Windows
		at      int64
		want    []windows.Span
	}{
		{window.Tumbling(10 * ns), 0, spans(0, 10)},
		{window.Tumbling(10 * ns), 9, spans(0, 10)},
		{window.Tumbling(10 * ns), 10, spans(10, 20)},
		{window.Tumbling(10 * ns), -1, spans(-10, 0)},
		{window.Tumbling(10*ns, window.Offset(3*ns)), 12, spans(3, 13)},
		{window.Tumbling(10*ns, window.Offset(-3*ns)), 7, spans(7, 17)},
		{window.Hopping(10*ns, 5*ns), 7, spans(0, 10, 5, 15)},
		{window.Hopping(10*ns, 5*ns), 10, spans(5, 15, 10, 20)},
		{window.Hopping(6*ns, 2*ns), -1, spans(-6, 0, -4, 2, -2, 4)},
		{window.Sliding(10*ns, 2*ns), 7, spans(-2, 8)},
		{window.Sliding(10*ns, 2*ns), 8, spans(0, 10)},
	} {
		if got := windows.NewShape(c.windows).WindowsOf(c.at); !slices.Equal(got, c.want) {
			t.Errorf("%v: an event at %d is in %v, want %v", c.windows, c.at, got, c.want)
		}
	}
}

func TestWatermark(t *testing.T) {
	t.Parallel()
	event, appended := windows.NewClocks(10, 100), windows.NewClocks(10, 0)
	mark, none := windows.NewMark, windows.NoEvents
	for name, c := range map[string]struct {
		clocks        windows.Clocks
		now           int64
		marks         []windows.Mark
		at, next, lag int64
	}{
		"one":                         {event, 1000, []windows.Mark{mark(950, 990, false)}, 940, 1090, windows.Never},
		"least of two":                {event, 1000, []windows.Mark{mark(950, 990, false), mark(900, 980, false)}, 890, 1080, windows.Never},
		"an idle one does not hold":   {event, 1000, []windows.Mark{mark(950, 990, false), mark(500, 900, false)}, 940, 1090, windows.Never},
		"one that is behind holds":    {event, 1000, []windows.Mark{mark(950, 990, false), mark(500, 600, true)}, 490, 1090, windows.Never},
		"nothing was read of it":      {event, 1000, []windows.Mark{mark(950, 990, false), none(true)}, windows.Before, 1090, windows.Never},
		"an empty one does not hold":  {event, 1000, []windows.Mark{mark(950, 990, false), none(false)}, 940, 1090, windows.Never},
		"all idle follow the clock":   {event, 1000, []windows.Mark{mark(500, 600, false), none(false)}, 890, windows.Never, 110},
		"all idle, later by events":   {event, 1000, []windows.Mark{mark(950, 900, false)}, 940, windows.Never, 110},
		"nothing ever":                {event, 1000, []windows.Mark{none(false)}, 890, windows.Never, 110},
		"append time, all read":       {appended, 1000, []windows.Mark{mark(950, 950, false), none(false)}, 990, windows.Never, 10},
		"append time, one is behind":  {appended, 1000, []windows.Mark{mark(950, 950, true), mark(990, 990, false)}, 940, windows.Never, windows.Never},
		"append time, of this moment": {appended, 1000, []windows.Mark{mark(1000, 1000, false)}, 990, windows.Never, 10},
	} {
		if at, next, lag := c.clocks.Watermark(c.now, c.marks...); at != c.at || next != c.next || lag != c.lag {
			t.Errorf("%s: %d, %d, %d; want %d, %d, %d", name, at, next, lag, c.at, c.next, c.lag)
		}
	}
}

func TestFence(t *testing.T) {
	t.Parallel()
	f := windows.NewFence()
	expect := func(step string, open bool) {
		t.Helper()
		if windows.Open(f) != open {
			t.Errorf("%s: open %v, want %v", step, !open, open)
		}
	}
	expect("nothing runs", true)
	windows.Enter(f, 1)
	expect("one runs", false)
	windows.Leave(f, 1, true)
	expect("it has ended", true)
	windows.Enter(f, 2)
	for range 7 {
		windows.Enter(f, 1)
		windows.Leave(f, 1, true)
	}
	expect("eight have committed, another runs", true)
	windows.Passed(f)
	for range 20 {
		windows.Enter(f, 1)
		windows.Leave(f, 1, true)
	}
	expect("the one that runs was made conflict", false)
	windows.Leave(f, 2, false)
	windows.Enter(f, 2)
	expect("it runs again", false)
	windows.Leave(f, 2, true)
	windows.Enter(f, 2)
	expect("it has committed", true)
}
