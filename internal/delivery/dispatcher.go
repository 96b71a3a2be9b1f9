package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// maxName bounds the names of functions, in bytes: they are part of keys.
const maxName = 256

// Dispatcher runs the event functions of an app. It is safe for concurrent use.
type Dispatcher struct {
	env          *unit.Env
	committer    unit.Committer
	clock        clock.Clock
	journal      *poison.Journal
	log          *slog.Logger
	onDeadLetter func(DeadLetter)
	maxRunning   int
	window       int
	sweepEvery   time.Duration

	arrivals records.Arrivals
	byName   map[string]*function
	byTopic  map[string][]*function

	base   context.Context // of all runs
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // runs and fills

	mu        sync.Mutex
	state     state
	functions []*function
	turn      int // the function that is asked first, so that each gets its turn
	running   int
	cutShort  int
	asked     bool // to let a suspect in
	faults    int  // of the store, one after another
	paused    bool
	pauseEnd  clock.Timer
	nextSweep clock.Timer
	idle      []chan struct{} // closed when there is nothing to do
}

type state int

const (
	created state = iota
	started
	stopping
)

// New returns a dispatcher without functions.
func New(c Config) (*Dispatcher, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Dispatcher{
		env:          c.Env,
		committer:    c.Committer,
		clock:        c.Clock,
		journal:      c.Journal,
		log:          c.Log,
		onDeadLetter: c.OnDeadLetter,
		maxRunning:   c.MaxRunning,
		window:       c.Window,
		sweepEvery:   c.SweepEvery,
		byName:       map[string]*function{},
		byTopic:      map[string][]*function{},
	}, nil
}

// Register adds a function. Functions are registered before the first event is
// published and before Start.
func (d *Dispatcher) Register(f Function) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.state != created:
		return fmt.Errorf("%w: %q: the dispatcher has started", ErrBadFunction, f.Name)
	case f.Name == "" || len(f.Name) > maxName:
		return fmt.Errorf("%w: name %q: want 1 to %d bytes", ErrBadFunction, f.Name, maxName)
	case f.Handle == nil:
		return fmt.Errorf("%w: %q: it has no handler", ErrBadFunction, f.Name)
	case d.byName[f.Name] != nil:
		return fmt.Errorf("%w: %q: the name is taken", ErrBadFunction, f.Name)
	}
	own := newFunction(f, d.window)
	d.byName[f.Name] = own
	d.functions = append(d.functions, own)
	for _, topic := range f.Topics {
		if !slices.Contains(d.byTopic[topic], own) {
			d.byTopic[topic] = append(d.byTopic[topic], own)
		}
	}
	return nil
}

// Publish adds an event to u: a delivery for each function that topic triggers.
// They run after u has committed. It fits unit.Env.
func (d *Dispatcher) Publish(u *unit.Unit, topic string, event []byte) error {
	return d.PublishWith(u, topic, event, nil)
}

// PublishWith is Publish with headers, which reach the functions as they are.
func (d *Dispatcher) PublishWith(u *unit.Unit, topic string, event []byte, headers map[string]string) error {
	for _, f := range d.byTopic[topic] {
		if f.Accepts != nil && !f.Accepts(topic, event) {
			continue
		}
		now := u.Now()
		delivery := &Delivery{
			Function:   f.Name,
			ID:         d.arrivals.Next(now),
			Topic:      topic,
			Event:      event,
			Headers:    headers,
			EnqueuedAt: now,
		}
		if err := records.PutDelivery(u, delivery); err != nil {
			return fmt.Errorf("publish %q: %w", topic, err)
		}
		u.OnCommit(func() { d.arrived(f, delivery.Ref()) })
	}
	return nil
}

// arrived notes a delivery that was committed.
func (d *Dispatcher) arrived(f *function, at ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != started {
		return // Start searches the store
	}
	f.arrived(at)
	d.schedule()
}

// Start charges what was running when the last process died, then begins to run
// what is stored. The values of ctx reach the functions; its end does not, Stop
// ends them.
func (d *Dispatcher) Start(ctx context.Context) error {
	if err := d.charge(ctx); err != nil {
		return fmt.Errorf("delivery: after a process death: %w", err)
	}
	if err := d.warnOrphans(); err != nil {
		return fmt.Errorf("delivery: start: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != created {
		return errors.New("delivery: a dispatcher starts once")
	}
	d.state = started
	d.base, d.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, f := range d.functions {
		f.reset()
	}
	d.nextSweep = d.clock.AfterFunc(d.sweepEvery, d.sweep)
	d.schedule()
	return nil
}

// warnOrphans logs functions that have deliveries and are not registered.
func (d *Dispatcher) warnOrphans() error {
	snap, err := d.env.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	names, err := records.DeliveryFunctions(snap)
	if err != nil {
		return err
	}
	for _, name := range names {
		if d.byName[name] == nil {
			d.log.Warn("deliveries wait for a function that this program does not have", "function", name)
		}
	}
	return nil
}

// Stop ends the dispatcher: nothing new is run, and what runs may end until ctx
// does. Then the units of what still runs are closed, so that it cannot commit,
// and its contexts canceled; its deliveries stay stored, without a charge. The
// error says how many those are.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	if d.state != started {
		d.state = stopping
		d.mu.Unlock()
		return nil
	}
	d.state = stopping
	d.stopTimers()
	d.mu.Unlock()

	drained := make(chan struct{})
	go func() {
		d.work.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		d.cancel(ErrStopping)
		return nil
	case <-ctx.Done():
	}
	d.cancel(ErrStopping)
	<-drained
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cutShort == 0 {
		return nil
	}
	return fmt.Errorf("delivery: %d runs were cut short: %w", d.cutShort, context.Cause(ctx))
}

// stopTimers stops everything that would look for work. The caller holds the
// mutex.
func (d *Dispatcher) stopTimers() {
	d.nextSweep.Stop()
	if d.pauseEnd != nil {
		d.pauseEnd.Stop()
	}
	for _, f := range d.functions {
		if f.timer != nil {
			f.timer.Stop()
		}
	}
}

// Idle waits until nothing runs and nothing could run now. Deliveries that wait
// for their next attempt do not count. It fails with the cause of ctx.
func (d *Dispatcher) Idle(ctx context.Context) error {
	d.mu.Lock()
	if d.isIdle() {
		d.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	d.idle = append(d.idle, idle)
	d.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
