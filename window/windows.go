package window

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says how a Windows cuts time.
type Kind uint8

// The kinds of windows.
const (
	KindTumbling Kind = iota + 1
	KindHopping
	KindSliding
	KindSession
)

// Windows says into which windows the events of a key fall, and when a window is
// complete. Tumbling, Hopping, Sliding and Session make one.
type Windows struct {
	// Kind says how time is cut.
	Kind Kind
	// Size is how long a window lasts; of a session, the gap that ends it.
	Size time.Duration
	// Every is the distance of the ends of two windows; Size if they tumble, 0 of
	// sessions.
	Every time.Duration
	// The rest is what options set.
	Shift, Disorder, IdleAfter, Grace, EarlyEvery time.Duration
	TimeOf, OnLate                                any
}

// The defaults.
const (
	// DefaultOutOfOrder is how much later than a younger event an event may come
	// without Windows being told.
	DefaultOutOfOrder = time.Second
	// DefaultIdle is after how long a silent partition holds nothing up.
	DefaultIdle = 5 * time.Second
)

// The bounds of a Windows.
const (
	// MaxSize bounds Size, Grace and the like.
	MaxSize = 366 * 24 * time.Hour
	// MaxOverlap bounds how many windows an event is in, and how many steps a
	// sliding window has.
	MaxOverlap = 1000
)

// Tumbling cuts time into windows of one size, one after another, without gaps: an
// event is in one of them. They are aligned to the Unix epoch in UTC, so windows of
// an hour begin at full hours; Offset shifts them.
func Tumbling(size time.Duration, options ...Option) Windows {
	return newWindows(Windows{Kind: KindTumbling, Size: size, Every: size}, options)
}

// Hopping makes windows of one size of which one begins at each multiple of every: an
// event is in size/every of them. Size must be a multiple of every.
func Hopping(size, every time.Duration, options ...Option) Windows {
	return newWindows(Windows{Kind: KindHopping, Size: size, Every: every}, options)
}

// Sliding looks back from each event: there is a result for the time of each event,
// over the events of the size before it. Times are taken in steps, which size must be
// a multiple of: a window ends with each step that has an event. So it is as
// Hopping(size, step) without the windows in whose last step nothing happened.
func Sliding(size, step time.Duration, options ...Option) Windows {
	return newWindows(Windows{Kind: KindSliding, Size: size, Every: step}, options)
}

// Session makes a window of events that are less than gap apart. It begins with the
// first event and ends gap after the last. An event between two sessions that is less
// than gap from both makes them one.
func Session(gap time.Duration, options ...Option) Windows {
	return newWindows(Windows{Kind: KindSession, Size: gap}, options)
}

func newWindows(w Windows, options []Option) Windows {
	w.Disorder, w.IdleAfter = DefaultOutOfOrder, DefaultIdle
	for _, o := range options {
		o(&w)
	}
	return w
}

// Option configures a Windows.
type Option func(*Windows)

// EventTime says when an event happened. Without it that is when it was appended to
// the stream. T is the stream's; another one is an error at start-up. A time later than
// the app's clock counts for its window, but does not move the watermark beyond the
// clock.
func EventTime[T any](of func(event T) time.Time) Option {
	return func(w *Windows) { w.TimeOf = of }
}

// OutOfOrder is how much earlier than the latest event before it in its partition an
// event may have happened without being late; default DefaultOutOfOrder. Results come
// later by as much.
func OutOfOrder(d time.Duration) Option { return func(w *Windows) { w.Disorder = d } }

// Idle is after how long a partition from which everything was read and to which
// nothing comes does not hold the windows up any more; default DefaultIdle. When that
// goes for all partitions, time goes on with the app's clock. It matters with EventTime
// alone: when events count from when they were appended, a partition that was read
// to its end holds nothing up.
func Idle(d time.Duration) Option { return func(w *Windows) { w.IdleAfter = d } }

// Lateness keeps a window for a while after its result: events that come late by no
// more bring a corrected result. Default 0: a window is forgotten with its result.
func Lateness(d time.Duration) Option { return func(w *Windows) { w.Grace = d } }

// Early brings results of windows that are not complete: one each d of the app's
// clock in which there were events. Not for Sliding.
func Early(d time.Duration) Option { return func(w *Windows) { w.EarlyEvery = d } }

// Late is called for each event that comes too late for all of its windows, or whose time
// is not between the years 1700 and 2200. It runs in the unit of work that takes the
// event from the stream, so what it writes or sends happens once. Late events are
// counted with and without it. T is the stream's; another one is an error at start-up.
func Late[T any](handle func(ctx context.Context, event T) error) Option {
	return func(w *Windows) { w.OnLate = handle }
}

// Offset shifts the windows against the Unix epoch: with one hour, windows of a day
// begin at one o'clock UTC. It means nothing to sessions.
func Offset(d time.Duration) Option { return func(w *Windows) { w.Shift = d } }

// Validate reports what is wrong with w.
func (w Windows) Validate() error {
	if w.Kind < KindTumbling || w.Kind > KindSession {
		return errors.New("want one of window.Tumbling, Hopping, Sliding and Session")
	}
	for name, d := range map[string]time.Duration{
		"the size": w.Size, "OutOfOrder": w.Disorder, "Idle": w.IdleAfter, "Lateness": w.Grace, "Early": w.EarlyEvery,
	} {
		if d < 0 || d > MaxSize {
			return fmt.Errorf("%s is %v: want 0 to %v", name, d, MaxSize)
		}
	}
	switch {
	case w.Size == 0:
		return errors.New("the size is 0")
	case w.Kind == KindSession:
	case w.Every <= 0 || w.Size%w.Every != 0:
		return fmt.Errorf("the size %v is no multiple of %v", w.Size, w.Every)
	case w.Size/w.Every > MaxOverlap:
		return fmt.Errorf("the size %v is %d times %v: at most %d are allowed", w.Size, w.Size/w.Every, w.Every, MaxOverlap)
	case w.Kind == KindSliding && w.EarlyEvery > 0:
		return errors.New("sliding windows have no early results: there is one for each event anyway")
	}
	return nil
}

// String describes how time is cut.
func (w Windows) String() string {
	shifted := ""
	if w.Shift != 0 && w.Kind != KindSession {
		shifted = fmt.Sprintf(" shifted by %v", w.Shift)
	}
	switch w.Kind {
	case KindTumbling:
		return fmt.Sprintf("tumbling %v%s", w.Size, shifted)
	case KindHopping:
		return fmt.Sprintf("hopping %v every %v%s", w.Size, w.Every, shifted)
	case KindSliding:
		return fmt.Sprintf("sliding %v in steps of %v%s", w.Size, w.Every, shifted)
	case KindSession:
		return fmt.Sprintf("sessions with a gap of %v", w.Size)
	default:
		return "no windows"
	}
}
