package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// world is a store in memory and what dispatchers on it need. A dispatcher may be
// started on it again and again, as after a restart.
type world struct {
	t         testing.TB
	store     store.Store
	committer *store.Committer
	clock     *clock.Manual
	log       *logBuffer
	env       *unit.Env
	*delivery.Dispatcher
}

func newWorld(t testing.TB) *world {
	t.Helper()
	inner := memory.New(nil)
	t.Cleanup(func() { _ = inner.Close() })
	c := clock.NewManual(noon)
	w := &world{t: t, store: inner, clock: c, log: &logBuffer{}}
	w.committer = store.NewCommitter(inner, store.CommitterOptions{})
	t.Cleanup(func() { w.committer.Close() })
	w.env = &unit.Env{Snapshot: inner.Snapshot, Now: c.Now}
	return w
}

// start starts a new dispatcher with functions. Change, unless nil, changes its
// configuration.
func (w *world) start(change func(*delivery.Config), functions ...delivery.Function) {
	w.t.Helper()
	config := delivery.Config{
		Env: w.env, Committer: w.committer, Clock: w.clock,
		Log: w.logger(),
	}
	if change != nil {
		change(&config)
	}
	d, err := delivery.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range functions {
		if err := d.Register(f); err != nil {
			w.t.Fatal(err)
		}
	}
	w.Dispatcher = d
	w.env.Publish = d.Publish
	if err := d.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = d.Stop(ctx)
	})
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// publish commits events in one unit.
func (w *world) publish(topic string, events ...string) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) error {
		for _, e := range events {
			if err := u.Env().Publish(u, topic, []byte(e)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) unit(do func(u *unit.Unit) error) {
	w.t.Helper()
	err := unit.Run(context.Background(), w.env, w.committer, 100, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return do(u)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// settle waits until nothing is to be done now.
func (w *world) settle() {
	w.t.Helper()
	if err := w.Idle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// handled returns how often the handling of an event was committed.
func (w *world) handled(event string) (n int64) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) error {
		value, err := u.Peek(handledKey(event))
		if err != nil {
			return err
		}
		n, err = store.DecodeCounter(value)
		return err
	})
	return n
}

func handledKey(event string) []byte { return []byte("handled/" + event) }

// handle notes in the unit of ctx that an event was handled.
func handle(ctx context.Context, d *delivery.Delivery) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	return u.Add(handledKey(string(d.Event)), 1)
}

// stored returns how many deliveries of a function are stored.
func (w *world) stored(function string) (n int) {
	w.t.Helper()
	snap, err := w.store.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	count := func(records.DeliveryRef) bool { n++; return true }
	err = errors.Join(
		records.ScanDeliveries(snap, function, records.DeliveryRef{}, count),
		records.ScanWaiting(snap, function, records.DeliveryRef{}, count),
	)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// letters returns all dead letters of a function.
func (w *world) letters(function string) []delivery.DeadLetter {
	w.t.Helper()
	letters, next, err := w.DeadLetters(function, "", 0)
	if err != nil || next != "" {
		w.t.Fatal(err, next)
	}
	return letters
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

// journal opens the journal of a process in the file at path.
func journal(t testing.TB, path string) *poison.Journal {
	t.Helper()
	j, err := poison.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func openJournal(dir string) (*poison.Journal, error) {
	return poison.Open(filepath.Join(dir, "running.journal"))
}
