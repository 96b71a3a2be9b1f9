package ratelimit

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// by is what requests are told apart by.
type by int

const (
	byIP by = iota
	byConsumer
	byCredential
	byService
	byHeader
	byPath
)

// instance is the plugin with its settings.
type instance struct {
	limits   [numPeriods]float64 // 0 is none
	by       by
	header   string
	path     string
	hide     bool
	code     int
	message  string
	counters *counters
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{
		header: v.String("header_name"), path: v.String("path"), hide: v.Bool("hide_client_headers"),
		code: v.Int("error_code"), message: v.String("error_message"),
		by: map[string]by{
			"ip": byIP, "consumer": byConsumer, "credential": byCredential, "service": byService, "header": byHeader, "path": byPath,
		}[v.String("limit_by")],
		counters: plugin.Keep(s, "counters", newCounters),
	}
	for i := range periods {
		p.limits[i], _ = v.Number(periods[i].setting)
	}
	return p, nil
}

// outcome is what a request was told, from access to the head of the response.
type outcome struct {
	usage
	windows windows
	now     int64
	text    [24]byte // of a number: here it need not be allocated
}

var outcomes = sync.Pool{New: func() any { return new(outcome) }}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	o := outcomes.Get().(*outcome)
	o.now = x.Start.Unix()
	o.windows = p.counters.calendars.windowsAt(o.now)
	o.usage = p.take(x, &o.windows)
	x.SetValue(p, o)
	if o.exceeded {
		plugin.Refuse(x, name, p.reason(x, o))
		plugin.Error(x, p.code, p.message)
		return
	}
	if x.Explain {
		x.Note(name, p.reason(x, o))
	}
}

// take counts the request for whoever it is of; by the client's address if that is not known.
func (p *instance) take(x *proxy.Exchange, w *windows) usage {
	var key string
	switch p.by {
	case byConsumer:
		if c := plugin.Consumer(x); c != nil {
			key = c.ID
		} else {
			key = plugin.CredentialKey(x)
		}
	case byCredential:
		key = plugin.CredentialKey(x)
	case byService:
		if s, ok := x.Service.(*entity.Service); ok && s != nil {
			key = s.ID
		}
	case byHeader:
		if value := x.Request.Fields.Peek(p.header); len(value) > 0 {
			return p.counters.takeNamed(value, &p.limits, w, x.DryRun)
		}
	case byPath:
		if x.Request.Path == p.path {
			key = p.path
		}
	}
	if key == "" {
		return p.counters.takeAddr(x.Client, &p.limits, w, x.DryRun)
	}
	var short [128]byte
	return p.counters.takeNamed(append(short[:0], key...), &p.limits, w, x.DryRun)
}

// who says in words who was counted.
func (p *instance) who(x *proxy.Exchange) string {
	c := plugin.Consumer(x)
	switch {
	case p.by == byConsumer && c != nil:
		return fmt.Sprintf("the consumer %q", c.Label())
	case p.by == byConsumer && x.Credential != nil, p.by == byCredential && x.Credential != nil:
		return "the credential"
	case p.by == byService && x.Service != nil:
		return "the service"
	case p.by == byHeader && len(x.Request.Fields.Peek(p.header)) > 0:
		return "the value of the header " + p.header
	case p.by == byPath && x.Request.Path == p.path:
		return "the path " + p.path
	}
	address := "the address " + x.Client.String()
	if p.by == byIP {
		return address
	}
	return address + ", since " + missing[p.by] + ","
}

// missing is why the address is counted.
var missing = map[by]string{
	byConsumer: "no consumer is known", byCredential: "no credential is known", byService: "there is no service",
	byHeader: "there is no value of the header", byPath: "it is another path",
}

// reason says what was counted.
func (p *instance) reason(x *proxy.Exchange, o *outcome) string {
	// Without fmt, which takes its time when many are refused.
	text := append(make([]byte, 0, 256), p.who(x)...)
	separator := " had used "
	for i, limit := range p.limits {
		if limit == 0 {
			continue
		}
		text = strconv.AppendFloat(append(text, separator...), limit-o.remaining[i], 'f', -1, 64)
		text = strconv.AppendFloat(append(text, " of "...), limit, 'f', -1, 64)
		text = append(append(text, " in this "...), periods[i].setting...)
		separator = ", "
	}
	if !o.exceeded {
		return string(text)
	}
	text = append(text, ": the limit is reached"...)
	for i, limit := range slices.Backward(p.limits[:]) { // the longest that is used up
		if limit != 0 && o.remaining[i] <= 0 {
			end := o.windows.end(i)
			text = append(append(append(text, "; the "...), periods[i].setting...), " ends in "...)
			text = append(append(text, (time.Duration(end-o.now)*time.Second).String()...), ", at "...)
			text = time.Unix(end, 0).UTC().AppendFormat(text, time.RFC3339)
			break
		}
	}
	return string(text)
}

// HeaderFilter implements proxy.HeaderFilter: it tells the client what is left.
func (p *instance) HeaderFilter(x *proxy.Exchange) {
	o, ok := x.Value(p).(*outcome)
	if !ok || p.hide {
		return
	}
	tightest, least := -1, 0.0
	for i, limit := range p.limits {
		if limit == 0 {
			continue
		}
		remaining := o.remaining[i]
		if !o.exceeded {
			remaining--
		}
		remaining = max(remaining, 0)
		if tightest < 0 || remaining <= least { // of equal ones the longer period
			tightest, least = i, remaining
		}
		o.set(x, periods[i].limit, limit)
		o.set(x, periods[i].remaining, remaining)
	}
	reset := float64(max(1, periods[tightest].seconds-(o.now-o.windows[tightest])))
	o.set(x, "RateLimit-Limit", p.limits[tightest])
	o.set(x, "RateLimit-Remaining", least)
	o.set(x, "RateLimit-Reset", reset)
	if o.exceeded {
		o.set(x, "Retry-After", reset)
	}
}

// set sets a field of the response to a number.
func (o *outcome) set(x *proxy.Exchange, name string, n float64) {
	text := o.text[:0]
	if n == float64(int64(n)) {
		text = strconv.AppendInt(text, int64(n), 10)
	} else {
		text = strconv.AppendFloat(text, n, 'f', -1, 64)
	}
	x.Response.Fields.Del(name)
	x.Response.Fields.AddBytes(name, text)
}

// Log implements proxy.Log: the exchange has ended.
func (p *instance) Log(x *proxy.Exchange) {
	if o, ok := x.Value(p).(*outcome); ok {
		x.SetValue(p, nil)
		outcomes.Put(o)
	}
}
