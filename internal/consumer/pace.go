package consumer

import (
	"math"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/delivery"
)

// pace says when a group may go on: as often as its Rate allows, and not while it pauses
// after failures in a row. The partitions of the group share it.
type pace struct {
	rate  delivery.Rate
	brake delivery.Break

	mu       sync.Mutex
	tokens   float64   // runs that may begin
	filled   time.Time // when tokens were counted; zero before the first run
	failures int       // in a row
	until    time.Time // when the pause ends
}

func newPace(p delivery.Policy) *pace {
	p.Rate.Burst = max(p.Rate.Burst, 1)
	if p.Break.Pause <= 0 {
		p.Break.Pause = 30 * time.Second
	}
	return &pace{rate: p.Rate, brake: p.Break}
}

// begin reserves up to want runs, and at least one unless it says how long to wait.
func (p *pace) begin(now time.Time, want int) (n int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.until.Sub(now); wait > 0 {
		return 0, wait
	}
	if p.isSuspected() {
		want = 1 // see whether it works again
	}
	if p.rate.PerSecond <= 0 {
		return want, 0
	}
	burst := float64(p.rate.Burst)
	if p.filled.IsZero() {
		p.tokens = burst
	} else if passed := now.Sub(p.filled); passed > 0 {
		p.tokens = min(p.tokens+passed.Seconds()*p.rate.PerSecond, burst)
	}
	p.filled = now
	n = min(want, int(p.tokens+1e-9)) // a token is there when its last billionth is missing
	if n <= 0 {
		missing := math.Ceil((1 - p.tokens) / p.rate.PerSecond * float64(time.Second))
		return 0, max(time.Duration(missing), 1)
	}
	p.tokens -= float64(n)
	return n, 0
}

func (p *pace) isSuspected() bool { return p.brake.After > 0 && p.failures >= p.brake.After }

// giveBack returns runs that were reserved and did not take place.
func (p *pace) giveBack(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens += float64(n)
}

// succeeded notes that the function works.
func (p *pace) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures, p.until = 0, time.Time{}
}

// failed notes that the function failed, and reports whether it pauses now. An error
// that is permanent speaks of the event.
func (p *pace) failed(now time.Time, cause error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delivery.IsPermanent(cause) {
		return false
	}
	p.failures++
	if !p.isSuspected() {
		return false
	}
	p.until = now.Add(p.brake.Pause)
	return true
}
