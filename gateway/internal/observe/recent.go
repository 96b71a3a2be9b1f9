package observe

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// RecentOptions say what Recent keeps. Zero fields are the defaults.
type RecentOptions struct {
	// For is how long: 15 minutes.
	For time.Duration
	// Bytes and Requests are how much: 4 MiB and 10,000.
	Bytes, Requests int
	// PerSecond is how many refusals and failures of a second are kept, 500, and PerClient how many of them of one client: 20.
	PerSecond, PerClient int
	// Sample keeps one of so many requests that did not fail; 0 keeps none.
	Sample int
	// Setting returns the configuration that has decided about an exchange, nil if there is none.
	Setting func(x *proxy.Exchange) *Setting
	// Clock is the time.
	Clock clock.Clock
}

// Recent keeps, for a while, what Report needs of the requests that were refused or failed. It is safe for concurrent use.
type Recent struct {
	o     RecentOptions
	count atomic.Uint64 // of those that did not fail

	budget budget

	mu       sync.Mutex
	byID     map[string]*entry
	failed   list
	well     list // those that did not fail
	bytes    int
	number   uint64
	settings []*kept // the newest is the last
}

// entry is one in the list of its kind.
type entry struct {
	*captured
	setting    *kept // nil: there was none
	ended      time.Time
	number     uint64 // in the order in which they ended
	bytes      int
	prev, next *entry
	in         *list
}

// list is of entries, the oldest first.
type list struct{ first, last *entry }

// The defaults.
const (
	defaultFor      = 15 * time.Minute
	defaultBytes    = 4 << 20
	defaultRequests = 10_000
	// The bounds of what is kept in a second.
	defaultPerSecond = 500
	defaultPerClient = 20
	// maxSettings is how many configurations are kept in memory for the requests that they have decided about.
	maxSettings = 3
)

// NewRecent returns one that keeps nothing yet.
func NewRecent(o RecentOptions) *Recent {
	if o.For <= 0 {
		o.For = defaultFor
	}
	if o.Bytes <= 0 {
		o.Bytes = defaultBytes
	}
	if o.Requests <= 0 {
		o.Requests = defaultRequests
	}
	if o.PerSecond <= 0 {
		o.PerSecond = defaultPerSecond
	}
	if o.PerClient <= 0 {
		o.PerClient = defaultPerClient
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	return &Recent{o: o, byID: map[string]*entry{}}
}

// Log implements proxy.Log. For a request that was answered well it is a branch. Of a flood not every request is kept.
func (r *Recent) Log(x *proxy.Exchange) {
	switch {
	case x.Response.Status >= http.StatusBadRequest || x.Err != nil:
		if r.budget.take(x.Client, r.o.Clock.Now(), r.o.PerClient, r.o.PerSecond) {
			r.keep(x, &r.failed)
		}
	case r.o.Sample > 0 && r.count.Add(1)%uint64(r.o.Sample) == 0:
		r.keep(x, &r.well)
	}
}

// keep remembers an exchange.
func (r *Recent) keep(x *proxy.Exchange, in *list) {
	var s *Setting
	if r.o.Setting != nil {
		s = r.o.Setting(x)
	}
	e := &entry{captured: capture(x, s), in: in}
	e.bytes = e.size()
	r.mu.Lock()
	defer r.mu.Unlock()
	e.setting = r.hold(s)
	r.number++
	e.ended, e.number = r.o.Clock.Now(), r.number
	r.byID[e.id] = e
	in.append(e)
	r.bytes += e.bytes
	r.makeRoom(e.ended)
}

// hold returns the setting in a form that is forgotten with the time: configurations can be large, and many in an hour.
func (r *Recent) hold(s *Setting) *kept {
	if s == nil {
		return nil
	}
	for _, k := range r.settings {
		if k.Setting == s {
			return k
		}
	}
	k := &kept{s}
	r.settings = append(r.settings, k)
	if len(r.settings) > maxSettings {
		r.settings[0].Setting = nil
		r.settings = append(r.settings[:0], r.settings[1:]...)
	}
	return k
}

// makeRoom forgets what is too old, and what is too much: first those that did not fail.
func (r *Recent) makeRoom(now time.Time) {
	for _, l := range []*list{&r.well, &r.failed} {
		for l.first != nil && (now.Sub(l.first.ended) > r.o.For || r.bytes > r.o.Bytes || len(r.byID) > r.o.Requests) {
			r.forget(l.first)
		}
	}
}

func (r *Recent) forget(e *entry) {
	e.in.remove(e)
	r.bytes -= e.bytes
	delete(r.byID, e.id)
}

// Get returns the report of a request by its id, nil if it is not kept.
func (r *Recent) Get(id string) *Report {
	r.mu.Lock()
	r.makeRoom(r.o.Clock.Now())
	e := r.byID[id]
	var s *Setting
	if e != nil && e.setting != nil {
		s = e.setting.Setting
	}
	newest := s
	if s == nil && len(r.settings) > 0 {
		newest = r.settings[len(r.settings)-1].Setting
	}
	r.mu.Unlock()
	switch { // without the lock: what was captured is not changed
	case e == nil:
		return nil
	case newest == nil:
		return newReport(e.captured, nil, nil, false)
	}
	report := newest.report(e.captured)
	report.Stale = report.Stale || s == nil
	return report
}

// Filter says which requests are listed. Zero fields are for all.
type Filter struct {
	// Status is a status, or from 1 to 5 all of its hundred.
	Status int
	// Route is the name or the id of a route.
	Route string
	// Limit is how many at most: 100.
	Limit int
}

// Summary is a request in a list.
type Summary struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Client string    `json:"client"`
	Method string    `json:"method"`
	Host   string    `json:"host"`
	Path   string    `json:"path"`
	// Route is its name, "" for none.
	Route  string `json:"route,omitempty"`
	Status int    `json:"status"`
	// RefusedBy is the plugin that refused it, and Reason why; or Reason is the error of the upstream, or says which one answered so.
	RefusedBy string `json:"refused_by,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// defaultLimit is the length of a list.
const defaultLimit = 100

// List returns requests, the newest first.
func (r *Recent) List(f Filter) []Summary {
	if f.Limit <= 0 {
		f.Limit = defaultLimit
	}
	r.mu.Lock()
	r.makeRoom(r.o.Clock.Now())
	var chosen []*captured
	var settings []*Setting
	a, b := r.failed.last, r.well.last
	for len(chosen) < f.Limit && (a != nil || b != nil) {
		var e *entry
		if b == nil || a != nil && a.number > b.number {
			e, a = a, a.prev
		} else {
			e, b = b, b.prev
		}
		if f.match(e.captured) {
			chosen = append(chosen, e.captured)
			var s *Setting
			if e.setting != nil {
				s = e.setting.Setting
			}
			settings = append(settings, s)
		}
	}
	r.mu.Unlock()
	found := make([]Summary, len(chosen))
	for i, c := range chosen { // without the lock: what was captured is not changed
		found[i] = c.summary(settings[i])
	}
	return found
}

func (f *Filter) match(c *captured) bool {
	if f.Status != 0 && f.Status != c.status && f.Status != c.status/100 {
		return false
	}
	return f.Route == "" || c.route != nil && (f.Route == c.route.name || f.Route == c.route.ID)
}

// summary is the request in a list. Setting is what has decided about it, nil if that is not kept any more.
func (c *captured) summary(by *Setting) Summary {
	s := Summary{
		ID: c.id, Time: c.time.UTC(), Client: c.client.String(), Method: c.method, Host: c.host, Path: c.path, Status: c.status,
		RefusedBy: c.refuser(), Reason: c.err,
	}
	if c.route != nil {
		s.Route = c.route.name
	}
	for _, n := range c.notes {
		if n.Refusal {
			s.Reason = n.Reason
		}
	}
	switch {
	case c.route == nil && c.status == http.StatusNotFound && by != nil:
		if e := by.router.Explain(c.routerRequest()); e.Route == nil && len(e.Near) > 0 {
			n := e.Near[0]
			s.Reason += nearest(&Near{Name: n.Route.Label(), Source: n.Route.Source.String(), Reason: scrub(n.Reason)})
		}
	case s.Reason == "" && !c.local && c.endpoint == inProcess && c.status >= http.StatusBadRequest:
		s.Reason = "answered so by the app " + inProcess
	case s.Reason == "" && !c.local && c.endpoint != "" && c.status >= http.StatusBadRequest:
		s.Reason = "answered so by " + c.endpoint
	}
	return s
}

func (l *list) append(e *entry) {
	if e.prev = l.last; l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
}

func (l *list) remove(e *entry) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}
