package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/telemetry"
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
	alert        string
	telemetry    *telemetry.Telemetry
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
		alert:        c.Alert,
		telemetry:    c.Telemetry,
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
		return fmt.Errorf("%w: %q", ErrNameTaken, f.Name)
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
		err := d.Deliver(u, &Delivery{Function: f.Name, Topic: topic, Event: event, Headers: headers})
		if err != nil {
			return fmt.Errorf("publish %q: %w", topic, err)
		}
	}
	return nil
}

// Deliver adds a delivery to u and gives it its id. It is handled after u has
// committed, not before its NextAttempt; if nothing has its function's name, it stays
// stored. EnqueuedAt is the unit's time unless it is set. It fits unit.Env.
func (d *Dispatcher) Deliver(u *unit.Unit, delivery *Delivery) error {
	now := u.Now()
	if delivery.EnqueuedAt.IsZero() {
		delivery.EnqueuedAt = now
	}
	if delivery.NextAttempt.After(now) {
		delivery.ID = d.arrivals.At(delivery.NextAttempt)
	} else {
		delivery.ID, delivery.NextAttempt = d.arrivals.Next(now), time.Time{}
	}
	delivery.Headers = u.Traced(delivery.Headers)
	d.wake(u, delivery)
	return records.PutDelivery(u, delivery)
}

// Spill adds to u a delivery for a function whose events another part of the app
// brings. With a cause the function has failed on the event once: it waits for its
// next attempt, or is a dead letter at once, as the function's policy says. Without
// one it was not tried, and waits its turn in its lane. It gets its id here.
func (d *Dispatcher) Spill(u *unit.Unit, delivery *Delivery, cause error) error {
	f := d.byName[delivery.Function]
	if f == nil {
		return fmt.Errorf("%w: %q is not registered", ErrBadFunction, delivery.Function)
	}
	now := u.Now()
	delivery.ID = d.arrivals.Next(now)
	if delivery.EnqueuedAt.IsZero() {
		delivery.EnqueuedAt = now
	}
	if cause == nil {
		d.wake(u, delivery)
		return records.PutDelivery(u, delivery)
	}
	letter := f.failed(delivery, now, cause)
	if letter == nil {
		u.OnCommit(func() { d.logFailure(delivery, cause) })
		d.wake(u, delivery)
		return records.PutDelivery(u, delivery)
	}
	u.OnCommit(func() {
		d.logFailure(&letter.Delivery, cause)
		go d.mourn(letter) // the hook may wait for what commits u
	})
	return d.putDeadLetter(u, letter, !f.policy.SkipDeadLetters)
}

// wake lets the function of a delivery hear of it when u has committed.
func (d *Dispatcher) wake(u *unit.Unit, delivery *Delivery) {
	if f := d.byName[delivery.Function]; f != nil {
		at := delivery.Ref()
		u.OnCommit(func() { d.arrived(f, at) })
	}
}

// arrived notes a delivery that was committed.
func (d *Dispatcher) arrived(f *function, at ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != started {
		return // Start searches the store
	}
	f.arrived(at)
	d.scheduleOnly(f)
}

// freed notes that a dead letter left a lane.
func (d *Dispatcher) freed(f *function, lane uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.freeLane(lane)
}

// Start charges what was running when the last process died, then begins to run
// what is stored. The values of ctx reach the functions; its end does not, Stop
// ends them.
func (d *Dispatcher) Start(ctx context.Context) error {
	if err := d.goOn(); err != nil {
		return fmt.Errorf("delivery: start: %w", err)
	}
	if err := d.charge(ctx); err != nil {
		return fmt.Errorf("delivery: after a process death: %w", err)
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

// goOn lets new ids sort after those that are stored, and logs functions that have
// deliveries and are not registered.
func (d *Dispatcher) goOn() error {
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
		if d.byName[name] == nil && !strings.HasPrefix(name, records.QueuePrefix) {
			d.log.Warn("deliveries wait for a function that this program does not have", "function", name)
		}
	}
	for name := range d.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		last, err := records.LastArrival(snap, name)
		if err != nil {
			return err
		}
		if last != (ID{}) {
			d.arrivals.After(last)
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
