// Package engine runs durable orchestrations: it turns what instances receive
// into turns, commits each turn atomically, dispatches the activities it decided
// once it is durable, and rebuilds everything from the store after a crash.
//
// DESIGN.md beside this file tells its invariants, goroutines and locks.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// Options configures an Engine. Store, Committer and Env are required.
type Options struct {
	Store     store.Store
	Committer *store.Committer
	// Env is what the units of activities are made with.
	Env *unit.Env
	// Clock defaults to the system's.
	Clock clock.Clock
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// Journal notes what is running; default: one in memory.
	Journal *poison.Journal
	// MaxIdle bounds the instances kept in memory while they wait; default
	// 10,000. They cost about 8 KB each.
	MaxIdle int
	// IdleFor is how long a waiting instance stays in memory; default 5 min.
	IdleFor time.Duration
	// MaxActivities bounds the activities running at once; default 1,000.
	MaxActivities int
	// MaxDeaths is how many process deaths while it ran an activity or a turn
	// survives before it is given up; default 3.
	MaxDeaths uint32
	// ReplayAlways evicts an instance after each turn, so that the next one
	// replays: for tests and development.
	ReplayAlways bool
	// ReplayOneIn evicts after one turn in so many, so that code that is not
	// deterministic shows itself; default 1,024.
	ReplayOneIn uint32
	// TurnLimit bounds the time for which the code of an orchestration runs in
	// one turn; then the instance stalls. Default 10 s.
	TurnLimit time.Duration
	// DeadLetter keeps an event that no instance took, in the unit that
	// removes it. Default: it is only logged.
	DeadLetter func(u *unit.Unit, d Undelivered) error
	// OnEnd, unless nil, adds to a unit what follows from the end of an
	// instance; the unit is part of the commit that ends it. It may be called
	// again when that did not commit.
	OnEnd func(u *unit.Unit, ended *records.Instance) error
	// Telemetry is told of activities and ends. Nil tells nobody.
	Telemetry *telemetry.Telemetry
	// OnFatal is called once when the engine cannot go on: the outcome of a
	// commit is unknown or the lease is lost for good.
	OnFatal func(error)
}

// Undelivered is an event that no instance took.
type Undelivered struct {
	InstanceID string
	Event      string
	Payload    []byte
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 10_000
	}
	if o.IdleFor == 0 {
		o.IdleFor = 5 * time.Minute
	}
	if o.MaxActivities == 0 {
		o.MaxActivities = 1000
	}
	if o.MaxDeaths == 0 {
		o.MaxDeaths = 3
	}
	if o.ReplayOneIn == 0 {
		o.ReplayOneIn = 1024
	}
	if o.TurnLimit == 0 {
		o.TurnLimit = 10 * time.Second
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	return o
}

// Orchestration is an implementation of an orchestration.
type Orchestration struct {
	Name string
	Code replay.Code
	// Retention, unless zero, is how long an ended instance is kept.
	Retention time.Duration
}

// Activity is an implementation of an activity.
type Activity struct {
	Name string
	Run  func(ctx context.Context, input []byte) ([]byte, error)
	// Defaults are used where the call says nothing.
	Defaults history.CallOptions
}

// Engine runs orchestrations on a store. Its methods are safe for concurrent use.
type Engine struct {
	opts  Options
	store store.Store
	clock clock.Clock
	log   *slog.Logger

	orchestrations map[string]*Orchestration
	activities     map[string]*Activity

	instances  instances
	coroutines replay.Pool
	changes    sync.Pool
	pool       pool
	timers     timers
	kept       kept
	keys       keys
	waits      waits
	journal    *poison.Journal

	base       context.Context // of activities
	cancelBase context.CancelFunc
	stopping   chan struct{}
	stopOnce   sync.Once
	background sync.WaitGroup
	failed     atomic.Pointer[error]
	started    atomic.Bool
	closed     atomic.Bool // turns are not run any more
	owner      string
	epoch      atomic.Uint64
	doubted    chan struct{} // a commit was refused for its lease
	turns      atomic.Uint32
	work       work
}

// New returns an engine. Register what it runs, then Start it.
func New(o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{
		opts: o, store: o.Store, clock: o.Clock, log: o.Logger, journal: o.Journal,
		orchestrations: map[string]*Orchestration{},
		activities:     map[string]*Activity{},
		stopping:       make(chan struct{}),
		doubted:        make(chan struct{}, 1),
	}
	if e.journal == nil {
		j, err := poison.Open("")
		if err != nil {
			return nil, err
		}
		e.journal = j
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.owner = fmt.Sprintf("%x", id[:8])
	e.keys.node = binary.BigEndian.Uint32(id[8:])
	e.base, e.cancelBase = context.WithCancel(context.Background())
	e.instances.init(o.MaxIdle)
	e.pool.init(e)
	e.timers.init(e)
	e.waits.init()
	e.work.init()
	return e, nil
}

// RegisterOrchestration makes an orchestration known. It must happen before
// Start.
func (e *Engine) RegisterOrchestration(o Orchestration) error {
	if err := checkName("orchestration", o.Name); err != nil {
		return err
	}
	if e.orchestrations[o.Name] != nil {
		return fmt.Errorf("%w: orchestration %q is implemented twice", ErrInvalid, o.Name)
	}
	e.orchestrations[o.Name] = &o
	return nil
}

// RegisterActivity makes an activity known. It must happen before Start.
func (e *Engine) RegisterActivity(a Activity) error {
	if err := checkName("activity", a.Name); err != nil {
		return err
	}
	if e.activities[a.Name] != nil {
		return fmt.Errorf("%w: activity %q is implemented twice", ErrInvalid, a.Name)
	}
	e.activities[a.Name] = &a
	return nil
}

func checkName(what, name string) error {
	if name == "" || len(name) > records.MaxID {
		return fmt.Errorf("%w: %s name of %d bytes, want 1 to %d", ErrInvalid, what, len(name), records.MaxID)
	}
	return nil
}

// Start takes the lease, charges what was running when the process last died,
// and resumes every instance that has work. It returns when the engine is ready
// to be used; resumed work goes on behind it. An engine that could not start must
// not be used again.
func (e *Engine) Start(ctx context.Context) error {
	epoch, err := e.store.AcquireLease(ctx, leaseName, e.owner, leaseTTL)
	if errors.Is(err, store.ErrLeaseHeld) {
		return fmt.Errorf("engine: another process runs the instances of this store, or one ended without notice less than %v ago: %w", leaseTTL, err)
	}
	if err != nil {
		return fmt.Errorf("engine: take over the instances: %w", err)
	}
	e.epoch.Store(epoch)
	if err := e.begin(ctx); err != nil {
		return errors.Join(err, e.Stop(ctx))
	}
	return nil
}

func (e *Engine) begin(ctx context.Context) error {
	if err := e.chargeDeaths(ctx); err != nil {
		return fmt.Errorf("engine: charge what was running: %w", err)
	}
	if err := e.kept.sweep(e, time.Time{}); err != nil {
		return fmt.Errorf("engine: kept events: %w", err)
	}
	e.started.Store(true)
	e.background.Go(e.keepLease)
	e.background.Go(e.timers.run)
	e.background.Go(e.watchIdle)
	e.background.Go(e.watchTurns)
	if err := e.resume(); err != nil {
		return fmt.Errorf("engine: resume: %w", err)
	}
	return nil
}

// Stop ends the engine: running activities may finish until ctx is done, then
// their contexts are canceled. What has not finished runs again after the next
// Start. The committer must be closed after Stop.
func (e *Engine) Stop(ctx context.Context) error {
	e.stopOnce.Do(func() { close(e.stopping) })
	err := e.pool.drain(ctx)
	if err == nil {
		e.work.wait(ctx) // for the turns that their results caused
	}
	e.cancelBase()
	if err != nil {
		// The grace is over; activities that heed their context end now.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = e.pool.drain(grace)
		cancel()
	}
	e.closed.Store(true)
	e.background.Wait()
	e.abandonAll()
	e.coroutines.Close()
	e.pool.close()
	if epoch := e.epoch.Load(); epoch != 0 && e.failed.Load() == nil {
		err = errors.Join(err, e.store.ReleaseLease(context.WithoutCancel(ctx), leaseName, epoch))
	}
	return err
}

func (e *Engine) isStopping() bool {
	select {
	case <-e.stopping:
		return true
	default:
		return false
	}
}

// Err returns why the engine cannot go on, or nil.
func (e *Engine) Err() error {
	if err := e.failed.Load(); err != nil {
		return *err
	}
	if !e.started.Load() || e.isStopping() {
		return ErrStopped
	}
	return nil
}

// Logger returns the engine's logger.
func (e *Engine) Logger() *slog.Logger { return e.log }

func (e *Engine) stopError() error {
	if err := e.failed.Load(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, *err)
	}
	return ErrStopped
}

// fail stops the engine for good.
func (e *Engine) fail(err error) {
	if !e.failed.CompareAndSwap(nil, &err) {
		return
	}
	if errors.Is(err, store.ErrClosed) && e.isStopping() {
		return
	}
	e.log.Error("durable engine cannot go on", "error", err)
	e.stopOnce.Do(func() { close(e.stopping) })
	e.cancelBase()
	go e.opts.OnFatal(err)
}

// now returns the engine's time, in UTC.
func (e *Engine) now() time.Time { return e.clock.Now().UTC() }

// watchIdle evicts what has been idle for long.
func (e *Engine) watchIdle() {
	for {
		t := time.NewTimer(time.Second)
		select {
		case <-e.stopping:
			t.Stop()
			return
		case <-t.C:
		}
		e.evictIdle(time.Now().Add(-e.opts.IdleFor))
		e.pool.trim()
	}
}
