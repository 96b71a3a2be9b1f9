package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// pool runs activities, turns and small jobs on goroutines that are used again.
//
// At most one goroutine at a time is on its way to the jobs; it brings the next one
// before it does the first job. So jobs that end quickly are done one after another by
// few goroutines, and one that blocks holds up none.
type pool struct {
	e      *Engine
	active atomic.Int64 // jobs handed over and not done

	mu      sync.Mutex
	jobs    fifo[job]
	coming  bool            // a goroutine is on its way to the jobs
	idle    []chan struct{} // wakes a goroutine that waits; closed, it ends it
	spare   int             // how many of them nobody has needed since the last trim
	closed  bool            // goroutines end when there is no job left
	queue   fifo[*task]     // activities beyond the limit
	running int             // activities
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
	p.drained = sync.NewCond(&p.mu)
}

// maxIdle is how many goroutines wait for jobs; more end instead. A goroutine that
// waits has grown its stack already, which costs a new one more than the job.
const maxIdle = 256

// run does a small job.
func (p *pool) run(f func()) {
	p.e.work.begin()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.push(job{f: f})
}

// dispatch runs an activity as soon as the limit allows.
func (p *pool) dispatch(t *task) {
	p.e.work.begin()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running >= p.e.opts.MaxActivities {
		p.queue.push(t)
		return
	}
	p.running++
	p.push(job{t: t})
}

// maxTurns bounds the turns that wait for a processor or for room at the committer:
// each has its instance in memory.
const maxTurns = 512

// turn runs turns of an instance as soon as the limit allows. The caller owns it and
// hands it over.
func (p *pool) turn(in *instance) {
	p.e.work.begin()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turning >= maxTurns {
		p.waiting.push(in)
		return
	}
	p.turning++
	p.push(job{in: in})
}

// push hands over a job. The caller holds p.mu.
func (p *pool) push(j job) {
	p.active.Add(1)
	p.jobs.push(j)
	p.call()
}

// call brings a goroutine to the jobs, if there are any and none is on its way. The
// caller holds p.mu.
func (p *pool) call() {
	if p.coming || p.jobs.empty() {
		return
	}
	p.coming = true
	last := len(p.idle) - 1
	if last < 0 {
		go p.loop()
		return
	}
	p.idle[last] <- struct{}{}
	p.idle = p.idle[:last]
	p.spare = min(p.spare, last)
}

// loop does jobs, and waits for more.
func (p *pool) loop() {
	wake := make(chan struct{}, 1)
	for {
		p.mu.Lock()
		p.coming = false
		for j, ok := p.jobs.pop(); ok; j, ok = p.jobs.pop() {
			p.call()
			p.mu.Unlock()
			p.do(j)
			p.mu.Lock()
		}
		if p.closed || len(p.idle) >= maxIdle {
			p.mu.Unlock()
			return
		}
		p.idle = append(p.idle, wake)
		p.mu.Unlock()
		if _, ok := <-wake; !ok {
			return
		}
	}
}

// do does one job. An activity may end the goroutine by runtime.Goexit; what the
// job owed is then done by another one.
func (p *pool) do(j job) {
	returned := false
	defer func() {
		if !returned {
			go func() {
				p.e.unsuccessful(j.t, errGoexit)
				p.ended(j)
			}()
			return
		}
		p.ended(j)
	}()
	switch {
	case j.in != nil:
		p.e.turn(j.in)
	case j.t != nil:
		p.e.attempt(j.t)
	default:
		j.f()
	}
	returned = true
}

// ended counts a job as done, and hands over another of its kind that waits.
func (p *pool) ended(j job) {
	p.mu.Lock()
	switch {
	case j.in != nil:
		if in, ok := p.waiting.pop(); ok {
			p.push(job{in: in})
		} else {
			p.turning--
		}
	case j.t != nil:
		p.endedActivity()
	}
	p.mu.Unlock()
	p.active.Add(-1)
	p.e.work.end()
}

func (p *pool) endedActivity() {
	if !p.e.isStopping() {
		if t, ok := p.queue.pop(); ok {
			p.push(job{t: t})
			return
		}
	}
	p.running--
	if p.running == 0 {
		p.drained.Broadcast()
	}
}

// trim ends the goroutines that nobody has needed since the last trim.
func (p *pool) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, wake := range p.idle[:p.spare] {
		close(wake)
	}
	p.idle = slices.Delete(p.idle, 0, p.spare)
	p.spare = len(p.idle)
}

// close ends the goroutines that wait, and the others when there is no job left.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, wake := range p.idle {
		close(wake)
	}
	p.idle, p.spare = nil, 0
}

// fifo is a queue whose memory is used again.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) empty() bool { return q.head == len(q.items) }

func (q *fifo[T]) push(v T) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) pop() (v T, ok bool) {
	if q.empty() {
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
