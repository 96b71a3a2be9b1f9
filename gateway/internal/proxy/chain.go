package proxy

import (
	"errors"
	"net/http"
)

// Handler decides about exchanges: a configuration, compiled. It is used by many
// goroutines at once.
type Handler interface {
	// Serve answers the exchange, by a Chain.
	Serve(x *Exchange)
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(x *Exchange)

// Serve calls f.
func (f HandlerFunc) Serve(x *Exchange) { f(x) }

// Access decides whether a request may go on, before anything is sent to an upstream.
// It refuses by Answer; the plugins after it are not asked then.
type Access interface{ Access(x *Exchange) }

// HeaderFilter changes the head of a response before it is sent, of local answers too.
type HeaderFilter interface{ HeaderFilter(x *Exchange) }

// Log is told of an exchange that has ended. It must not block.
type Log interface{ Log(x *Exchange) }

// Chain is what happens to the exchanges of a route, in this order. It is made once for
// a configuration, and not changed.
type Chain struct {
	// Access plugins, by priority.
	Access []Access
	// Filters of the response's head, by priority.
	Filters []HeaderFilter
	// Log plugins, by priority.
	Log []Log
	// Balancer chooses who answers.
	Balancer Balancer
	// Retries is how often a request is tried again after an attempt that failed.
	Retries int
}

// Serve implements Handler.
func (c *Chain) Serve(x *Exchange) {
	x.chain = c
	for _, a := range c.Access {
		if x.answered { // perhaps before the first: the router has
			break
		}
		a.Access(x)
	}
	x.Timing.Access = x.Elapsed()
	if x.DryRun {
		c.choose(x)
		return
	}
	if !x.answered {
		x.forward()
	}
	if x.answered {
		x.filter()
		x.writeAnswer()
	}
	x.Timing.End = x.Elapsed()
	for _, l := range c.Log {
		l.Log(x)
	}
}

// choose finds the endpoint to which a dry run would have gone.
func (c *Chain) choose(x *Exchange) {
	if x.answered {
		return
	}
	b := x.balancer()
	e, err := b.Pick(x)
	if err != nil {
		x.Err = err
		x.fail(err)
		return
	}
	x.Endpoint = e
	b.Done(x, e, nil)
}

// balancer is the one that chooses the exchange's endpoints.
func (x *Exchange) balancer() Balancer {
	if x.Balancer != nil {
		return x.Balancer
	}
	return x.chain.Balancer
}

// filter runs the filters over the head of the response.
func (x *Exchange) filter() {
	for i := range x.added {
		x.Response.Fields.Add(x.added[i].name, x.added[i].value)
	}
	for _, f := range x.chain.Filters {
		f.HeaderFilter(x)
	}
	if x.server.options.Headers.Via || x.server.options.Headers.Latency || x.server.options.Headers.RequestID {
		x.addHeaders()
	}
}

// forward has the request answered by an upstream; if none can, x is answered by a word
// for that.
func (x *Exchange) forward() {
	b := x.balancer()
	for {
		e, err := b.Pick(x)
		if err != nil {
			x.Err = err
			x.fail(err)
			return
		}
		x.Endpoint = e
		x.Attempts++
		x.Timing.Sent = x.Elapsed()
		err = x.attempt(e)
		b.Done(x, e, err)
		x.Err = err
		if err == nil || x.down.begun() || x.proxied && x.Err != nil {
			return
		}
		var again *retryable
		if errors.As(err, &again) && x.Attempts <= x.chain.Retries && x.Context().Err() == nil {
			continue
		}
		if errors.Is(err, errClientLeft) {
			x.down.abort()
			x.Response.Status = statusClientLeft
			return
		}
		x.fail(err)
		return
	}
}

// attempt asks an endpoint.
func (x *Exchange) attempt(e *Endpoint) error {
	told := x.server.options.Attempts
	if told == nil {
		return e.named(x, e.attempt(x))
	}
	told.Begin(x)
	err := e.named(x, e.attempt(x))
	told.End(x, err)
	return err
}

// Attempts is told of each attempt to reach an upstream.
type Attempts interface {
	// Begin is told that x.Endpoint will be asked, the x.Attempts-th time. What it sets in x.Request.Fields goes there.
	Begin(x *Exchange)
	// End is told how it has ended: nil when the response was passed on to its end.
	End(x *Exchange, err error)
}

// NotFound answers an exchange that no route matches.
func NotFound(x *Exchange) { x.refuse(http.StatusNotFound, "no Route matched with those values") }

// refuse answers an exchange that has no chain.
func (x *Exchange) refuse(status int, message string) {
	x.chain = &bare
	x.AnswerMessage(status, message)
	x.filter()
	x.writeAnswer()
	x.Timing.End = x.Elapsed()
}

var bare Chain
