package ticker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

const (
	// recheck is how often the time is looked at though no tick is due, because a
	// wall clock may be set.
	recheck = 10 * time.Second
	// tolerance is how late a tick is noticed before it counts as missed: the machine
	// has slept, or its clock was set.
	tolerance = time.Minute
	// batch is how many ticks of a timer are published in one unit.
	batch = 100
	// attempts is how often a unit is run when it conflicts.
	attempts = 20
	// pause is the wait after a failure of the store.
	pause = time.Second
)

// Config is what a Ticker is made of.
type Config struct {
	Env       *unit.Env
	Committer unit.Committer
	Clock     clock.Clock
	Log       *slog.Logger
}

// Ticker publishes the ticks of timers. It is safe for concurrent use.
type Ticker struct {
	Config
	timers []*timer

	mu      sync.Mutex
	state   state
	alarm   clock.Timer   // when the next tick is due, or the time is looked at
	work    chan struct{} // has room for one: there is something to publish
	working bool
	idle    []chan struct{} // closed when there is nothing to publish
	cancel  context.CancelFunc
	done    chan struct{} // closed when the worker has ended
}

type state int

const (
	created state = iota
	started
	stopped
)

// timer is a Timer with what is known of it. The mutex of its Ticker guards it.
type timer struct {
	Timer
	publish func(u *unit.Unit, tick Tick) error
	seen    time.Time // the last tick that was seen to be due
	next    time.Time // when the one after it is due; zero if there is none
	// until is up to when what is due is to be published, unless zero; of that, what was
	// due at missed is left to the CatchUp.
	until, missed time.Time
	atStart       bool // the tick of the start is to be published
}

// New returns a Ticker without timers.
func New(c Config) *Ticker {
	return &Ticker{Config: c, work: make(chan struct{}, 1), done: make(chan struct{})}
}

// Add adds a timer, and what adds its ticks to a unit. It must happen before Start.
func (k *Ticker) Add(t Timer, publish func(u *unit.Unit, tick Tick) error) {
	k.timers = append(k.timers, &timer{Timer: t, publish: publish})
}

// Start begins to publish ticks. What was missed since the last tick that is known is
// left to each timer's CatchUp.
func (k *Ticker) Start(ctx context.Context) error {
	now := k.Clock.Now()
	for _, t := range k.timers {
		if err := k.open(ctx, t, now); err != nil {
			return fmt.Errorf("timer %q: %w", t.Name, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state != created {
		return errors.New("ticker: it was started before")
	}
	k.state = started
	ctx, k.cancel = context.WithCancel(ctx)
	go k.publish(ctx)
	for _, t := range k.timers {
		t.until, t.missed, t.atStart = now, now, t.RunAtStart
	}
	k.wake()
	k.alarm = k.Clock.AfterFunc(recheck, k.look)
	k.arm(now)
	return nil
}

// open reads the record of a timer. A timer that is new, or whose schedule was changed,
// begins now: what a schedule would have said before is nobody's wish.
func (k *Ticker) open(ctx context.Context, t *timer, now time.Time) error {
	return k.unit(ctx, func(u *unit.Unit) error {
		rec, err := records.GetTicker(u, t.Name)
		if err != nil {
			return err
		}
		if rec == nil || rec.Schedule != t.Schedule.String() {
			fresh := &records.Ticker{Schedule: t.Schedule.String(), Position: now}
			if rec != nil {
				fresh.Last = rec.Last
			}
			rec = fresh
			if err := records.PutTicker(u, t.Name, rec); err != nil {
				return err
			}
		}
		if rec.Position.Sub(now) > tolerance {
			k.Log.Warn("the clock is behind the last tick of a timer, which waits until it is reached; with another schedule it begins at once",
				"timer", t.Name, "last", rec.Position, "now", now)
		}
		t.seen = rec.Position
		t.passOver(now)
		t.advance(now)
		return nil
	})
}

// passOver moves to about now without a look at each tick. Those whose jitter is not
// over stay before it.
func (t *timer) passOver(now time.Time) {
	if to := now.Add(-t.Jitter - time.Second); to.After(t.seen) {
		t.seen = to
	}
}

// advance moves to the first tick that is not due at now.
func (t *timer) advance(now time.Time) {
	for {
		tick := t.Schedule.Next(t.seen)
		t.next = t.due(tick)
		if t.next.IsZero() || t.next.After(now) {
			return
		}
		t.seen = tick
	}
}

// look notes which ticks are due. It is called by the clock and does not wait.
func (k *Ticker) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state != started {
		return
	}
	now := k.Clock.Now()
	for _, t := range k.timers {
		if t.next.IsZero() || t.next.After(now) {
			continue
		}
		if now.Sub(t.next) > tolerance {
			t.missed = now
			t.passOver(now)
		}
		t.advance(now)
		t.until = now
		k.wake()
	}
	k.arm(now)
}

// arm sets the alarm. The caller holds the mutex.
func (k *Ticker) arm(now time.Time) {
	wait := recheck
	for _, t := range k.timers {
		if !t.next.IsZero() {
			wait = min(wait, t.next.Sub(now))
		}
	}
	k.alarm.Reset(wait)
}

// wake lets the worker look for what is to be published. The caller holds the mutex.
func (k *Ticker) wake() {
	k.working = true
	select {
	case k.work <- struct{}{}:
	default:
	}
}

// publish publishes what is due until ctx ends.
func (k *Ticker) publish(ctx context.Context) {
	defer close(k.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.work:
		}
		for ctx.Err() == nil && k.pass(ctx) {
		}
	}
}

// pass publishes some of what is due of each timer. It reports whether there may be more.
func (k *Ticker) pass(ctx context.Context) (more bool) {
	failed := false
	for _, t := range k.timers {
		again, err := k.serve(ctx, t)
		switch {
		case err != nil:
			failed = true
			k.Log.Error("ticks could not be published; they are tried again", "timer", t.Name, "error", err)
		case again:
			more = true
		}
	}
	if failed {
		k.wait(ctx)
		return true
	}
	if more {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.timers {
		if !t.until.IsZero() {
			return true // it has become due meanwhile
		}
	}
	k.working = false
	for _, idle := range k.idle {
		close(idle)
	}
	k.idle = nil
	return false
}

// wait waits for the store to recover.
func (k *Ticker) wait(ctx context.Context) {
	t := k.Clock.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C():
	}
}

// serve publishes what is due of a timer, at most a batch. It reports whether there is
// more.
func (k *Ticker) serve(ctx context.Context, t *timer) (more bool, err error) {
	k.mu.Lock()
	until, missed, atStart := t.until, t.missed, t.atStart
	k.mu.Unlock()
	if until.IsZero() {
		return false, nil
	}
	err = k.unit(ctx, func(u *unit.Unit) (err error) {
		r := round{Ticker: k, t: t, u: u}
		more, err = r.run(until, missed, atStart)
		return err
	})
	if err != nil || more {
		return more, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.until.Equal(until) { // else more has become due meanwhile
		t.until, t.missed = time.Time{}, time.Time{}
	}
	t.atStart = false
	return false, nil
}

// unit runs fn in a unit of work, to its end.
func (k *Ticker) unit(ctx context.Context, fn func(u *unit.Unit) error) error {
	return unit.Run(context.WithoutCancel(ctx), k.Env, k.Committer, attempts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return fn(u)
	})
}

// Stop ends the Ticker: a unit that is being committed may end until ctx does.
func (k *Ticker) Stop(ctx context.Context) error {
	k.mu.Lock()
	before := k.state
	k.state = stopped
	if before == started {
		k.alarm.Stop()
		k.cancel()
	}
	k.mu.Unlock()
	if before == created {
		return nil
	}
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ticker: %w", context.Cause(ctx))
	}
}

// Idle waits until each tick that is due at the present time has been published. It
// fails with the cause of ctx.
func (k *Ticker) Idle(ctx context.Context) error {
	k.mu.Lock()
	if !k.working || k.state != started {
		k.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	k.idle = append(k.idle, idle)
	k.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-k.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
