package canary

import (
	"crypto/rand"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// state is what is kept over reloads.
type state struct {
	seen  time.Time     // when the canary was first declared
	turns atomic.Uint64 // requests with hash: none
	guard guard
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	old, _ := x.Service.(*entity.Service)
	s := p.sides[old]
	if s == nil {
		x.Note(name, "passed over: the request goes to the new service already, or to none")
		return
	}
	now := p.clock.Now()
	if p.backoff != nil {
		if until, why, paused := p.state.guard.paused(now); paused {
			if x.Explain {
				x.Note(name, fmt.Sprintf("goes to the old service, %s, until %s: %s", old.Label(), until.UTC().Format(time.TimeOnly), why))
			}
			return
		}
	}
	d := p.decide(x, now)
	if x.Explain {
		d.note(x, s, p)
	}
	if d.canary {
		s.turn(x)
	}
}

// decision is where a request goes, and why.
type decision struct {
	canary bool
	by     string // what decided
	of     string // its name, "" for none
	bucket float64
	part   float64 // of the buckets; NaN if they did not decide
}

func (d *decision) note(x *proxy.Exchange, s *side, p *instance) {
	where := "goes to the old service, " + s.old.Label()
	if d.canary {
		where = "goes to the canary, " + s.canary.Label()
	}
	by := d.by
	if d.of != "" {
		by += " " + d.of
	}
	if !math.IsNaN(d.part) {
		by = fmt.Sprintf("by %s it is in step %.0f of %.0f, and %.4g%% of them are the canary's", by, d.bucket, p.steps, 100*d.part)
	}
	x.Note(name, where+": "+by)
}

// decide says where a request goes.
func (p *instance) decide(x *proxy.Exchange, now time.Time) decision {
	d := decision{part: math.NaN()}
	if p.header != "" {
		if always, ok := override(x.Request.Fields.Peek(p.header)); ok {
			d.canary, d.by, d.of = always, "so says the header", p.header
			return d
		}
	}
	if p.cookie != "" {
		if always, ok := override(plugin.Cookie(x.Request.Fields, p.cookie)); ok {
			d.canary, d.by, d.of = always, "so says the cookie", p.cookie
			return d
		}
	}
	if p.hash == "allow" || p.hash == "deny" {
		in, known := p.inGroups(x)
		d.canary = known && in == (p.hash == "allow")
		switch {
		case !known:
			d.by = "nobody is known, so the groups say nothing"
		case in:
			d.by = "the consumer is in one of the groups"
		default:
			d.by = "the consumer is in none of the groups"
		}
		return d
	}
	d.part = p.part(now)
	d.bucket = math.Floor(p.fraction(x, &d) * p.steps)
	d.canary = d.bucket < d.part*p.steps
	return d
}

// override reads a header or a cookie that decides.
func override(value []byte) (always, ok bool) {
	switch string(value) {
	case "always":
		return true, true
	case "never":
		return false, true
	}
	return false, false
}

// part is the part of the requests that the canary gets now, in whole steps if it grows.
func (p *instance) part(now time.Time) float64 {
	if p.fixed {
		return p.share
	}
	gone := float64(now.Sub(p.start)) / float64(p.duration)
	return math.Floor(min(max(gone, 0), 1)*p.steps) / p.steps
}

// fraction is where the request stands between 0 and 1. Who is not known by what tells requests apart is told apart by
// the consumer, or else by the address.
func (p *instance) fraction(x *proxy.Exchange, d *decision) float64 {
	if p.sticky != "" {
		d.by, d.of = "cookie", p.sticky
		return p.stuck(x, d)
	}
	switch p.hash {
	case "none":
		d.by = "turns"
		n := p.state.turns.Load()
		if !x.DryRun {
			n = p.state.turns.Add(1) - 1
		}
		const golden = 0x9e3779b97f4a7c15 // spreads any number of turns evenly
		return unit(n * golden)
	case "header":
		if v := x.Request.Fields.Peek(p.hashHeader); len(v) > 0 {
			d.by, d.of = "header", p.hashHeader
			return unit(balance.Hash(p.salt, v))
		}
		fallthrough
	case "consumer":
		d.by = "consumer"
		if c := plugin.Consumer(x); c != nil {
			return unit(balance.Hash(p.salt, c.ID))
		}
		if id := plugin.CredentialKey(x); id != "" {
			return unit(balance.Hash(p.salt, id))
		}
	}
	d.by = "address"
	ip := x.Client.As16()
	return unit(balance.Hash(p.salt, ip[:]))
}

// stuck is the fraction of the client's cookie. A client without one is given it, unless all go the same way.
func (p *instance) stuck(x *proxy.Exchange, d *decision) float64 {
	if v := plugin.Cookie(x.Request.Fields, p.sticky); len(v) > 0 {
		return unit(balance.Hash(p.salt, v))
	}
	v := rand.Text()
	if d.part > 0 && d.part < 1 {
		// A month: a release is over by then.
		cookie := p.sticky + "=" + v + "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"
		if x.Request.Scheme == "https" {
			cookie += "; Secure"
		}
		x.AddResponse("Set-Cookie", cookie)
	}
	return unit(balance.Hash(p.salt, v))
}

// unit makes a hash a number from 0 to less than 1.
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }
