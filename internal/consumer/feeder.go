package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// maxConflicts is how often a run that conflicted is run again before that counts
// as a failure.
const maxConflicts = 20

// Feeder feeds events of streams to the functions that read them, and removes old
// ones. It is safe for concurrent use.
type Feeder struct {
	Config

	base   context.Context // of all runs
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	mu         sync.Mutex
	state      state
	groups     []*group
	retentions []Retention
	runners    []*runner
	cutShort   int
	changed    chan struct{} // closed when a runner has become idle
	stopping   chan struct{} // closed by Stop
	nextSweep  clock.Timer
	nextTrim   clock.Timer
	trimming   bool // old events are being removed
}

type state int

const (
	created state = iota
	started
	stopped
)

// group is a Group at work.
type group struct {
	Group
	id    records.Group
	hash  uint64        // of the function's name, for the journal
	slots chan struct{} // one for each partition that is read at a time
	pace  *pace

	mu        sync.Mutex
	abandoned int           // runs that were given up and go on
	freed     chan struct{} // closed when one of them has ended
}

// New returns a feeder without groups.
func New(c Config) *Feeder {
	return &Feeder{Config: c.withDefaults(), changed: make(chan struct{}), stopping: make(chan struct{})}
}

// Register adds a group, and its function to the dispatcher. Groups are registered
// before Start, and before that of the dispatcher.
func (f *Feeder) Register(g Group) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.state != created:
		return fmt.Errorf("%w: %q: the feeder has started", ErrBadGroup, g.Function)
	case g.Stream == "" || g.Partitions < 1:
		return fmt.Errorf("%w: %q: it has no stream with partitions", ErrBadGroup, g.Function)
	case (g.Handle == nil) == (g.HandleBatch == nil):
		return fmt.Errorf("%w: %q: it has both or none of the handlers for events and for batches", ErrBadGroup, g.Function)
	}
	g.Batch = g.Batch.withDefaults()
	g.Policy = policyDefaults(g.Policy)
	own := &group{
		Group: g, id: records.Group{Stream: g.Stream, Function: g.Function},
		hash: nameHash(g.Function), pace: newPace(g.Policy), slots: make(chan struct{}, g.Policy.Concurrency), freed: make(chan struct{}),
	}
	err := f.Dispatcher.Register(delivery.Function{Name: g.Function, Policy: g.Policy, Handle: own.handleSpilled})
	if err != nil {
		return err
	}
	f.groups = append(f.groups, own)
	return nil
}

// Retain says what is kept of a stream. Without it everything is. It is called before
// Start, once for each stream.
func (f *Feeder) Retain(r Retention) {
	if r.Age > 0 || r.Bytes > 0 {
		f.retentions = append(f.retentions, r)
	}
}

// Start charges what was running when the last process died, registers the groups in
// the store and begins to feed them. The values of ctx reach the functions; its end
// does not, Stop ends them.
func (f *Feeder) Start(ctx context.Context) error {
	if err := f.charge(ctx); err != nil {
		return fmt.Errorf("consumer: after a process death: %w", err)
	}
	var runners []*runner
	for _, g := range f.groups {
		numbers, err := f.enlist(ctx, g)
		if err != nil {
			return fmt.Errorf("consumer: function %q: %w", g.Function, err)
		}
		for _, n := range numbers {
			runners = append(runners, newRunner(f, g, n))
		}
	}
	if err := f.warnStrangers(); err != nil {
		return fmt.Errorf("consumer: start: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != created {
		return errors.New("consumer: a feeder starts once")
	}
	f.state = started
	f.runners = runners
	f.base, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, r := range runners {
		f.work.Go(r.loop)
	}
	if len(runners) > 0 {
		events, stopEvents := f.Watch(records.StreamSpace)
		lanes, stopLanes := f.Watch(records.LaneSpace)
		f.work.Go(func() {
			defer stopEvents()
			defer stopLanes()
			f.watch(events, lanes)
		})
		f.nextSweep = f.Clock.AfterFunc(f.SweepEvery, f.sweep)
	}
	if len(f.retentions) > 0 {
		f.nextTrim = f.Clock.AfterFunc(f.RetainEvery, f.beginTrim)
	}
	return nil
}

// enlist registers a group in the store, with a cursor in each partition, and returns
// the numbers of the partitions it reads: those declared, and those in which there may
// be events from the time when there were more.
func (f *Feeder) enlist(ctx context.Context, g *group) (numbers []int, err error) {
	err = f.unit(ctx, func(u *unit.Unit) error {
		if numbers, err = f.partitions(u, g.id); err != nil {
			return err
		}
		known, err := records.GetGroup(u, g.id)
		if err != nil || known {
			return err // partitions without a cursor are new ones: all of them is read
		}
		for _, n := range numbers {
			first, err := records.FirstOf(u, records.Partition{Stream: g.Stream, Number: n}, g.From)
			if err != nil {
				return err
			}
			if err := records.PutCursor(u, g.id, n, first-1); err != nil {
				return err
			}
		}
		return records.PutGroup(u, g.id, u.Now())
	})
	return numbers, err
}

// warnStrangers logs the groups in the store whose function is not registered: nothing
// is removed of what they have not read.
func (f *Feeder) warnStrangers() error {
	snap, err := f.Env.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	all, err := records.StreamGroups(snap, "")
	if err != nil {
		return err
	}
	for _, id := range all {
		if f.groupOf(id) == nil {
			f.Log.Warn("a stream is kept for a function that this program does not have", "stream", id.Stream, "function", id.Function)
		}
	}
	return nil
}

func (f *Feeder) groupOf(id records.Group) *group {
	for _, g := range f.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// unit runs do in a unit of its own.
func (f *Feeder) unit(ctx context.Context, do func(u *unit.Unit) error) error {
	return unit.Run(ctx, f.Env, f.Committer, maxConflicts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return do(u)
	})
}

// watch wakes runners after commits.
func (f *Feeder) watch(events, lanes <-chan struct{}) {
	for {
		select {
		case <-events:
		case <-lanes:
		case <-f.stopping:
			return
		}
		f.look()
	}
}

// look wakes the runners for which the store has something to do, all if it cannot be
// read. It reports whether all of them are idle.
func (f *Feeder) look() (idle bool) {
	snap, err := f.Env.Snapshot()
	if err != nil {
		for _, r := range f.runners {
			r.signal()
		}
		return false
	}
	defer snap.Close()
	idle = true
	for _, r := range f.runners {
		news, quiet, err := r.look(records.View{Reader: snap})
		if news || err != nil {
			r.signal()
		}
		idle = idle && quiet && err == nil
	}
	return idle
}

// sweep wakes all runners: the commit of an event may have succeeded without a signal.
func (f *Feeder) sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != started {
		return
	}
	for _, r := range f.runners {
		r.signal()
	}
	f.nextSweep.Reset(f.SweepEvery)
}

// Stop ends the feeder: nothing new is begun, and what runs may end until ctx does.
// Then the units of what still runs are closed, so that it cannot commit, and its
// contexts canceled; its events are handled after the next start, without a charge. The
// error says how many runs those are.
func (f *Feeder) Stop(ctx context.Context) error {
	f.mu.Lock()
	was := f.state
	f.state = stopped
	if was != started {
		f.mu.Unlock()
		return nil
	}
	close(f.stopping)
	for _, t := range []clock.Timer{f.nextSweep, f.nextTrim} {
		if t != nil {
			t.Stop()
		}
	}
	f.mu.Unlock()

	drained := make(chan struct{})
	go func() {
		f.work.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		f.cancel(delivery.ErrStopping)
		return nil
	case <-ctx.Done():
	}
	f.cancel(delivery.ErrStopping)
	<-drained
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cutShort == 0 {
		return nil
	}
	return fmt.Errorf("consumer: %d runs were cut short: %w", f.cutShort, context.Cause(ctx))
}

// isStopping reports whether Stop was called.
func (f *Feeder) isStopping() bool {
	select {
	case <-f.stopping:
		return true
	default:
		return false
	}
}

// Idle waits until no event could be handled now. Batches that wait for more events,
// and partitions that wait for what failed in them, do not count. It fails with the
// cause of ctx.
func (f *Feeder) Idle(ctx context.Context) error {
	for {
		f.mu.Lock()
		changed, state, trimming := f.changed, f.state, f.trimming
		f.mu.Unlock()
		if state != started || !trimming && f.look() {
			return nil
		}
		select {
		case <-changed:
		case <-f.stopping:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// change tells who waits in Idle that a runner has become idle.
func (f *Feeder) change() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell()
}

// tell is change for who holds the mutex.
func (f *Feeder) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}
