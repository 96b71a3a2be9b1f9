package balance

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// checker does the active checks of an upstream.
type checker struct {
	group *group
	probe *prober
	// every is the time between two checks of a target that is healthy, and of one that is not; 0 is never.
	every [2]time.Duration
	last  []time.Time // of the members, when each was checked
	stop  context.CancelFunc
}

// activeOn reports whether an active check is ever made.
func activeOn(a *entity.ActiveCheck) bool { return a.Healthy.Interval > 0 || a.Unhealthy.Interval > 0 }

// checkKey is all that makes the active checks what they are, "" without any: those with the same one go on over a
// reload.
func (g *group) checkKey() string {
	u := g.upstream
	if !activeOn(&u.Healthchecks.Active) || len(g.members) == 0 {
		return ""
	}
	key := []any{u.Name, u.HostHeader, u.ClientCertificate.ID(), u.Healthchecks}
	if c := u.ClientCertificate.To; c != nil {
		key = append(key, c.Cert)
	}
	for _, m := range g.members {
		key = append(key, m.address)
	}
	text, err := json.Marshal(key)
	if err != nil { // texts and numbers
		panic(err)
	}
	return string(text)
}

// startChecker begins the checks of a group; the caller holds the lock.
func (s *Set) startChecker(g *group) *checker {
	a := &g.upstream.Healthchecks.Active
	c := &checker{
		group: g, probe: s.newProber(g.upstream), every: [2]time.Duration{seconds(a.Healthy.Interval), seconds(a.Unhealthy.Interval)},
		last: make([]time.Time, len(g.members)),
	}
	ctx, stop := context.WithCancel(s.checking)
	c.stop = stop
	s.running.Go(func() { c.run(ctx) })
	return c
}

// run checks until ctx is done, everything at once at first.
func (c *checker) run(ctx context.Context) {
	clock := c.group.set.o.Clock
	c.round(ctx, clock.Now())
	timer := clock.NewTimer(c.wait(clock.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
		}
		c.round(ctx, clock.Now())
		timer.Reset(c.wait(clock.Now()))
	}
}

// interval is the time between two checks of a member as it is now.
func (c *checker) interval(i int) time.Duration {
	if c.group.members[i].down.Load() {
		return c.every[1]
	}
	return c.every[0]
}

// wait is the time until the next check. The health of a member, and with it the interval, may change meanwhile.
func (c *checker) wait(now time.Time) time.Duration {
	next := max(c.every[0], c.every[1])
	for _, d := range c.every {
		if d > 0 {
			next = min(next, d)
		}
	}
	for i := range c.last {
		if d := c.interval(i); d > 0 {
			next = min(next, c.last[i].Add(d).Sub(now))
		}
	}
	return max(next, time.Millisecond)
}

// round checks the members that are due, some at once.
func (c *checker) round(ctx context.Context, now time.Time) {
	var all sync.WaitGroup
	slots := make(chan struct{}, max(1, min(c.group.upstream.Healthchecks.Active.Concurrency, len(c.last))))
	for i := range c.last {
		if d := c.interval(i); d <= 0 || now.Sub(c.last[i]) < d {
			continue
		}
		c.last[i] = now
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			o, why, err := c.probe.probe(ctx, c.group.members[i].address)
			if ctx.Err() == nil {
				c.group.found(c.group.members[i].target, o, why, err)
			}
		})
	}
	all.Wait()
}

// found counts the outcome of an active check.
func (g *group) found(t *target, o outcome, why string, err error) {
	a := &g.upstream.Healthchecks.Active
	l := limits{a.Unhealthy.TCPFailures, a.Unhealthy.Timeouts, a.Unhealthy.HTTPFailures, a.Healthy.Successes}
	t.mu.Lock()
	defer t.mu.Unlock()
	var name *net.DNSError
	t.nameless.Store(errors.As(err, &name))
	switch o {
	case nothing, neither:
	case good:
		if !t.down.Load() {
			t.active = count{}
		} else if l.successes > 0 && t.active.succeed(&l) {
			t.rose(g, "an active check was answered well")
		}
	default:
		if n := t.active.fail(o, &l); n > 0 {
			t.fell(g, reason(n, "active check: "+why))
		}
	}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
