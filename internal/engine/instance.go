package engine

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// instance is an instance that has something to do or waits in memory.
//
// Whoever sets active owns everything below the line until it clears it; one turn
// runs at a time. The mutex guards the rest. Lock order: mu before
// instances.idleMu; a shard's lock is held together with neither.
type instance struct {
	key     records.InstanceKey
	running atomic.Pointer[running] // nil before its first turn, and after one was taken over

	mu     sync.Mutex
	active bool // somebody runs turns of it, or a commit is under way
	gone   bool // removed from memory: look it up again
	dirty  bool // its inbox in the store may hold messages
	queue  []*inbound
	idle   *list.Element // its place among the idle; changes under idleMu as well

	// ---- of the owner ----

	rec      *records.Instance // nil: not loaded
	machine  *replay.Machine   // nil: not loaded, or it cannot run
	nextTurn uint32
	busy     bool             // has the mark that makes a restart resume it
	tasks    map[uint32]*task // activities and the step that run or are about to
	parked   map[uint32]*task // those that wait for a time or for completion from outside
	timers   map[uint32]int64 // due times of open timers
	adopt    string           // its id, if events kept for it are to be moved to its inbox
	troubles int              // failures of the store in a row
	deaths   uint32           // process deaths while it ran a turn
}

// inbound is something an instance is to take: an event, or a change that control
// makes.
type inbound struct {
	event history.Event
	// done, unless nil, is called once: with nil when the event is durable.
	done func(error)
	// check, unless nil, may refuse the event when its turn comes.
	check func(*instance) error
	// void says that it was refused and has its answer.
	void bool
	// stored, unless nil, is its message in the inbox, to be removed.
	stored *records.Arrival
	// timer, unless nil, is the stored timer that fired.
	timer *records.Timer
	// task, unless nil, is the activity or step that the event answers.
	task *task
	// unit, unless nil, is the unit of work of the activity's run, and writes
	// what it commits. It stays sealed however often the commit is tried.
	unit   *unit.Unit
	writes *store.Txn
	// create, unless nil, is the record of the instance that the event starts.
	create *records.Instance
	// unique demands that no instance has the id of create yet.
	unique bool
	// control, unless nil, changes the instance instead of an event.
	control func(in *instance, c *change) error
}

func (b *inbound) answer(err error) {
	if done := b.done; done != nil {
		b.done = nil
		done(err)
	}
}

// discard undoes what the activity's run staged. It must not be called when the
// outcome of its commit is unknown.
func (b *inbound) discard() {
	if b.unit != nil {
		b.unit.Discarded()
		b.unit, b.writes = nil, nil
	}
}

// shards is over how many maps the instances are spread.
const shards = 64

// instances holds the instances in memory.
type instances struct {
	shards [shards]shard

	idleMu  sync.Mutex
	idle    *list.List // of *idler, longest idle first
	maxIdle int
}

type shard struct {
	mu sync.Mutex
	m  map[records.InstanceKey]*instance
}

type idler struct {
	in    *instance
	since time.Time
}

func (s *instances) init(maxIdle int) {
	for i := range s.shards {
		s.shards[i].m = map[records.InstanceKey]*instance{}
	}
	s.idle, s.maxIdle = list.New(), maxIdle
}

func (s *instances) shard(k records.InstanceKey) *shard { return &s.shards[k%shards] }

// get returns the instance in memory, or an empty place for it.
func (s *instances) get(k records.InstanceKey) *instance {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	in := sh.m[k]
	if in == nil {
		in = &instance{key: k, dirty: true}
		sh.m[k] = in
	}
	return in
}

// add puts a new instance in memory; it is active.
func (s *instances) add(in *instance) {
	sh := s.shard(in.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.m[in.key] = in
}

// remove takes an instance out of memory that is gone.
func (s *instances) remove(in *instance) {
	sh := s.shard(in.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m[in.key] == in {
		delete(sh.m, in.key)
	}
}

// park notes that an instance became idle. The caller holds in.mu.
func (s *instances) park(in *instance, now time.Time) {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	in.idle = s.idle.PushBack(&idler{in: in, since: now})
}

// unpark notes that an instance is idle no more. The caller holds in.mu.
func (s *instances) unpark(in *instance) {
	if in.idle == nil {
		return
	}
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	s.idle.Remove(in.idle)
	in.idle = nil
}

// longestIdle returns the instance that is idle longest, if it has been idle since
// before t or there are too many.
func (s *instances) longestIdle(t time.Time) *instance {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	front := s.idle.Front()
	if front == nil {
		return nil
	}
	if one := front.Value.(*idler); s.idle.Len() > s.maxIdle || one.since.Before(t) {
		return one.in
	}
	return nil
}

// each visits every instance in memory. Visit is called with a shard locked.
func (s *instances) each(visit func(*instance)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, in := range sh.m {
			visit(in)
		}
		sh.mu.Unlock()
	}
}

// deliver hands b to the instance k and runs its turn unless it is being run.
// Inline runs the turn on the caller's goroutine.
func (e *Engine) deliver(k records.InstanceKey, b *inbound, inline bool) {
	e.touch(k, b, inline)
}

// wake makes the instance k look into its inbox.
func (e *Engine) wake(k records.InstanceKey) {
	e.touch(k, nil, false)
}

// touch gives the instance k something to do, b or a look into its inbox, and an owner
// if it has none.
func (e *Engine) touch(k records.InstanceKey, b *inbound, inline bool) {
	for {
		in := e.instances.get(k)
		in.mu.Lock()
		if !in.gone {
			if b != nil {
				in.queue = append(in.queue, b)
			} else {
				in.dirty = true
			}
			e.activate(in, inline)
			return
		}
		in.mu.Unlock()
		e.instances.remove(in)
	}
}

// activate gives the instance an owner if it has none. The caller holds in.mu,
// which is released.
func (e *Engine) activate(in *instance, inline bool) {
	if in.active {
		in.mu.Unlock()
		return
	}
	in.active = true
	e.instances.unpark(in)
	in.mu.Unlock()
	if inline {
		e.work.begin()
		defer e.work.end()
		e.turn(in)
		return
	}
	e.pool.turn(in)
}

// rest gives up the ownership of an instance that has nothing to do. It reports
// false when something came meanwhile.
func (e *Engine) rest(in *instance) bool {
	in.mu.Lock()
	if len(in.queue) > 0 || in.dirty || in.adopt != "" {
		in.mu.Unlock()
		return false
	}
	evictable := len(in.tasks) == 0
	if evictable && (in.rec == nil || in.rec.State.Ended() || e.opts.ReplayAlways) {
		in.gone = true
		in.mu.Unlock()
		e.instances.remove(in)
		in.unload()
		return true
	}
	in.active = false
	if evictable {
		e.instances.park(in, time.Now())
	}
	in.mu.Unlock()
	if evictable {
		e.evictIdle(time.Time{})
	}
	return true
}

// retryLater gives up the ownership of an instance whose store failed it. It is
// tried again after wait, or when something comes for it.
func (e *Engine) retryLater(in *instance, wait time.Duration) {
	in.unload()
	in.mu.Lock()
	in.active = false
	in.mu.Unlock()
	time.AfterFunc(wait, func() {
		in.mu.Lock()
		if in.active || in.gone || len(in.queue) == 0 && !in.dirty {
			in.mu.Unlock()
			return
		}
		e.activate(in, false)
	})
}

// evictIdle evicts what has been idle since before t, and what is too many.
func (e *Engine) evictIdle(t time.Time) {
	for in := e.instances.longestIdle(t); in != nil; in = e.instances.longestIdle(t) {
		e.evict(in)
	}
}

// evict removes an idle instance from memory; its records are all that is left.
// One that got something to do meanwhile stays.
func (e *Engine) evict(in *instance) {
	in.mu.Lock()
	if in.idle == nil {
		in.mu.Unlock()
		return
	}
	e.instances.unpark(in)
	in.active, in.gone = true, true
	in.mu.Unlock()
	e.instances.remove(in)
	failpoint.Hit(failpoint.EngineEvicting)
	in.unload()
}

// unload closes the machine and forgets everything that load reads. The tasks
// stay: they run.
func (in *instance) unload() {
	if in.machine != nil {
		in.machine.Close()
	}
	in.machine, in.rec, in.timers, in.parked = nil, nil, nil, nil
	in.nextTurn, in.busy = 0, false
}

// abandon gives up an instance, because the engine stops. What was acknowledged is
// stored. The caller owns it.
func (e *Engine) abandon(in *instance) {
	in.unload()
	e.dismiss(in, e.stopError())
}

// dismiss removes an instance from memory and answers what it was to take. The
// caller owns it.
func (e *Engine) dismiss(in *instance, err error) {
	in.mu.Lock()
	items := in.queue
	in.queue, in.dirty, in.adopt, in.gone = nil, false, "", true
	in.mu.Unlock()
	e.instances.remove(in)
	for _, b := range items {
		b.discard()
		b.answer(err)
	}
}

// abandonAll gives up every instance that nobody owns. Owners do it themselves.
func (e *Engine) abandonAll() {
	var all []*instance
	e.instances.each(func(in *instance) { all = append(all, in) })
	for _, in := range all {
		in.mu.Lock()
		free := !in.active && !in.gone
		if free {
			in.active = true
			e.instances.unpark(in)
		}
		in.mu.Unlock()
		if free {
			e.abandon(in)
		}
	}
}
