package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// world is a store and what a feeder on it needs. A feeder may be started on it again
// and again, as after a restart.
type world struct {
	t          testing.TB
	store      store.Store
	committer  *store.Committer
	clock      clock.Clock
	log        *logBuffer
	env        *unit.Env
	dispatcher *delivery.Dispatcher
	*consumer.Feeder
}

func newWorld(t testing.TB) (*world, *clock.Manual) {
	t.Helper()
	inner := memory.New(nil)
	t.Cleanup(func() { _ = inner.Close() })
	c := clock.NewManual(noon)
	w := onStore(t, inner, c)
	t.Cleanup(w.committer.Close)
	return w, c
}

// onStore is a world on a store; whoever calls it closes its committer.
func onStore(t testing.TB, s store.Store, c clock.Clock) *world {
	w := &world{t: t, store: s, clock: c, log: &logBuffer{}}
	w.committer = store.NewCommitter(s, store.CommitterOptions{})
	w.env = &unit.Env{Snapshot: s.Snapshot, Now: c.Now}
	return w
}

// prepare makes a dispatcher and a feeder with groups. Change, unless nil, changes its
// configuration.
func (w *world) prepare(change func(*consumer.Config), groups ...consumer.Group) {
	w.t.Helper()
	config := consumer.Config{
		Env: w.env, Committer: w.committer, Watch: w.store.Watch, Clock: w.clock,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	journal, err := poison.Open("")
	if err != nil {
		w.t.Fatal(err)
	}
	config.Journal = journal
	if change != nil {
		change(&config)
	}
	w.dispatcher, err = delivery.New(delivery.Config{
		Env: w.env, Committer: w.committer, Clock: w.clock, Journal: config.Journal, Log: config.Log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	config.Dispatcher = w.dispatcher
	w.Feeder = consumer.New(config)
	for _, g := range groups {
		if g.Stream == "" {
			g.Stream = "s"
		}
		if g.Function == "" {
			g.Function = "f"
		}
		g.Partitions = max(g.Partitions, 1)
		if err := w.Register(g); err != nil {
			w.t.Fatal(err)
		}
	}
}

// start prepares and starts them.
func (w *world) start(change func(*consumer.Config), groups ...consumer.Group) {
	w.t.Helper()
	w.prepare(change, groups...)
	if err := w.begin(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.end(ctx)
	})
}

func (w *world) begin() error {
	if err := w.dispatcher.Start(context.Background()); err != nil {
		return err
	}
	return w.Start(context.Background())
}

func (w *world) end(ctx context.Context) error {
	return errors.Join(w.Stop(ctx), w.dispatcher.Stop(ctx))
}

// restart ends the present feeder and starts another one.
func (w *world) restart(groups ...consumer.Group) {
	w.t.Helper()
	if err := w.end(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.start(nil, groups...)
}

// append commits events, each "key=data", in one unit, to partitions among n.
func (w *world) append(n int, events ...string) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) error {
		for _, text := range events {
			key, _, _ := strings.Cut(text, "=")
			e := &records.Event{Key: key, Time: w.clock.Now(), Data: fmt.Appendf(nil, "%q", text)}
			if key != "" {
				e.Partition = records.PartitionOf(key, n)
			}
			if err := records.AppendEvents(u, "s", e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) unit(do func(u *unit.Unit) error) {
	w.t.Helper()
	if err := w.try(do); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) try(do func(u *unit.Unit) error) error {
	return unit.Run(context.Background(), w.env, w.committer, 100, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return do(u)
	})
}

// settle waits until nothing is to be done now, here and in the dispatcher.
func (w *world) settle() {
	w.t.Helper()
	for {
		before := w.committer.Stats().Transactions
		if err := errors.Join(w.Idle(w.t.Context()), w.dispatcher.Idle(w.t.Context())); err != nil {
			w.t.Fatal(err)
		}
		if w.committer.Stats().Transactions == before {
			return
		}
	}
}

// text is what append was given.
func text(e *consumer.Event) string { return strings.Trim(string(e.Data), `"`) }

// note notes in the unit of ctx that an event was handled, in the order of its key.
func note(ctx context.Context, e *consumer.Event) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	return u.Do(func() error {
		key := []byte("handled/" + e.Key)
		before, err := u.Get(key)
		if err != nil {
			return err
		}
		return u.Put(key, append(bytes.Clone(before), text(e)+" "...))
	})
}

func noteAll(ctx context.Context, batch []*consumer.Event) error {
	for _, e := range batch {
		if err := note(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// handled returns what was handled of a key, in the order of commits.
func (w *world) handled(key string) (all string) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) error {
		value, err := u.Peek([]byte("handled/" + key))
		all = strings.TrimSpace(string(value))
		return err
	})
	return all
}

func (w *world) letters() (events []string) {
	w.t.Helper()
	letters, _, err := w.dispatcher.DeadLetters("f", "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range letters {
		events = append(events, strings.Trim(string(l.Event), `"`))
	}
	slices.Sort(events)
	return events
}

// lag returns the sum over all partitions.
func (w *world) lag() (lag int64) {
	w.t.Helper()
	all, err := w.Progress("")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		lag += p.Lag
	}
	return lag
}

func (w *world) expect(what string, got, want any) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// failing is a handler that fails on some events, given by their text, as often as
// said, before it notes them.
type failing struct {
	mu    sync.Mutex
	times map[string]int
	runs  map[string]int
}

func fails(times map[string]int) *failing {
	return &failing{times: times, runs: map[string]int{}}
}

var systemClock = clock.System()

var errMoody = errors.New("moody")

func (f *failing) handle(ctx context.Context, e *consumer.Event) error {
	if err := note(ctx, e); err != nil {
		return err
	}
	return f.fail(text(e))
}

func (f *failing) handleBatch(ctx context.Context, batch []*consumer.Event) error {
	if err := noteAll(ctx, batch); err != nil {
		return err
	}
	for _, e := range batch {
		if err := f.fail(text(e)); err != nil {
			return err
		}
	}
	return nil
}

func (f *failing) fail(event string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[event]++
	if f.times[event] > 0 {
		f.times[event]--
		return errMoody
	}
	return nil
}
