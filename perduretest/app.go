package perduretest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
)

// host is the name by which the app is asked.
const host = "perdure.test"

// restTime bounds, in real time, how long an app may take to come to rest.
const restTime = time.Minute

// Start is when the virtual time of an app begins.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// App is an app under test. Its methods end the test when something fails that the test
// did not ask about. They are not safe for concurrent use.
type App struct {
	// App is the app itself. It is another one after Restart and after a crash.
	*perdure.App

	t      testing.TB
	config perdure.Config
	parts  []perdure.Part
	clock  *clock.Manual
	memory store.Store
	store  *mortal
	crash  crash
	// crashed says that the crash has happened.
	crashed bool
	calls   int
}

// Start starts an app with the given parts, which runs until the test ends. Of c the
// fields that say where things are kept and served do not count; without a Logger, the
// app logs to the test. Instances of orchestrations are replayed after each turn.
func Start(t testing.TB, c perdure.Config, parts ...perdure.Part) *App {
	t.Helper()
	return begin(t, c, parts, crash{})
}

func begin(t testing.TB, c perdure.Config, parts []perdure.Part, at crash) *App {
	t.Helper()
	c.Data, c.Store, c.Blobs = t.TempDir(), "", ""
	c.Listen, c.Hosts, c.Development = "none", []string{host}, true
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	clk := clock.NewManual(start)
	a := &App{t: t, config: c, parts: parts, clock: clk, memory: memory.New(nil), crash: at}
	a.start()
	t.Cleanup(func() {
		a.stop()
		if err := a.memory.Close(); err != nil {
			t.Errorf("perduretest: close the store: %v", err)
		}
	})
	a.Settle()
	return a
}

// start makes and starts the app on the store.
func (a *App) start() {
	a.t.Helper()
	for {
		a.store = newMortal(a.memory, a.crash)
		c := a.config
		c.Logger = slog.New(&lastWords{c.Logger.Handler(), a.store})
		a.App = perdure.New(c)
		a.App.Add(a.parts...)
		err := a.App.Start(clock.With(store.With(a.t.Context(), a.store), a.clock))
		if err == nil {
			return
		}
		if !a.store.dead() {
			a.t.Fatalf("perduretest: the app does not start: %v", err)
		}
		a.bury()
	}
}

// stop stops the app in order.
func (a *App) stop() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.t.Context()), restTime)
	defer cancel()
	if err := a.App.Stop(ctx); err != nil && !a.store.dead() {
		a.t.Errorf("perduretest: stop: %v", err)
	}
	a.store.release()
}

// bury takes away what is left of an app whose store has died.
func (a *App) bury() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()            // nothing that runs may end: a crash does not wait
	_ = a.App.Stop(ctx) // that it did not end in order is the point
	a.store.release()   // as the end of a process does
	a.crash = crash{}   // one crash is enough
	a.crashed = true
}

// revive starts the app again if it has crashed, and reports whether it had.
func (a *App) revive() bool {
	a.t.Helper()
	if !a.store.dead() {
		return false
	}
	a.bury()
	a.start()
	return true
}

// Restart stops the app in order and starts it again on what it has stored.
func (a *App) Restart() {
	a.t.Helper()
	a.Settle()
	a.stop()
	a.start()
	a.Settle()
}

// Kill ends the app as a kill of its process does, and starts it again.
func (a *App) Kill() {
	a.t.Helper()
	a.store.die()
	a.Settle()
}

// Settle waits until the app is at rest at the present time.
func (a *App) Settle() {
	a.t.Helper()
	for {
		ctx, cancel := context.WithTimeoutCause(a.t.Context(), restTime, errors.New("the app did not come to rest"))
		rest := make(chan error, 1)
		app := a.App
		go func() { rest <- app.Settle(ctx) }()
		var err error
		select {
		case err = <-rest:
		case <-a.store.died:
		}
		cancel()
		if a.revive() {
			continue
		}
		if err != nil {
			a.t.Fatalf("perduretest: %v", err)
		}
		return
	}
}

// Now returns the present virtual time.
func (a *App) Now() time.Time { return a.clock.Now() }

// Advance lets virtual time pass. Everything that is due on the way happens at its own
// time, and comes to rest before time goes on.
func (a *App) Advance(d time.Duration) {
	a.t.Helper()
	end := a.clock.Now().Add(d)
	for {
		next, ok := a.clock.Next()
		if !ok || next.After(end) {
			break
		}
		a.clock.AdvanceTo(next)
		a.Settle()
	}
	a.clock.AdvanceTo(end)
	a.Settle()
}
