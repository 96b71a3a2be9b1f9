package canary

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const (
	// leastAnswers is how many answers within the window say something.
	leastAnswers = 5
	// longestPause is where the doubling of the pause ends.
	longestPause = time.Hour
	// parts is how many parts a window has: it moves by one of them.
	parts = 10
)

// rule says when the canary gets a pause.
type rule struct {
	rate          float64 // of 1
	window, pause time.Duration
}

// guard watches the answers of the canary.
type guard struct {
	until atomic.Int64 // the end of the last pause in nanoseconds since 1970

	mu      sync.Mutex
	answers [parts]part
	pause   time.Duration // the last one
	why     string
}

// part is what was answered within a part of the window.
type part struct {
	number        int64 // of the part, since 1970
	total, errors int
}

// paused reports whether the canary has a pause, until when, and why.
func (g *guard) paused(now time.Time) (until time.Time, why string, paused bool) {
	end := g.until.Load()
	if now.UnixNano() >= end {
		return time.Time{}, "", false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Unix(0, end), g.why, true
}

// count takes an answer into account, and returns why the canary gets a pause now, "" if it does not.
func (g *guard) count(r *rule, now time.Time, failed bool) (why string, until time.Time) {
	end := time.Unix(0, g.until.Load())
	if now.Before(end) {
		return "", end // asked before the pause began
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	number := now.UnixNano() / max(1, int64(r.window/parts))
	current := &g.answers[number%parts]
	if current.number != number {
		*current = part{number: number}
	}
	current.total++
	if failed {
		current.errors++
	}
	total, errors := 0, 0
	for _, p := range g.answers {
		if p.number > number-parts && p.number <= number {
			total += p.total
			errors += p.errors
		}
	}
	if total < leastAnswers || float64(errors) <= r.rate*float64(total) {
		return "", end
	}
	pause := r.pause
	if g.pause > 0 && now.Before(end.Add(max(r.window, g.pause))) { // again soon after
		pause = min(2*g.pause, max(longestPause, r.pause))
	}
	g.answers, g.pause = [parts]part{}, pause
	g.why = fmt.Sprintf("%d of the last %d answers of the canary were errors, and max_error_rate is %.4g%%", errors, total, 100*r.rate)
	until = now.Add(pause)
	g.until.Store(until.UnixNano())
	return g.why, until
}

// Log implements proxy.Log: the answers of the canary count.
func (p *instance) Log(x *proxy.Exchange) {
	if p.backoff == nil || x.DryRun || x.Balancer == nil {
		return
	}
	canary, _ := x.Service.(*entity.Service)
	if !p.canaries[canary] || x.Attempts == 0 && x.Err == nil { // another plugin has answered
		return
	}
	fault := proxy.FaultOf(x.Err) != proxy.NoFault
	if x.Err != nil && !fault { // the client's
		return
	}
	why, until := p.state.guard.count(p.backoff, p.clock.Now(), fault || x.Response.Status >= http.StatusInternalServerError)
	if why != "" {
		p.log.Warn("canary has a pause", "plugin", p.label, "service", canary.Label(), "why", why, "until", until)
	}
}
