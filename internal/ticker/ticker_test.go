package ticker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/ticker"
	"github.com/perdure/perdure/internal/unit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// world is a store that outlives the tickers which run on it.
type world struct {
	*testing.T
	clock     *clock.Manual
	env       *unit.Env
	committer *store.Committer
	faults    atomic.Int64 // commits that are to fail
	ticker    *ticker.Ticker
	ids       records.Arrivals
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, clock: clock.NewManual(noon)}
	s := memory.New(nil)
	w.committer = store.NewCommitter(s, store.CommitterOptions{})
	w.env = &unit.Env{Snapshot: s.Snapshot, Now: func() time.Time { return w.clock.Now() }}
	t.Cleanup(func() {
		w.stop()
		w.committer.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Commit commits, or fails as a store that is out of order.
func (w *world) Commit(ctx context.Context, txn *store.Txn) error {
	if w.faults.Add(-1) >= 0 {
		return errors.New("out of order")
	}
	return w.committer.Commit(ctx, txn)
}

// start runs timers. Each tick is counted by its time, and its text is kept.
func (w *world) start(timers ...ticker.Timer) {
	w.Helper()
	w.ticker = ticker.New(ticker.Config{
		Env: w.env, Committer: w, Clock: w.clock, Log: slog.New(slog.DiscardHandler),
	})
	for _, t := range timers {
		w.ticker.Add(t, w.publish)
	}
	if err := w.ticker.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.settle()
}

func (w *world) publish(u *unit.Unit, tick ticker.Tick) error {
	last := "never"
	if !tick.Last.IsZero() {
		last = tick.Last.Format(time.TimeOnly)
	}
	id := w.ids.Next(u.Now())
	return errors.Join(
		u.Add(fmt.Appendf(nil, "count/%s/%d", tick.Name, tick.Scheduled.UnixNano()), 1),
		u.Put(fmt.Appendf(nil, "tick/%s/%s", tick.Name, id), fmt.Appendf(nil, "%s after %s", tick.Scheduled.Format(time.TimeOnly), last)),
		records.PutDelivery(u, &records.Delivery{Function: tick.Name, ID: id, EnqueuedAt: u.Now()}),
	)
}

func (w *world) stop() {
	if w.ticker != nil {
		if err := w.ticker.Stop(context.Background()); err != nil {
			w.Error(err)
		}
		w.ticker = nil
	}
}

func (w *world) settle() {
	w.Helper()
	if err := w.ticker.Idle(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// advance moves the time and waits for what that publishes.
func (w *world) advance(d time.Duration) {
	w.Helper()
	w.clock.Advance(d)
	w.settle()
}

// scan visits what is stored under a prefix.
func (w *world) scan(prefix string, visit func(store.Item)) {
	w.Helper()
	snap, err := w.env.Snapshot()
	if err != nil {
		w.Fatal(err)
	}
	defer snap.Close()
	err = snap.Scan(store.Range{Start: []byte(prefix), End: append([]byte(prefix), 0xff)}, func(it store.Item) bool {
		visit(it)
		return true
	})
	if err != nil {
		w.Fatal(err)
	}
}

// ticks returns the ticks that were published of a timer, in order; none twice.
func (w *world) ticks(name string) []string {
	w.Helper()
	var all []string
	w.scan("tick/"+name+"/", func(it store.Item) { all = append(all, string(it.Value)) })
	w.scan("count/"+name+"/", func(it store.Item) {
		if n, err := store.DecodeCounter(it.Value); n != 1 || err != nil {
			w.Errorf("tick %s was published %d times, %v", it.Key, n, err)
		}
	})
	return all
}

// want checks the ticks of a timer, given as "12:00:05 after 12:00:00, …".
func (w *world) want(name, ticks string) {
	w.Helper()
	if got := strings.Join(w.ticks(name), ", "); got != ticks {
		w.Errorf("ticks of %s:\n got %s\nwant %s", name, got, ticks)
	}
}

// handle removes the deliveries of a timer.
func (w *world) handle(name string) {
	w.Helper()
	err := unit.Run(w.Context(), w.env, w.committer, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return records.ScanDeliveries(u, name, records.DeliveryRef{}, func(at records.DeliveryRef) bool {
			err = records.DeleteDelivery(u, &records.Delivery{Function: name, ID: at.ID})
			return err == nil
		})
	})
	if err != nil {
		w.Fatal(err)
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(
		ticker.Timer{Name: "five", Schedule: parse(t, "@every 5s", time.UTC)},
		ticker.Timer{Name: "hourly", Schedule: parse(t, "@hourly", time.UTC)},
	)
	w.want("five", "")
	w.advance(4 * time.Second)
	w.want("five", "")
	w.advance(time.Second)
	w.want("five", "12:00:05 after never")
	w.advance(10 * time.Second)
	w.want("five", "12:00:05 after never, 12:00:10 after 12:00:05, 12:00:15 after 12:00:10")
	w.advance(time.Hour)
	w.want("hourly", "13:00:00 after never")
	if n := len(w.ticks("five")); n != 723 {
		t.Errorf("%d ticks, want 723", n)
	}
}

// Every second of a day has one tick, over three restarts.
func TestEverySecondOfADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	timer := ticker.Timer{Name: "second", Schedule: parse(t, "* * * * * *", time.UTC), CatchUp: ticker.CatchUpAll}
	w.start(timer)
	for hour := range 24 {
		if hour%8 == 3 {
			w.clock.Advance(6 * time.Minute) // what was due and not yet published is made up for
			w.stop()
			w.clock.Advance(10 * time.Minute)
			w.start(timer)
			w.clock.Advance(44 * time.Minute)
			continue
		}
		w.clock.Advance(time.Hour)
		w.settle()
	}
	w.settle()
	ticks := w.ticks("second")
	if len(ticks) != 86_400 {
		t.Errorf("%d ticks, want 86,400", len(ticks))
	}
}

func TestCatchUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	every := func(name, schedule string, c ticker.CatchUp) ticker.Timer {
		return ticker.Timer{Name: name, Schedule: parse(t, schedule, time.UTC), CatchUp: c}
	}
	timers := []ticker.Timer{
		every("all", "0 */15 * * * *", ticker.CatchUpAll), every("last", "0 */15 * * * *", ticker.CatchUpLast),
		every("none", "0 */15 * * * *", ticker.CatchUpNone), every("many", "* * * * * *", ticker.CatchUpAll),
		every("yearly", "@yearly", ticker.CatchUpLast), every("nothing missed", "@yearly", ticker.CatchUpAll),
	}
	w.start(timers...)
	w.stop()
	w.clock.Advance(50 * time.Minute)
	w.start(timers...)
	w.want("all", "12:15:00 after never, 12:30:00 after 12:15:00, 12:45:00 after 12:30:00")
	w.want("last", "12:45:00 after never")
	w.want("none", "")
	if n := len(w.ticks("many")); n != ticker.MaxCatchUp {
		t.Errorf("%d ticks were made up for, want %d", n, ticker.MaxCatchUp)
	}
	w.want("yearly", "")
	w.advance(10 * time.Minute)
	w.want("last", "12:45:00 after never, 13:00:00 after 12:45:00")
	w.want("none", "13:00:00 after never")
	w.stop()
	w.start(timers...) // nothing was missed
	w.want("none", "13:00:00 after never")
	w.stop()
	w.clock.Advance(3 * 365 * 24 * time.Hour)
	w.start(timers...)
	w.want("yearly", "00:00:00 after never")
}

// setClock moves the time as somebody does who sets the clock of the machine: no timer
// fires earlier or later than before.
type setClock struct {
	*clock.Manual
	offset atomic.Int64
}

func (c *setClock) Now() time.Time { return c.Manual.Now().Add(time.Duration(c.offset.Load())) }

func TestClockIsSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := &setClock{Manual: w.clock}
	var ticks []string
	k := ticker.New(ticker.Config{
		Env: w.env, Committer: w.committer, Clock: c, Log: slog.New(slog.DiscardHandler),
	})
	for name, catchUp := range map[string]ticker.CatchUp{"all": ticker.CatchUpAll, "last": ticker.CatchUpLast, "none": ticker.CatchUpNone} {
		k.Add(ticker.Timer{Name: name, Schedule: parse(t, "* * * * *", time.UTC), CatchUp: catchUp}, func(_ *unit.Unit, tick ticker.Tick) error {
			ticks = append(ticks, tick.Name+" "+tick.Scheduled.Format(time.TimeOnly))
			return nil
		})
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Stop(t.Context()) }()
	expect := func(d time.Duration, want ...string) {
		t.Helper()
		w.clock.Advance(d)
		if err := k.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(ticks); !slices.Equal(ticks, want) {
			t.Errorf("got %q, want %q", ticks, want)
		}
		ticks = nil
	}
	expect(65*time.Second, "all 12:01:00", "last 12:01:00", "none 12:01:00")
	c.offset.Add(int64(3 * time.Minute)) // 12:04:05
	expect(10*time.Second, "all 12:02:00", "all 12:03:00", "all 12:04:00", "last 12:04:00")
	c.offset.Add(int64(-2 * time.Minute)) // 12:02:15
	expect(2 * time.Minute)               // no second run, 12:04:15
	expect(time.Minute, "all 12:05:00", "last 12:05:00", "none 12:05:00")
	c.offset.Add(int64(50 * time.Second)) // 12:06:05: late, but not missed
	expect(10*time.Second, "all 12:06:00", "last 12:06:00", "none 12:06:00")
}

func TestChangedSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	timer := func(text string) ticker.Timer {
		return ticker.Timer{Name: "t", Schedule: parse(t, text, time.UTC), CatchUp: ticker.CatchUpAll}
	}
	w.start(timer("@every 10s"))
	w.advance(10 * time.Second)
	w.stop()
	w.clock.Advance(time.Minute)
	w.start(timer("@every 20s")) // what it would have said meanwhile is not made up for
	w.want("t", "12:00:10 after never")
	w.advance(10 * time.Second)
	w.want("t", "12:00:10 after never, 12:01:20 after 12:00:10")
}

func TestSkip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(ticker.Timer{Name: "t", Schedule: parse(t, "@every 10s", time.UTC), Skip: true})
	w.advance(30 * time.Second)
	w.want("t", "12:00:10 after never")
	w.handle("t")
	w.advance(20 * time.Second)
	w.want("t", "12:00:10 after never, 12:00:40 after 12:00:10")
}

func TestRunAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	timer := ticker.Timer{Name: "t", Schedule: parse(t, "@every 1m", time.UTC), RunAtStart: true}
	w.clock.Advance(5 * time.Second)
	w.start(timer)
	w.want("t", "12:00:05 after never")
	w.stop()
	w.clock.Advance(time.Minute)
	w.start(timer) // what was missed comes first
	w.want("t", "12:00:05 after never, 12:01:00 after 12:00:05, 12:01:05 after 12:01:00")
	w.advance(time.Minute)
	w.want("t", "12:00:05 after never, 12:01:00 after 12:00:05, 12:01:05 after 12:01:00, 12:02:00 after 12:01:05")
}

// A tick is delayed by less than the jitter, and by the same after a restart.
func TestJitter(t *testing.T) {
	t.Parallel()
	delays := func(restarts bool) (delays []string) {
		w := newWorld(t)
		timer := ticker.Timer{Name: "t", Schedule: parse(t, "@every 1m", time.UTC), Jitter: 30 * time.Second, CatchUp: ticker.CatchUpNone}
		w.start(timer)
		for s := range 600 {
			before := len(w.ticks("t"))
			w.advance(time.Second)
			if len(w.ticks("t")) > before {
				delays = append(delays, strconv.Itoa((s+1)%60))
			}
			if restarts && s%7 == 0 {
				w.stop()
				w.start(timer)
			}
		}
		return delays
	}
	once := delays(false)
	if again := delays(true); !slices.Equal(once, again) {
		t.Errorf("delays %v, after restarts %v", once, again)
	}
	if len(once) < 9 || slices.Min(once) == slices.Max(once) {
		t.Errorf("delays %v", once)
	}
}

// What the store refuses is tried again, and published once.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(ticker.Timer{Name: "t", Schedule: parse(t, "@every 10s", time.UTC)})
	w.faults.Store(3)
	w.clock.Advance(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 3 {
		if err := w.clock.WaitTimers(ctx, 2); err != nil { // the alarm and the pause
			t.Fatal(err)
		}
		w.clock.Advance(time.Second)
	}
	w.settle()
	w.want("t", "12:00:10 after never")
}

// Of two tickers on one store each tick is published by one.
func TestTwoTickers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	timer := ticker.Timer{Name: "t", Schedule: parse(t, "@every 1s", time.UTC)}
	w.start(timer)
	first := w.ticker
	w.start(timer)
	for range 50 {
		w.clock.Advance(time.Second)
	}
	w.settle()
	if err := first.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.ticks("t")); n != 50 {
		t.Errorf("%d ticks, want 50", n)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
