package h1

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// tick is how often the Sweeper looks: the granularity of all time limits here.
const tick = 250 * time.Millisecond

// Sweeper keeps the time limits of connections: one goroutine that looks at all of
// them four times a second. A limit costs one atomic store, where a timer of its own
// would cost more than parsing the request does. It also notices peers that have left
// while an answer is awaited.
type Sweeper struct {
	now  atomic.Int64 // ticks since the start
	stop chan struct{}
	done chan struct{}
	once sync.Once

	swept []*conn // those of one round; the goroutine's own

	mu    sync.Mutex
	conns []*conn
	pools map[*Pool]struct{}
}

// NewSweeper starts a sweeper. It runs until Stop.
func NewSweeper(c clock.Clock) *Sweeper {
	s := &Sweeper{pools: make(map[*Pool]struct{}), stop: make(chan struct{}), done: make(chan struct{})}
	s.now.Store(1)
	go s.run(c)
	return s
}

// Stop ends the sweeper. Connections have no limits from then on.
func (s *Sweeper) Stop() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}

func (s *Sweeper) run(c clock.Clock) {
	defer close(s.done)
	timer := c.NewTimer(tick)
	defer timer.Stop()
	start := c.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C():
		}
		// By the clock, not by counting: ticks are dropped when the machine is busy.
		s.sweep(1 + int64(c.Now().Sub(start)/tick))
		timer.Reset(tick) // at last: a test that waits for the timer knows that the sweep is over
	}
}

func (s *Sweeper) sweep(now int64) {
	s.now.Store(now)
	s.mu.Lock()
	s.swept = append(s.swept[:0], s.conns...)
	pools := slices.Collect(maps.Keys(s.pools))
	s.mu.Unlock()
	for _, c := range s.swept { // without the lock: connections come and go meanwhile
		c.sweep(now)
	}
	clear(s.swept)
	for _, p := range pools {
		p.sweep(now)
	}
}

func (s *Sweeper) addPool(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[p] = struct{}{}
}

func (s *Sweeper) removePool(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pools, p)
}

func (s *Sweeper) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.swept = len(s.conns)
	s.conns = append(s.conns, c)
}

func (s *Sweeper) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.conns) - 1
	s.conns[c.swept] = s.conns[last]
	s.conns[c.swept].swept = c.swept
	s.conns[last] = nil
	s.conns = s.conns[:last]
}

func (s *Sweeper) tick() int64 { return s.now.Load() }

// ticks turns a limit into ticks; at least the whole of it passes.
func ticks(d time.Duration) int64 { return int64((d+tick-1)/tick) + 1 }
