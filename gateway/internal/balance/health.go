package balance

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// A target that only passive checks know gets a request on trial after firstPause; the pause doubles each time that
// it fails, to longestPause.
const (
	firstPause   = 10 * time.Second
	longestPause = 5 * time.Minute
)

// health is what is known of a target.
//
// Kong leaves a target that passive checks alone have found unhealthy out until somebody says otherwise by its Admin
// API. Here a request finds out now and then: see firstPause. And failures count while they follow each other: an
// answer that is good begins the count anew, also where healthy.successes is 0.
type health struct {
	down atomic.Bool
	// suspect says that there are passive failures to forget, so that a good answer need not look.
	suspect atomic.Bool
	// nameless says that the last attempt failed since the host's name was not found.
	nameless atomic.Bool
	// due is when a request on trial may be sent, in nanoseconds since 1970; trial is the one under way.
	due   atomic.Int64
	trial atomic.Pointer[proxy.Exchange]

	mu              sync.Mutex
	passive, active count
	why             string
	since           time.Time // of the last change; zero: since the gateway knows it
	pause           time.Duration
}

// count has what followed each other.
type count struct{ broken, timeouts, http, successes int }

// outcome is what an answer, or none, says of a target.
type outcome int

const (
	nothing outcome = iota
	good
	neither // an answer whose status says neither
	httpFailure
	broken
	timedOut
)

// limits are how many failures make a target unhealthy, 0 for any number, and how many successes make it healthy.
type limits struct{ broken, timeouts, http, successes int }

// passive is the passive checks of an upstream.
type passive struct {
	limits
	tcp                bool // statuses do not count
	healthy, unhealthy statuses
}

func newPassive(p *entity.PassiveCheck) passive {
	return passive{
		limits: limits{p.Unhealthy.TCPFailures, p.Unhealthy.Timeouts, p.Unhealthy.HTTPFailures, p.Healthy.Successes},
		tcp:    p.Type == "tcp", healthy: newStatuses(p.Healthy.HTTPStatuses), unhealthy: newStatuses(p.Unhealthy.HTTPStatuses),
	}
}

// on reports whether passive checks can make a target unhealthy.
func (p *passive) on() bool { return p.broken > 0 || p.timeouts > 0 || p.http > 0 && !p.tcp }

// outcome is that of an attempt.
func (p *passive) outcome(status int, err error) outcome {
	switch proxy.FaultOf(err) {
	case proxy.Broken:
		return broken
	case proxy.TimedOut:
		return timedOut
	}
	switch {
	case err != nil || status == 0:
		return nothing
	case p.tcp || p.healthy.has(status):
		return good
	case p.http > 0 && p.unhealthy.has(status):
		return httpFailure
	}
	return neither
}

// observe counts an attempt.
func (g *group) observe(t *target, x *proxy.Exchange, err error) {
	if err != nil {
		var name *net.DNSError
		t.nameless.Store(errors.As(err, &name))
	} else if t.nameless.Load() {
		t.nameless.Store(false)
	}
	if t.down.Load() {
		if t.trial.CompareAndSwap(x, nil) {
			o := g.passive.outcome(x.Response.Status, err)
			t.tried(g, o, reasonOf(o, x.Response.Status, err))
		}
		return // others began before it was known
	}
	if !g.passive.on() {
		return
	}
	o := g.passive.outcome(x.Response.Status, err)
	switch o {
	case nothing, neither:
	case good:
		if t.suspect.Load() {
			t.mu.Lock()
			t.passive = count{}
			t.suspect.Store(false)
			t.mu.Unlock()
		}
	default:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.suspect.Store(true)
		if n := t.passive.fail(o, &g.passive.limits); n > 0 {
			t.fell(g, reason(n, reasonOf(o, x.Response.Status, err)))
		}
	}
}

// fail counts a failure, and returns the number if it is enough.
func (c *count) fail(o outcome, l *limits) int {
	c.successes = 0
	n, limit := &c.broken, l.broken
	switch o {
	case timedOut:
		n, limit = &c.timeouts, l.timeouts
	case httpFailure:
		n, limit = &c.http, l.http
	}
	*n++
	if limit > 0 && *n >= limit {
		return *n
	}
	return 0
}

// succeed counts a success, and reports whether it is enough.
func (c *count) succeed(l *limits) bool {
	c.broken, c.timeouts, c.http = 0, 0, 0
	c.successes++
	return c.successes >= max(1, l.successes)
}

// fell makes the target unhealthy; the caller holds its lock.
func (t *target) fell(g *group, why string) {
	if t.down.Load() {
		return
	}
	t.passive, t.active = count{}, count{}
	t.suspect.Store(false)
	now := g.set.o.Clock.Now()
	t.why, t.since, t.pause = why, now, firstPause
	t.due.Store(now.Add(t.pause).UnixNano())
	t.trial.Store(nil)
	t.down.Store(true)
	t.pool.version.Add(1)
	g.set.o.Log.Warn("target is unhealthy", "upstream", g.upstream.Name, "target", t.address, "why", why)
}

// rose makes the target healthy; the caller holds its lock.
func (t *target) rose(g *group, why string) {
	if !t.down.Load() {
		return
	}
	t.passive, t.active = count{}, count{}
	t.suspect.Store(false)
	t.why, t.since = why, g.set.o.Clock.Now()
	t.down.Store(false)
	t.pool.version.Add(1)
	g.set.o.Log.Info("target is healthy", "upstream", g.upstream.Name, "target", t.address, "why", why)
}

// revive makes the target healthy where nothing checks it any more.
func (t *target) revive(g *group, why string) {
	if !t.down.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rose(g, why)
}

// tried takes note of how a trial has ended.
func (t *target) tried(g *group, o outcome, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.down.Load() {
		return
	}
	now := g.set.o.Clock.Now()
	switch o {
	case nothing:
		t.due.Store(now.UnixNano()) // nothing was learnt: the next one
	case good, neither:
		t.due.Store(now.UnixNano())
		if t.passive.succeed(&g.passive.limits) {
			t.rose(g, "a request on trial was answered")
		}
	default:
		t.passive = count{}
		t.pause = min(2*t.pause, longestPause)
		t.due.Store(now.Add(t.pause).UnixNano())
		t.why = why
	}
}

// trial returns a member that this request is to find out about, -1 for none. Requests that can be sent twice come
// first: it is tried elsewhere if the target is still unhealthy. After another pause, or if not enough is healthy, any
// request is good enough.
func (g *group) trial(p *pick) int {
	now := g.set.o.Clock.Now().UnixNano()
	for _, i := range p.v.down {
		t := g.members[i].target
		due := t.due.Load()
		if now < due || p.tried.has(i) {
			continue
		}
		t.mu.Lock()
		pause := int64(t.pause)
		t.mu.Unlock()
		if !h1.Idempotent(p.x.Request.Method) && p.v.enough && now < due+pause {
			continue
		}
		if p.x.DryRun {
			return i
		}
		// One that does not end, a stream perhaps, is given up after a pause.
		if t.due.CompareAndSwap(due, now+pause) {
			t.trial.Store(p.x)
			return i
		}
	}
	return -1
}

// reason is why the target is as it is, and since when.
func (t *target) reason() (string, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why, t.since
}

func reason(n int, why string) string {
	if n == 1 {
		return why
	}
	return fmt.Sprintf("%d times in a row, at last: %s", n, why)
}

// reasonOf describes an outcome.
func reasonOf(o outcome, status int, err error) string {
	switch {
	case o == timedOut && err != nil:
		return "took too long: " + err.Error()
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("answered with status %d", status)
}

// statuses is a set of HTTP statuses.
type statuses [16]uint64

func newStatuses(codes []int) (s statuses) {
	for _, c := range codes {
		if c >= 0 && c < 64*len(s) {
			s[c/64] |= 1 << (c % 64)
		}
	}
	return s
}

func (s *statuses) has(code int) bool {
	return code >= 0 && code < 64*len(s) && s[code/64]&(1<<(code%64)) != 0
}

// Health is what is said of a target, in Kong's words.
type Health string

// What is said of targets.
const (
	Healthy         Health = "HEALTHY"
	Unhealthy       Health = "UNHEALTHY"
	HealthchecksOff Health = "HEALTHCHECKS_OFF"
	DNSError        Health = "DNS_ERROR"
)

// TargetHealth is the health of a target.
type TargetHealth struct {
	ID     string // of the entity
	Target string // host:port
	Weight int
	Health Health
	// Why is the reason, and Since the time of the last change; zero values if there was none.
	Why   string
	Since time.Time
}

// Health returns the health of the targets of an upstream of the configuration in use, by address; nil if there is
// no such upstream. It is found by its name.
func (s *Set) Health(upstream *entity.Upstream) []TargetHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	for _, g := range s.current.groups {
		if g.upstream.Name == upstream.Name {
			return g.health()
		}
	}
	return nil
}

func (g *group) health() []TargetHealth {
	list := []TargetHealth{}
	for _, m := range sorted(g.all) {
		h := TargetHealth{ID: m.id, Target: m.address, Weight: m.weight, Health: Healthy}
		h.Why, h.Since = m.reason()
		switch {
		case m.nameless.Load():
			h.Health, h.Why = DNSError, "the name of the host was not found"
		case !g.checked():
			h.Health = HealthchecksOff
		case m.down.Load():
			h.Health = Unhealthy
		}
		list = append(list, h)
	}
	return list
}
