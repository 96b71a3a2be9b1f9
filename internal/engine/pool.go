package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pool runs activities and turns on goroutines that are reused.
type pool struct {
	e      *Engine
	jobs   chan job
	active atomic.Int64 // jobs running

	mu      sync.Mutex
	queue   fifo[*task] // activities beyond the limit
	running int         // activities
	drained *sync.Cond
	waiting fifo[*instance] // whose turns are beyond the limit
	turning int             // turns
}

type job struct {
	in *instance // a turn, or
	t  *task     // an activity, or
	f  func()
}

func (p *pool) init(e *Engine) {
	p.e = e
	p.jobs = make(chan job)
	p.drained = sync.NewCond(&p.mu)
}

// run gives a job to an idle goroutine or a new one.
func (p *pool) run(j job) {
	p.e.work.begin()
	select {
	case p.jobs <- j:
	default:
		go p.loop(j)
	}
}

// maxParked is how many goroutines wait for jobs; more end instead. A goroutine
// that waits has grown its stack already, which costs a new one more than the job.
const maxParked = 256

func (p *pool) loop(j job) {
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	for {
		p.do(j)
		if parked.Add(1) > maxParked {
			parked.Add(-1)
			return
		}
		idle.Reset(parkFor)
		select {
		case j = <-p.jobs:
			parked.Add(-1)
		case <-idle.C:
			parked.Add(-1)
			return
		case <-p.e.stopped:
			parked.Add(-1)
			return
		}
	}
}

// parkFor is how long an idle goroutine waits for a job.
const parkFor = 10 * time.Second

// do does one job. An activity may end the goroutine by runtime.Goexit; what the
// job owed is then done by another one.
func (p *pool) do(j job) {
	p.active.Add(1)
	returned := false
	defer func() {
		p.active.Add(-1)
		if !returned {
			go p.goOn(j.t)
			return
		}
		p.e.work.end()
	}()
	switch {
	case j.in != nil:
		for ok := true; ok; j.in, ok = p.nextTurn() {
			p.e.turn(j.in)
		}
	case j.t != nil:
		for j.t != nil {
			p.e.attempt(j.t)
			j.t = p.next()
		}
	default:
		j.f()
	}
	returned = true
}

// goOn ends a task whose function called runtime.Goexit, and does those that wait.
func (p *pool) goOn(t *task) {
	p.e.unsuccessful(t, errGoexit)
	if t = p.next(); t != nil {
		p.do(job{t: t})
		return
	}
	p.e.work.end()
}

// parked counts the goroutines that wait for jobs, of all engines.
var parked atomic.Int64

// dispatch runs an activity as soon as the limit allows.
func (p *pool) dispatch(t *task) {
	p.mu.Lock()
	if p.running >= p.e.opts.MaxActivities {
		p.e.work.begin()
		p.queue.push(t)
		p.mu.Unlock()
		return
	}
	p.running++
	p.mu.Unlock()
	p.run(job{t: t})
}

// next ends one activity and returns another that waits, if any.
func (p *pool) next() *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.e.isStopping() {
		if t, ok := p.queue.pop(); ok {
			p.e.work.end() // of the wait: the job it joins counts from here
			return t
		}
	}
	p.running--
	if p.running == 0 {
		p.drained.Broadcast()
	}
	return nil
}

// maxTurns bounds the turns that wait for a processor or for room at the committer:
// each has its instance in memory.
const maxTurns = 512

// turn runs turns of an instance as soon as the limit allows. The caller owns it and
// hands it over.
func (p *pool) turn(in *instance) {
	p.mu.Lock()
	if p.turning >= maxTurns {
		p.e.work.begin()
		p.waiting.push(in)
		p.mu.Unlock()
		return
	}
	p.turning++
	p.mu.Unlock()
	p.run(job{in: in})
}

// nextTurn ends one turn and returns another instance that waits, if any.
func (p *pool) nextTurn() (*instance, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in, ok := p.waiting.pop()
	if ok {
		p.e.work.end() // as in next
	} else {
		p.turning--
	}
	return in, ok
}

// fifo is a queue whose memory is used again when it has been emptied.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

func (q *fifo[T]) pop() (v T, ok bool) {
	if q.head == len(q.items) {
		return v, false
	}
	var none T
	v, q.items[q.head] = q.items[q.head], none
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v, true
}

// drain waits until no activity runs or ctx is done.
func (p *pool) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drained.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.running > 0 && ctx.Err() == nil {
		p.drained.Wait()
	}
	if p.running > 0 {
		return fmt.Errorf("engine: stop: %d activities still run: %w", p.running, ctx.Err())
	}
	return nil
}
