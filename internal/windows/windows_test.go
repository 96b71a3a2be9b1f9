package windows_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/internal/windows"
	"github.com/perdure/perdure/window"
)

const second = time.Second

func at(who string, seconds ...int64) (all []visit) {
	for _, s := range seconds {
		all = append(all, visit{Who: who, At: s})
	}
	return all
}

// eventTime is the option of most tests.
var eventTime = window.EventTime(visit.time)

// Events count from when they were appended: windows close a second after their end, as
// all there was is read.
func TestTumblingByAppendTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(5*second))
	defer w.end()
	w.append(0, at("a", 0, 0)...)
	w.append(1, at("a", 0)...)
	w.append(1, at("b", 0)...)
	w.feedAll()
	w.pass(4 * second)
	w.append(2, at("b", 0)...)
	w.feedAll()
	w.pass(2*second - 1)
	want(t, "before the end and a second", w.results())
	w.pass(1)
	want(t, "after", w.results(), "a 0-5=3 r1F", "b 0-5=2 r1F")
	w.append(0, at("a", 0)...)
	w.pass(time.Hour)
	want(t, "while an event waits", w.results()[2:])
	w.feedAll()
	want(t, "when it was read", w.results()[2:], "a 5-10=1 r1F")
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestTumblingByEventTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(10*second, eventTime, window.OutOfOrder(2*second), window.Idle(30*second)))
	defer w.end()
	w.clock.Advance(time.Hour)
	w.append(0, at("a", 1, 9, 3)...)
	w.append(1, at("a", 11)...)
	w.feedAll()
	want(t, "the partitions are at 9 and 11", w.results())
	w.append(0, at("a", 13)...)
	w.feedAll()
	want(t, "they are at 13 and 11, less 2", w.results())
	w.append(1, at("a", 12)...)
	w.feedAll()
	want(t, "they are at 13 and 12", w.results(), "a 0-10=3 r1F")
	w.append(1, at("a", 9)...)
	w.feedAll()
	if n := w.late(); n != 1 {
		t.Errorf("%d late events, want 1", n)
	}
	w.append(0, at("a", 40)...)
	w.feedAll()
	want(t, "partition 1 holds the next", w.results()[1:])
	w.pass(30 * second)
	want(t, "all are idle, time goes on with the clock", w.results()[1:], "a 10-20=3 r1F", "a 40-50=1 r1F")
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// A silent partition does not hold the windows of others.
func TestIdlePartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(10*second, eventTime, window.OutOfOrder(0), window.Idle(30*second)))
	defer w.end()
	w.clock.Advance(time.Hour)
	w.append(0, at("a", 1)...)
	w.append(1, at("a", 2)...)
	w.feedAll()
	w.pass(29 * second)
	w.append(0, at("a", 25)...)
	w.feedAll()
	want(t, "partition 1 is silent for 29 s", w.results())
	w.pass(second)
	want(t, "for 30 s", w.results(), "a 0-10=2 r1F")
}

func TestHoppingAndSliding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Hopping(10*second, 5*second, eventTime))
	defer w.end()
	w.append(0, at("a", 1, 6, 7)...)
	w.append(1, at("a", 12)...)
	w.feedAll()
	w.pass(time.Hour)
	want(t, "hopping", w.results(), "a -5-5=1 r1F", "a 0-10=3 r1F", "a 5-15=3 r1F", "a 10-20=1 r1F")
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}

	w = newWorld(t, window.Sliding(10*second, second, eventTime))
	defer w.end()
	w.append(0, at("a", 1, 6, 6)...)
	w.append(1, at("a", 10, 11)...)
	w.feedAll()
	w.pass(time.Hour)
	want(t, "sliding", w.results(), "a -8-2=1 r1F", "a -3-7=3 r1F", "a 1-11=4 r1F", "a 2-12=4 r1F")
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestSessionsOverPartitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Session(10*second, eventTime))
	defer w.end()
	w.append(0, at("a", 1, 15)...)
	w.append(1, at("a", 8, 40)...)
	w.append(2, at("b", 8, 18)...)
	w.feedAll()
	w.pass(time.Hour)
	want(t, "sessions", w.results(), "b 8-18=1 r1F", "a 1-25=3 r1F", "b 18-28=1 r1F", "a 40-50=1 r1F")
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestLateEventsCorrect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		windows window.Windows
		first   []string
		more    []string
	}{
		"tumbling": {
			window.Tumbling(10*second, eventTime, window.Lateness(time.Minute), window.OutOfOrder(0)),
			[]string{"a 0-10=1 r1F"}, []string{"a 0-10=1 r1F", "a 0-10=2 r2F"},
		},
		"hopping": {
			window.Hopping(10*second, 5*second, eventTime, window.Lateness(time.Minute), window.OutOfOrder(0)),
			[]string{"a -5-5=1 r1F", "a 0-10=1 r1F"},
			[]string{"a -5-5=1 r1F", "a 0-10=1 r1F", "a 0-10=2 r2F", "a 5-15=1 r1F"},
		},
		"sliding": {
			window.Sliding(10*second, 2*second, eventTime, window.Lateness(time.Minute), window.OutOfOrder(0)),
			[]string{"a -8-2=1 r1F"},
			[]string{"a -8-2=1 r1F", "a -2-8=2 r1F"},
		},
		"session": {
			window.Session(7*second, eventTime, window.Lateness(time.Minute), window.OutOfOrder(0)),
			[]string{"a 1-8=1 r1F"},
			[]string{"a 1-8=1 r1F", "a 1-14=2 r2F"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.windows)
			defer w.end()
			w.clock.Advance(time.Hour)
			w.append(0, at("a", 1)...)
			w.append(0, at("z", 20)...)
			w.feedAll()
			want(t, "first", w.results(), c.first...)
			w.append(0, at("a", 7)...)
			w.feedAll()
			want(t, "then", w.results(), c.more...)
			w.append(0, at("z", 500)...)
			w.feedAll()
			w.append(0, at("a", 2)...)
			w.feedAll()
			if n := w.late(); n != 1 {
				t.Errorf("%d late events, want 1", n)
			}
			w.pass(2 * time.Hour)
			if n := w.stored(); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// A late event corrects the sliding windows that end after it.
func TestLateEventInLaterSlidingWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Sliding(10*second, 2*second, eventTime, window.Lateness(time.Minute), window.OutOfOrder(0)))
	defer w.end()
	w.clock.Advance(time.Hour)
	w.append(0, at("a", 1, 7, 13)...)
	w.append(0, at("z", 20)...)
	w.feedAll()
	want(t, "first", w.results(), "a -8-2=1 r1F", "a -2-8=2 r1F", "a 4-14=2 r1F")
	w.append(1, at("a", 5)...)
	w.feedAll()
	want(t, "then", w.latest(), "a -8-2=1 r1F", "a -4-6=2 r1F", "a -2-8=3 r2F", "a 4-14=3 r2F")
}

// A late event makes two sessions one: the result of the second does not hold any more.
func TestSessionWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Session(10*second, eventTime, window.Lateness(time.Minute), window.OutOfOrder(0)))
	defer w.end()
	w.clock.Advance(time.Hour)
	w.append(0, at("a", 0, 15)...)
	w.append(0, at("z", 40)...)
	w.feedAll()
	want(t, "first", w.results(), "a 0-10=1 r1F", "a 15-25=1 r1F")
	w.append(1, at("a", 7)...)
	w.feedAll()
	want(t, "then", w.results(), "a 0-10=1 r1F", "a 0-25=3 r2F", "a 15-25=1 r1F", "a 15-25=0 r2W")
	w.append(1, at("a", -5)...)
	w.feedAll()
	want(t, "an earlier start", w.latest(), "a -5-25=4 r1F")
	w.pass(2 * time.Hour)
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestEarlyResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(10*second, window.Early(3*second)))
	defer w.end()
	w.append(0, at("a", 0)...)
	w.append(1, at("a", 0)...)
	w.feedAll()
	want(t, "at once", w.results())
	w.pass(3 * second)
	want(t, "after 3 s", w.results(), "a 0-10=2 r1-")
	w.pass(3 * second)
	want(t, "nothing happened", w.results(), "a 0-10=2 r1-")
	w.append(1, at("a", 0)...)
	w.feedAll()
	w.pass(3 * second)
	want(t, "after 9 s", w.results()[1:], "a 0-10=3 r2-")
	w.pass(2 * second)
	want(t, "at the end", w.results()[2:], "a 0-10=3 r3F")
	w.pass(time.Hour)
	if n := w.stored(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestLateEventsAreRouted(t *testing.T) {
	t.Parallel()
	var routed []visit
	w := newWorld(t, window.Tumbling(10*second, eventTime, window.OutOfOrder(0), window.Late(func(ctx context.Context, v visit) error {
		if !unit.Inside(ctx) {
			return errors.New("no unit")
		}
		routed = append(routed, v)
		return nil
	})))
	defer w.end()
	w.clock.Advance(time.Hour)
	w.append(0, at("a", 5, 25)...)
	w.feedAll()
	w.append(0, at("a", 3, 26)...)
	w.append(0, visit{Who: "b", At: -200 * 366 * 86400}, visit{Who: "b", At: 200 * 366 * 86400}) // no time that can be used
	w.feedAll()
	if len(routed) != 3 || routed[0].At != 3 || routed[1].Who != "b" || w.late() != 3 {
		t.Errorf("routed %+v, counted %d", routed, w.late())
	}
	w.pass(time.Hour)
	want(t, "results", w.results(), "a 0-10=1 r1F", "a 20-30=2 r1F")
}

// An event of the far future does not close the windows of the present.
func TestFutureDoesNotMoveTheWatermark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(10*second, eventTime, window.OutOfOrder(0)))
	defer w.end()
	w.append(0, at("a", 1, 1_000_000)...)
	w.feedAll()
	w.append(0, at("a", 2)...)
	w.feedAll()
	w.pass(time.Minute)
	want(t, "results", w.results(), "a 0-10=2 r1F")
}

// An unfinished event that the cursor has passed holds the watermark.
func TestSpilledEventsHoldTheWatermark(t *testing.T) {
	t.Parallel()
	waits := true
	w := newWorld(t, window.Tumbling(5*second), func(c *config) {
		c.Waits = func(_ records.View, partition int) (bool, error) { return waits && partition == 1, nil }
	})
	defer w.end()
	w.append(0, at("a", 0)...)
	w.feedAll()
	w.pass(time.Hour)
	want(t, "while it waits", w.results())
	waits = false
	w.append(0, at("a", 0)...)
	w.feedAll()
	want(t, "then", w.results(), "a 0-5=1 r1F")
}

// failures keeps results that failed.
type failures struct {
	taken []string
	held  map[string]bool
}

func (f *failures) Held(_ *unit.Unit, key string) (bool, error) { return f.held[key], nil }

func (f *failures) Put(u *unit.Unit, key string, data []byte, cause error) error {
	text := key + " waits"
	if cause != nil {
		text = key + " " + strings.SplitN(cause.Error(), "\n", 2)[0]
	}
	u.OnCommit(func() {
		f.taken = append(f.taken, text)
		f.held[key] = true
	})
	return nil
}

// A result for which the function fails is taken aside with its cause, and those of its
// key wait behind it. All others go on.
func TestFailures(t *testing.T) {
	t.Parallel()
	fails := &failures{held: map[string]bool{}}
	w := newWorld(t, window.Tumbling(5*second), func(c *config) {
		c.Failures = fails
		c.Handle = func(ctx context.Context, r result) error {
			switch r.Key {
			case "error":
				return errors.New("on purpose")
			case "panic":
				panic("on purpose")
			case "exit":
				runtime.Goexit()
			}
			return keep(ctx, r)
		}
	})
	defer w.end()
	for _, who := range []string{"a", "error", "panic", "exit", "z"} {
		w.append(0, at(who, 0)...)
	}
	w.feedAll()
	w.pass(time.Minute)
	want(t, "the others", w.results(), "a 0-5=1 r1F", "z 0-5=1 r1F")
	if got := strings.Join(fails.taken, ", "); got != "error on purpose, exit perdure: function called runtime.Goexit, panic panic: on purpose" {
		t.Errorf("taken: %s", got)
	}
	w.append(0, at("error", 0)...)
	w.append(0, at("z", 0)...)
	w.feedAll()
	w.pass(time.Minute)
	want(t, "the others go on", w.results()[2:], "z 60-65=1 r1F")
	if got := fails.taken[len(fails.taken)-1]; got != "error waits" {
		t.Errorf("the next one of the key: %s", got)
	}
}

// Without Failures a result is tried again, and the function goes on from where it was.
func TestResultIsTriedAgain(t *testing.T) {
	t.Parallel()
	broken := true
	w := newWorld(t, window.Tumbling(5*second), func(c *config) {
		c.Handle = func(ctx context.Context, r result) error {
			if broken {
				return errors.New("on purpose")
			}
			return keep(ctx, r)
		}
	})
	defer w.end()
	w.append(0, at("a", 0)...)
	w.feedAll()
	w.pass(time.Minute)
	want(t, "while it fails", w.results())
	broken = false
	w.pass(second)
	want(t, "then", w.results(), "a 0-5=1 r1F")
}

// An event that comes while its session is being closed, and in time, is either part of it
// or begins another one: whoever commits second runs again.
func TestSessionGrowsWhileItCloses(t *testing.T) {
	t.Parallel()
	cut := window.Session(5*second, eventTime, window.OutOfOrder(0))
	t.Run("the batch is first", func(t *testing.T) {
		t.Parallel()
		var w *world
		calls := 0
		w = newWorld(t, cut, func(c *config) {
			c.Handle = func(ctx context.Context, r result) error {
				if calls++; calls == 1 {
					w.append(0, at("a", 13)...)
					if _, err := w.feedAside(0, 1, nil); err != nil {
						t.Error(err)
					}
				}
				return keep(ctx, r)
			}
		})
		defer w.end()
		w.clock.Advance(time.Hour)
		w.append(0, at("a", 10)...)
		w.append(0, at("z", 15)...)
		w.feedAll()
		want(t, "the session is not over", w.results())
		w.pass(time.Hour)
		want(t, "in the end", w.results(), "a 10-18=2 r1F", "z 15-20=1 r1F")
	})
	t.Run("while it is forgotten", func(t *testing.T) {
		t.Parallel()
		var w *world
		fed := false
		w = newWorld(t, window.Session(5*second, eventTime, window.OutOfOrder(0), window.Lateness(20*second)), func(c *config) {
			c.Handle = func(ctx context.Context, r result) error {
				if r.Key == "y" && !fed {
					fed = true
					w.append(1, at("a", 12)...)
					if _, err := w.feedAside(1, 1, nil); err != nil {
						t.Error(err)
					}
				}
				return keep(ctx, r)
			}
		})
		defer w.end()
		w.clock.Advance(time.Hour)
		w.append(1, at("a", 10)...)
		w.append(1, at("z", 16)...)
		w.feedAll()
		want(t, "first", w.results(), "a 10-15=1 r1F")
		w.append(1, at("y", 20)...)
		w.append(1, at("z", 36)...)
		w.feedAll()
		w.pass(time.Hour)
		want(t, "in the end", w.latest(), "a 10-17=2 r2F", "z 16-21=1 r1F", "y 20-25=1 r1F", "z 36-41=1 r1F")
	})
	t.Run("the close is first", func(t *testing.T) {
		t.Parallel()
		broken := true
		w := newWorld(t, cut, func(c *config) {
			c.Handle = func(ctx context.Context, r result) error {
				if broken {
					return errors.New("on purpose")
				}
				return keep(ctx, r)
			}
		})
		defer w.end()
		w.clock.Advance(time.Hour)
		w.append(0, at("a", 10)...)
		w.append(0, at("z", 15)...)
		w.feedAll()
		w.append(0, at("a", 13)...)
		_, err := w.feedAside(0, 1, func() {
			broken = false
			w.pass(second)
			want(t, "closed meanwhile", w.results(), "a 10-15=1 r1F")
		})
		if err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		want(t, "in the end", w.results(), "a 10-15=1 r1F", "a 13-18=1 r1F", "z 15-20=1 r1F")
	})
}

// Results that are too large for one unit together are handed over one by one.
func TestLargeResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(5*second), func(c *config) {
		c.Handle = func(ctx context.Context, r result) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			_ = u.Put([]byte{0xF1, r.Key[0]}, make([]byte, 5<<20)) // whether it fails or not
			return keep(ctx, r)
		}
	})
	defer w.end()
	for _, who := range "abcdefgh" {
		w.append(0, at(string(who), 0)...)
	}
	w.feedAll()
	w.pass(time.Minute)
	if n := len(w.results()); n != 8 {
		t.Errorf("%d results, want 8", n)
	}
}

func TestOtherWindowsUnderOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, window.Tumbling(5*second))
	defer w.end()
	w.append(0, at("a", 0)...)
	w.feedAll()
	other := w.config
	other.Windows = window.Tumbling(6 * second)
	f, err := windows.New(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); !errors.Is(err, windows.ErrShape) {
		t.Errorf("started with open windows of another kind: %v", err)
	}
	w.pass(time.Minute)
	if err := f.Start(t.Context()); err != nil {
		t.Errorf("not started with none open: %v", err)
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	good := config{Windows: window.Tumbling(second), Key: func(v visit) string { return "" }, Aggregate: window.Count[visit], Handle: keep}
	for text, change := range map[string]func(*config){
		"the size is 0":               func(c *config) { c.Windows = window.Tumbling(0) },
		"want one of window.Tumbling": func(c *config) { c.Windows = window.Windows{} },
		"no multiple of 2s":           func(c *config) { c.Windows = window.Hopping(3*second, 2*second) },
		"at most 1000":                func(c *config) { c.Windows = window.Sliding(time.Hour, second) },
		"Lateness is -1s":             func(c *config) { c.Windows = window.Tumbling(second, window.Lateness(-second)) },
		"no early results":            func(c *config) { c.Windows = window.Sliding(second, second, window.Early(second)) },
		"want func(windows_test.visit)": func(c *config) {
			c.Windows = window.Tumbling(second, window.EventTime(func(int) time.Time { return start }))
		},
		"want func(context.Context, windows_t": func(c *config) {
			c.Windows = window.Tumbling(second, window.Late(func(context.Context, int) error { return nil }))
		},
		"one is nil": func(c *config) { c.Key = nil },
	} {
		c := good
		change(&c)
		if _, err := windows.New(c); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
	_, err := windows.New(windows.Config[visit, struct{ A chan int }, int]{
		Windows: good.Windows, Key: func(visit) (k struct{ A chan int }) { return k }, Aggregate: window.Count[visit],
		Handle: func(context.Context, window.Result[struct{ A chan int }, int]) error { return nil },
	})
	if err == nil || !strings.Contains(err.Error(), "a key cannot be JSON") {
		t.Errorf("error %v for a key that cannot be JSON", err)
	}
}
