package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/table"
)

type tickIn struct {
	Tick perdure.Tick `body:""`
	Was  *item        `bind:"items/{timer.name},optional"`
}

type tickOut struct {
	Run   *item `bind:"items/{timer.scheduled}"`
	Total *item `bind:"items/{timer.name}"`
}

// countTick counts its runs, all of them and those of each tick.
func countTick(_ context.Context, in *tickIn) (*tickOut, error) {
	total := &item{Count: 1, Text: in.Tick.Scheduled.Format(time.TimeOnly)}
	if in.Was != nil {
		total.Count += in.Was.Count
	}
	return &tickOut{&item{Count: 1, Text: in.Tick.Last.Format(time.TimeOnly)}, total}, nil
}

func TestTimer(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(items, perdure.OnTimer("sweep", "@every 5s", countTick))
	r.advance(4 * time.Second)
	if got := r.item("sweep"); got.Count != 0 {
		t.Errorf("it ran before its time: %+v", got)
	}
	r.advance(time.Second)
	r.advance(9 * time.Second)
	if got := r.item("sweep"); got.Count != 2 || got.Text != "12:00:10" {
		t.Errorf("got %+v, want 2 runs, the last at 12:00:10", got)
	}
	if got := r.item("2026-03-04T12:00:10Z"); got.Text != "12:00:05" {
		t.Errorf("the tick before 12:00:10 was %q", got.Text)
	}
}

// Each tick has one run, whatever stops the app, and whatever a run does before it fails.
func TestOneRunPerTick(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	const ticks = 120
	var runs atomic.Int64
	fn := func(ctx context.Context, in *tickIn) (*tickOut, error) {
		if runs.Add(1)%7 == 0 {
			return nil, errors.New("now and then")
		}
		return countTick(ctx, in)
	}
	timer := perdure.OnTimer("second", "* * * * * *", fn, perdure.CatchUpAll, perdure.Policy{Initial: time.Millisecond, Max: time.Millisecond})
	r := w.start(items, timer)
	for second := range ticks {
		w.clock.Advance(time.Second)
		if second%30 == 29 {
			r.stop()
			r = w.start(items, timer)
		}
	}
	r.settle()
	for range 20 { // what failed is tried again
		r.advance(10 * time.Millisecond)
	}
	if got := r.item("second"); got.Count != ticks {
		t.Errorf("%d runs took effect, want %d", got.Count, ticks)
	}
	for second := 1; second <= ticks; second++ {
		if at := noon.Add(time.Duration(second) * time.Second).Format(time.RFC3339); r.item(at).Count != 1 {
			t.Errorf("the tick of %s did not run", at)
		}
	}
}

func TestMissedTicks(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	timers := []perdure.Part{
		items,
		perdure.OnTimer("all", "* * * * *", countTick, perdure.CatchUpAll),
		perdure.OnTimer("last", "30 * * * * *", countTick),
		perdure.OnTimer("none", "15 * * * * *", countTick, perdure.CatchUpNone),
	}
	w.start(timers...).stop()
	w.clock.Advance(10*time.Minute + 45*time.Second)
	r := w.start(timers...)
	r.settle()
	for name, want := range map[string]item{"all": {Count: 10, Text: "12:10:00"}, "last": {Count: 1, Text: "12:10:30"}, "none": {}} {
		if got := r.item(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// slowTimer runs an app with a timer whose runs wait until they are let go, and says in
// which order they begin and end.
type slowTimer struct {
	*running
	mu    sync.Mutex
	steps []string
	begun chan string
	goOn  map[string]chan error
}

func newSlowTimer(t *testing.T, opts ...perdure.TimerOption) *slowTimer {
	t.Helper()
	s := &slowTimer{begun: make(chan string, 10), goOn: map[string]chan error{}}
	for second := 10; second <= 50; second += 10 {
		s.goOn[fmt.Sprint(second)] = make(chan error)
	}
	note := func(step string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.steps = append(s.steps, step)
	}
	s.running = newWorld(t).start(perdure.OnTimer("slow", "@every 10s", func(_ context.Context, in *tickIn2) (*struct{}, error) {
		at := fmt.Sprint(in.Tick.Scheduled.Second())
		note("+" + at)
		s.begun <- at
		err := <-s.goOn[at]
		note("-" + at)
		return nil, err
	}, opts...))
	return s
}

type tickIn2 struct {
	Tick perdure.Tick `body:""`
}

// tick lets ten seconds pass without waiting for what runs.
func (s *slowTimer) tick() { s.w.clock.Advance(10 * time.Second) }

func (s *slowTimer) expect(steps string) {
	s.w.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.steps, " "); got != steps {
		s.w.t.Errorf("got %s, want %s", got, steps)
	}
}

func TestOverlapQueue(t *testing.T) {
	t.Parallel()
	s := newSlowTimer(t, perdure.Policy{Attempts: 2, Initial: time.Millisecond})
	s.tick()
	get(t, s.begun)
	s.tick()
	s.goOn["10"] <- nil
	get(t, s.begun)
	s.goOn["20"] <- nil
	s.settle()
	s.expect("+10 -10 +20 -20")

	// One that fails keeps its place, until it is given up.
	s.tick()
	get(t, s.begun)
	s.goOn["30"] <- errors.New("no")
	s.settle()
	s.tick()
	if again := get(t, s.begun); again != "30" {
		t.Errorf("%s ran before the one that had failed", again)
	}
	s.goOn["30"] <- errors.New("no")
	if next := get(t, s.begun); next != "40" {
		t.Errorf("%s ran behind a dead letter, want 40", next)
	}
	s.goOn["40"] <- nil
	s.settle()
	get(t, s.w.letters)
}

func TestOverlapSkip(t *testing.T) {
	t.Parallel()
	s := newSlowTimer(t, perdure.OverlapSkip)
	s.tick()
	get(t, s.begun)
	s.tick()
	s.tick()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for strings.Count(s.w.log.String(), "a tick is skipped") < 2 {
		<-poll.C
	}
	s.goOn["10"] <- nil
	s.settle()
	s.expect("+10 -10")
	s.tick()
	get(t, s.begun)
	s.goOn["40"] <- nil
	s.settle()
	s.expect("+10 -10 +40 -40")
}

func TestOverlapParallel(t *testing.T) {
	t.Parallel()
	s := newSlowTimer(t, perdure.OverlapParallel)
	s.tick()
	get(t, s.begun)
	s.tick()
	get(t, s.begun)
	s.goOn["20"] <- nil
	s.goOn["10"] <- nil
	s.settle()
}

func TestZone(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(items, perdure.OnTimer("daily", "30 14 * * *", countTick, perdure.Zone("Europe/Berlin")))
	r.advance(89 * time.Minute)
	if r.item("daily").Count != 0 {
		t.Error("it ran before half past two in Berlin")
	}
	r.advance(time.Minute)
	if got := r.item("daily"); got.Count != 1 || got.Text != "14:30:00" {
		t.Errorf("got %+v, want a run at 14:30:00 of Berlin", got)
	}
}

func TestRunAtStart(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	timer := perdure.OnTimer("start", "@hourly", countTick, perdure.RunAtStart(), perdure.FunctionName("warm"))
	for start := 1; start <= 3; start++ {
		r := w.start(items, timer)
		r.settle()
		if got := r.item("start").Count; got != start {
			t.Errorf("%d runs after %d starts", got, start)
		}
		w.clock.Advance(time.Second)
		r.stop()
	}
}

func TestBadTimers(t *testing.T) {
	t.Parallel()
	for want, part := range map[string]perdure.Part{
		`function timer/a: schedule "every day": `: perdure.OnTimer("a", "every day", countTick),
		`zone "Berlin" is not known`:               perdure.OnTimer("a", "@daily", countTick, perdure.Zone("Berlin")),
		`zone "Local" is not known`:                perdure.OnTimer("a", "@daily", countTick, perdure.Zone("Local")),
		`the timer has no name`:                    perdure.OnTimer("", "@daily", countTick),
		`CatchUp 7: want`:                          perdure.OnTimer("a", "@daily", countTick, perdure.CatchUp(7)),
		`Overlap -1: want`:                         perdure.OnTimer("a", "@daily", countTick, perdure.Overlap(-1)),
		`Jitter -1s: want 0 to 24h0m0s`:            perdure.OnTimer("a", "@daily", countTick, perdure.Jitter(-time.Second)),
		`add OverlapParallel`:                      perdure.OnTimer("a", "@daily", countTick, perdure.Policy{Concurrency: 4}),
		`did you mean "timer.name"?`: perdure.OnTimer("a", "@daily", func(context.Context, *struct {
			Row item `bind:"items/{timer.nam}"`
		}) (*empty, error) {
			return nil, nil
		}),
	} {
		contains(t, newWorld(t).refuse(items, part), want)
	}
	contains(t, newWorld(t).refuse(items, perdure.OnTimer("a", "@daily", countTick), perdure.OnTimer("a", "@hourly", countTick)), "timer/a", "taken")
}

// What a function writes under {new-id} has the same name when its event is handled again.
func TestNewIDOfAnEvent(t *testing.T) {
	t.Parallel()
	type out struct {
		Rows []item `bind:"items/new/{new-id}"`
	}
	var attempts atomic.Int64
	r := newWorld(t).start(items, perdure.OnTimer("ids", "@every 10s", func(ctx context.Context, _ *struct{}) (*out, error) {
		if attempts.Add(1) == 1 {
			return nil, errors.New("once")
		}
		return &out{[]item{{Count: 1}, {Count: 2}}}, nil
	}))
	r.advance(10 * time.Second)
	r.advance(5 * time.Second)
	r.advance(5 * time.Second)
	var names []string
	r.unit(func(ctx context.Context) error {
		rows, _, err := table.Page(items.Scan(ctx, "new"), 10)
		for _, row := range rows {
			names = append(names, row.Key.Row)
		}
		return err
	})
	if len(names) != 4 || len(slices.Compact(names)) != 4 {
		t.Errorf("rows %q, want 2 of each of 2 ticks", names)
	}
}
