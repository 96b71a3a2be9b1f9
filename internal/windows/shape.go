package windows

import (
	"math"
	"time"

	"github.com/perdure/perdure/window"
)

// Times are Unix times in nanoseconds.

const (
	never  = math.MaxInt64
	before = math.MinInt64 // all events
)

// The event times that can be computed with.
var (
	firstTime = time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// span is the time from start up to but not including end.
type span struct{ start, end int64 }

// shape says how time is cut. Windows that do not depend on the events are made of
// panes: pieces of time of one length, each of which is aggregated once, whatever
// number of windows it is in. Sessions are their own panes.
type shape struct {
	kind  window.Kind
	size  int64 // of a window; the gap of a session
	every int64 // of a pane
	shift int64
	grace int64
}

func newShape(w window.Windows) shape {
	return shape{kind: w.Kind, size: int64(w.Size), every: int64(w.Every), shift: int64(w.Shift), grace: int64(w.Grace)}
}

// pane returns the start of the pane that t is in.
func (s shape) pane(t int64) int64 {
	rest := (t - s.shift) % s.every
	if rest < 0 {
		rest += s.every
	}
	return t - rest
}

// firstOf returns the first window that events of a pane bring a result of.
func (s shape) firstOf(pane int64) span {
	return s.window(pane + s.every - s.size)
}

// lastOf returns the last one. Those in between begin every apart. Events bring results of
// one sliding window, the one that ends with them.
func (s shape) lastOf(pane int64) span {
	if s.kind == window.KindSliding {
		return s.firstOf(pane)
	}
	return s.window(pane)
}

// window returns the window that begins at start.
func (s shape) window(start int64) span { return span{start, start + s.size} }

// late reports whether an event in a pane is too late for all windows, which were closed
// up to closed.
func (s shape) late(pane, closed int64) bool { return s.lastOf(pane).end+s.grace <= closed }

// freedWith returns the pane that nobody needs when w is the last window to be freed.
func (s shape) freedWith(w span) (pane int64) {
	if s.kind == window.KindSliding {
		return w.end - s.every
	}
	return w.start
}

// keptUntil returns when nobody needs a pane any more.
func (s shape) keptUntil(pane int64) int64 { return pane + s.size + s.grace }

// overlaps reports whether a and b have a moment in common.
func (a span) overlaps(b span) bool { return a.start < b.end && b.start < a.end }
