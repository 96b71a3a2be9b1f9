package engine

import (
	"container/list"
	"sync"
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
// runs at a time. The mutex guards the rest. Lock order: instances before
// instance.
type instance struct {
	key records.InstanceKey

	mu     sync.Mutex
	active bool // somebody runs turns of it, or a commit is under way
	gone   bool // removed from memory: look it up again
	dirty  bool // its inbox in the store may hold messages
	queue  []*inbound
	idle   *list.Element // its place among the idle, guarded by instances.idleMu

	// ---- of the owner ----

	rec      *records.Instance // nil: not loaded
	machine  *replay.Machine   // nil: not loaded, or it cannot run
	nextTurn uint32
	busy     bool                     // has the mark that makes a restart resume it
	tasks    map[uint32]*task         // dispatched activities and the step
	parked   map[uint32]*records.Task // calls that wait for a time or for completion from outside
	timers   map[uint32]int64         // due times of open timers
	loads    int                      // failed attempts to load in a row
	deaths   uint32                   // process deaths while it ran a turn
}

// inbound is something an instance is to take: an event, or a change that control
// makes.
type inbound struct {
	event history.Event
	// done, unless nil, is called once: with nil when the event is durable.
	done func(error)
	// check, unless nil, may refuse the event when its turn comes.
	check func(*instance) error
	// stored, unless nil, is its message in the inbox, to be removed.
	stored *records.Arrival
	// timer, unless nil, is the stored timer that fired.
	timer *records.Timer
	// task and unit, unless nil, are the activity run that ended and its
	// writes.
	task *task
	unit *unit.Unit
	// create, unless nil, is the record of the instance that the event starts.
	create *records.Instance
	// unique demands that no instance has the id of create yet.
	unique bool
	// control, unless nil, changes the instance instead of an event.
	control func(in *instance, c *change) error
}

func (b *inbound) answer(err error) {
	if b.done != nil {
		b.done(err)
	}
}

// instances holds the instances in memory.
type instances struct {
	shards [64]shard

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

func (s *instances) shard(k records.InstanceKey) *shard { return &s.shards[k%uint64Len] }

const uint64Len = 64

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

// remove takes an instance out of memory. The caller owns it and has set gone.
func (s *instances) remove(in *instance) {
	sh := s.shard(in.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m[in.key] == in {
		delete(sh.m, in.key)
	}
}

// park notes that an instance became idle, and returns those that are idle too
// long now because there are too many.
func (s *instances) park(in *instance, now time.Time) *instance {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	if in.idle == nil {
		in.idle = s.idle.PushBack(&idler{in: in, since: now})
	}
	if s.idle.Len() > s.maxIdle {
		return s.idle.Front().Value.(*idler).in
	}
	return nil
}

// unpark notes that an instance is idle no more.
func (s *instances) unpark(in *instance) {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	if in.idle != nil {
		s.idle.Remove(in.idle)
		in.idle = nil
	}
}

// idleSince returns an instance that has been idle since before t.
func (s *instances) idleSince(t time.Time) *instance {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	front := s.idle.Front()
	if front == nil || front.Value.(*idler).since.After(t) {
		return nil
	}
	return front.Value.(*idler).in
}

// live counts the instances in memory.
func (s *instances) live() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].m)
		s.shards[i].mu.Unlock()
	}
	return n
}

// closeAll ends the coroutines of all instances that nobody owns.
func (s *instances) closeAll() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		all := make([]*instance, 0, len(sh.m))
		for _, in := range sh.m {
			all = append(all, in)
		}
		sh.mu.Unlock()
		for _, in := range all {
			in.mu.Lock()
			free := !in.active
			in.active, in.gone = true, true
			in.mu.Unlock()
			if free {
				in.unload()
			}
		}
	}
}

// deliver hands b to the instance k and runs its turn unless it is being run.
// Inline runs the turn on the caller's goroutine.
func (e *Engine) deliver(k records.InstanceKey, b *inbound, inline bool) {
	for {
		in := e.instances.get(k)
		in.mu.Lock()
		if in.gone {
			in.mu.Unlock()
			e.instances.remove(in)
			continue
		}
		in.queue = append(in.queue, b)
		e.activate(in, inline)
		return
	}
}

// wake makes the instance k look into its inbox.
func (e *Engine) wake(k records.InstanceKey) {
	for {
		in := e.instances.get(k)
		in.mu.Lock()
		if in.gone {
			in.mu.Unlock()
			e.instances.remove(in)
			continue
		}
		in.dirty = true
		e.activate(in, false)
		return
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
	in.mu.Unlock()
	e.instances.unpark(in)
	if inline {
		e.work.begin()
		defer e.work.end()
		e.turn(in)
		return
	}
	e.pool.run(job{in: in})
}

// rest gives up the ownership of an instance that has nothing to do. It reports
// false when something came meanwhile.
func (e *Engine) rest(in *instance) bool {
	in.mu.Lock()
	if len(in.queue) > 0 || in.dirty {
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
	in.mu.Unlock()
	if !evictable {
		return true
	}
	for extra := e.instances.park(in, time.Now()); extra != nil; extra = nil {
		e.evict(extra)
	}
	return true
}

// evictIdle evicts what has been idle since before t.
func (e *Engine) evictIdle(t time.Time) {
	for in := e.instances.idleSince(t); in != nil; in = e.instances.idleSince(t) {
		e.evict(in)
	}
}

// evict removes an idle instance from memory; its records are all that is left.
// One that got something to do meanwhile stays.
func (e *Engine) evict(in *instance) {
	e.instances.unpark(in)
	in.mu.Lock()
	if in.active || in.gone || len(in.queue) > 0 || in.dirty {
		in.mu.Unlock()
		return
	}
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

// lease makes txn depend on the engine's ownership.
func (e *Engine) leased(txn *store.Txn) *store.Txn {
	txn.Lease = e.lease()
	return txn
}
