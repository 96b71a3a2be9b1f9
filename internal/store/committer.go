package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
)

// CommitterOptions configures NewCommitter. The zero value means the defaults.
type CommitterOptions struct {
	// MaxTxns bounds the transactions of one group; default 4096.
	MaxTxns int
	// MaxBytes bounds the sum of Txn.Size of one group; default 8 MiB. A greater
	// transaction makes a group of its own.
	MaxBytes int
	// QueueTxns bounds the transactions waiting for a group; default 16384.
	// Submit blocks while the queue is full.
	QueueTxns int
	// QueueBytes bounds the sum of Txn.Size of those; default 64 MiB.
	QueueBytes int
	// Busy reports that more submissions are imminent, say because workers are
	// running. While it does and the queue is short, the committer gathers for
	// up to Gather before it commits. Default nil: it never waits. It is called
	// often and must be cheap and safe for concurrent use.
	Busy func() bool
	// Committed, unless nil, is told of each group: its size and how long the store
	// took. It must not block.
	Committed func(transactions int, took time.Duration)
	// Gather is the longest time to wait for more; default 200 µs.
	Gather time.Duration
	// Short is the queue length from which on it never waits; default 64.
	Short int
}

// withDefaults returns a filled copy.
func (o CommitterOptions) withDefaults() CommitterOptions {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&o.MaxTxns, 4096)
	set(&o.MaxBytes, 8<<20)
	set(&o.QueueTxns, 16384)
	set(&o.QueueBytes, 64<<20)
	set(&o.Short, 64)
	if o.Gather <= 0 {
		o.Gather = 200 * time.Microsecond
	}
	return o
}

// CommitterStats counts what a Committer did.
type CommitterStats struct {
	// Groups and Transactions were given to the store, refused ones included.
	Groups, Transactions uint64
	// LastCommit is how long the store took for the latest group.
	LastCommit time.Duration
	// Queued is the number of transactions that wait for a group now.
	Queued int
}

// Committer gathers transactions from many goroutines into groups, so that they
// share one sync. While one group is being synced the next one fills.
//
// One goroutine commits; another one calls the done functions, so that a slow
// one delays answers but no commit.
type Committer struct {
	store Store
	opts  CommitterOptions

	mu     sync.Mutex
	filled sync.Cond // the queue got its first entry, or closing began
	room   sync.Cond // the queue got room, or closing began
	queue  []entry
	bytes  int
	closed bool

	length atomic.Int64 // of queue, to be read while gathering

	answers answers
	stopped chan struct{} // closed when the answering goroutine has ended

	groups, txns atomic.Uint64
	lastCommit   atomic.Int64

	broken error // the committing goroutine's: why no group can succeed any more
	skip   skip  // the committing goroutine's
}

// entry is a transaction on its way.
type entry struct {
	txn  *Txn
	size int
	done func(error)
	wait *waiter // of a Commit, instead of done
}

// waiter is a goroutine in Commit.
type waiter struct {
	state atomic.Int32
	done  chan error
}

// The states of a waiter. It leaves waiting once.
const (
	waiting   = iota
	taken     // into a group: the answer is near
	withdrawn // before that: nothing will be written
)

// NewCommitter starts a committer on s. It must be closed before s is.
func NewCommitter(s Store, opts CommitterOptions) *Committer {
	c := &Committer{store: s, opts: opts.withDefaults(), stopped: make(chan struct{})}
	c.filled.L, c.room.L, c.answers.ready.L = &c.mu, &c.mu, &c.answers.mu
	go c.commitLoop()
	go c.answerLoop()
	return c
}

// Submit queues txn and returns. It blocks while the queue is full. done is
// called exactly once, from another goroutine than the one that commits and in
// the order of submission, with nil (durable), the transaction's verdict or the
// error of its whole group; after a Close, with ErrClosed in no certain order.
// done must be short and may submit again.
//
// After an ErrOutcomeUnknown no later transaction reaches the store: all get
// that error.
func (c *Committer) Submit(txn *Txn, done func(error)) {
	if err := c.enqueue(context.Background(), entry{txn: txn, size: txn.Size(), done: done}); err != nil {
		go done(err)
	}
}

// Commit queues txn and waits for its answer. When ctx ends while txn is still
// queued, it is withdrawn and Commit returns the context's error: nothing is
// written. Once txn is in a group, Commit waits for the answer, which is near.
func (c *Committer) Commit(ctx context.Context, txn *Txn) error {
	w := &waiter{done: make(chan error, 1)}
	if err := c.enqueue(ctx, entry{txn: txn, size: txn.Size(), wait: w}); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		if w.state.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
		return <-w.done
	}
}

// enqueue waits for room, until ctx ends, and appends e.
func (c *Committer) enqueue(ctx context.Context, e entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hasRoom(e.size) {
		stop := context.AfterFunc(ctx, func() {
			c.mu.Lock() // the waiter below is either before its check or asleep
			defer c.mu.Unlock()
			c.room.Broadcast()
		})
		defer stop()
		for !c.hasRoom(e.size) && !c.closed {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.room.Wait()
		}
	}
	if c.closed {
		return ErrClosed
	}
	c.queue = append(c.queue, e)
	c.bytes += e.size
	c.length.Store(int64(len(c.queue)))
	if len(c.queue) == 1 {
		c.filled.Signal()
	}
	return nil
}

// hasRoom reports whether size more bytes fit; a single one always does.
func (c *Committer) hasRoom(size int) bool {
	return len(c.queue) == 0 || len(c.queue) < c.opts.QueueTxns && c.bytes+size <= c.opts.QueueBytes
}

// Stats returns the counters.
func (c *Committer) Stats() CommitterStats {
	return CommitterStats{
		Groups:       c.groups.Load(),
		Transactions: c.txns.Load(),
		LastCommit:   time.Duration(c.lastCommit.Load()),
		Queued:       int(c.length.Load()),
	}
}

// Close commits what is queued, waits until every done function has returned and
// stops. It must not be called from a done function. A second Close waits too.
func (c *Committer) Close() {
	c.mu.Lock()
	c.closed = true
	c.filled.Broadcast()
	c.room.Broadcast()
	c.mu.Unlock()
	<-c.stopped
}

// commitLoop takes groups from the queue until the committer is closed and the
// queue empty.
func (c *Committer) commitLoop() {
	defer c.answers.close()
	var group []*Txn
	for {
		entries, ok := c.take()
		if !ok {
			return
		}
		group = group[:0]
		for i := range entries {
			group = append(group, entries[i].txn)
		}
		verdicts, err := c.commit(group)
		clear(group)
		c.answers.add(answer{entries, verdicts, err})
	}
}

// commit gives one group to the store.
func (c *Committer) commit(group []*Txn) ([]error, error) {
	if c.broken != nil || len(group) == 0 {
		return nil, c.broken
	}
	start := time.Now()
	failpoint.Hit(failpoint.CommitterGathered)
	verdicts, err := c.store.Commit(context.Background(), group)
	failpoint.Hit(failpoint.CommitterCommitted)
	took := time.Since(start)
	c.lastCommit.Store(int64(took))
	if c.opts.Committed != nil {
		c.opts.Committed(len(group), took)
	}
	c.groups.Add(1)
	c.txns.Add(uint64(len(group)))
	if errors.Is(err, ErrOutcomeUnknown) {
		c.broken = err
	}
	return verdicts, err
}

// take waits for transactions and returns the next group.
func (c *Committer) take() ([]entry, bool) {
	c.mu.Lock()
	for len(c.queue) == 0 && !c.closed {
		c.filled.Wait()
	}
	c.mu.Unlock()
	c.gather()

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil, false
	}
	n, size := 0, 0
	group := make([]entry, 0, min(len(c.queue), c.opts.MaxTxns))
	for ; n < len(c.queue) && len(group) < c.opts.MaxTxns; n++ {
		e := &c.queue[n]
		if len(group) > 0 && size+e.size > c.opts.MaxBytes {
			break
		}
		c.bytes -= e.size
		if e.wait != nil && !e.wait.state.CompareAndSwap(waiting, taken) {
			continue
		}
		size += e.size
		group = append(group, *e)
	}
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	c.length.Store(int64(rest))
	c.room.Broadcast()
	return group, true
}

// gather waits for a fuller queue while more is imminent. It yields instead of
// sleeping: a timer of the runtime may be a millisecond late, five times the
// whole wait.
func (c *Committer) gather() {
	if c.opts.Busy == nil || c.broken != nil {
		return
	}
	before := c.length.Load()
	if before >= int64(c.opts.Short) || !c.opts.Busy() || !c.skip.try() {
		return
	}
	start := time.Now()
	for c.length.Load() < int64(c.opts.Short) && c.opts.Busy() && time.Since(start) < c.opts.Gather {
		runtime.Gosched()
	}
	c.skip.learn(c.length.Load() > before)
}

// skip keeps the committer from waiting where waiting brings nothing, as with a
// worker that computes for long: after each vain wait it leaves out twice as
// many as before, up to a bound.
type skip struct{ left, penalty int }

const maxPenalty = 64

func (s *skip) try() bool {
	if s.left > 0 {
		s.left--
		return false
	}
	return true
}

func (s *skip) learn(worthwhile bool) {
	if worthwhile {
		s.penalty = 0
		return
	}
	s.penalty = min(2*s.penalty+1, maxPenalty)
	s.left = s.penalty
}

// answer is what one group came to.
type answer struct {
	entries  []entry
	verdicts []error
	err      error
}

// answers is the list of groups that were committed and not answered yet. It has
// no bound of its own: a done function that submits waits for the committing
// goroutine, so that one must never wait for the done functions.
type answers struct {
	mu     sync.Mutex
	ready  sync.Cond
	list   []answer
	closed bool
}

func (a *answers) add(x answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, x)
	a.ready.Signal()
}

func (a *answers) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.ready.Signal()
}

// take waits for answers; none means that there will be no more.
func (a *answers) take() []answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.list) == 0 && !a.closed {
		a.ready.Wait()
	}
	list := a.list
	a.list = nil
	return list
}

// answerLoop calls the done functions.
func (c *Committer) answerLoop() {
	defer close(c.stopped)
	for list := c.answers.take(); list != nil; list = c.answers.take() {
		for _, a := range list {
			for i := range a.entries {
				err := a.err
				if err == nil {
					err = a.verdicts[i]
				}
				if e := &a.entries[i]; e.wait != nil {
					e.wait.done <- err
				} else {
					e.done(err)
				}
			}
		}
	}
}
