package replay

import (
	"iter"
	"sync"
)

// maxFree is how many coroutines a pool keeps.
const maxFree = 256

// Pool makes machines whose coroutines are used again. A coroutine whose code has
// returned keeps its goroutine and its stack, which costs a new one more than a short
// orchestration does. The zero value is ready. It is safe for concurrent use.
type Pool struct {
	mu     sync.Mutex
	free   []*coroutine
	closed bool
}

// New returns a machine that has not started.
func (p *Pool) New(name, instance string, code Code) *Machine {
	m := New(name, instance, code)
	m.pool = p
	return m
}

// Close ends the coroutines that are not in use, and the others when their code
// returns.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.free {
		c.stop()
	}
	p.free = nil
}

// get returns a coroutine without a machine.
func (p *Pool) get() *coroutine {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if last := len(p.free) - 1; last >= 0 {
			c := p.free[last]
			p.free[last] = nil
			p.free = p.free[:last]
			return c
		}
	}
	c := &coroutine{}
	c.next, c.stop = iter.Pull(c.loop)
	return c
}

// put takes back a coroutine whose code has returned.
func (p *Pool) put(c *coroutine) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed && len(p.free) < maxFree {
			p.free = append(p.free, c)
			return
		}
	}
	c.stop()
}

// coroutine runs the code of one machine after another.
type coroutine struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	m     *Machine // whose code runs; nil when it has returned
}

func (c *coroutine) loop(yield func(struct{}) bool) {
	c.yield = yield
	for {
		c.m.main()
		c.m = nil
		if !yield(struct{}{}) {
			return
		}
	}
}
