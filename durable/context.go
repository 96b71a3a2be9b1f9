package durable

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/perdure/perdure/internal/replay"
)

// Context is what an orchestration sees of the world. It is deliberately not a
// context.Context: an orchestration does no I/O, and what it is given here is the
// same each time it is replayed.
//
// It is for the goroutine of its orchestration alone.
type Context struct {
	m       *replay.Machine
	log     *slog.Logger
	cleanUp []cleanUp
}

// InstanceID returns the id of this instance.
func (c *Context) InstanceID() string { return c.m.Instance }

// Name returns the name of the orchestration.
func (c *Context) Name() string { return c.m.Name }

// Now returns the time of the current turn. It never goes back.
func (c *Context) Now() time.Time { return c.m.Now() }

// NewID returns a new random id (a UUID of version 8, RFC 9562) that is the same
// in each replay.
func (c *Context) NewID() string { return c.m.NewID() }

// Rand returns a source of random numbers that gives the same ones in each
// replay. It is not for secrets.
func (c *Context) Rand() *rand.Rand { return c.m.Rand() }

// Replaying reports whether the code runs again what has run before. It is for
// side effects such as logging, never for decisions.
func (c *Context) Replaying() bool { return c.m.Replaying() }

// Logger returns a logger that says each thing once: it is silent during a
// replay.
func (c *Context) Logger() *slog.Logger {
	if c.m.Replaying() {
		return slog.New(slog.DiscardHandler)
	}
	return c.log.With("instance", c.m.Instance, "orchestration", c.m.Name)
}

// SetStatus sets the custom status that Client.Get shows. It panics when v cannot
// be encoded as JSON, which stalls the instance.
func (c *Context) SetStatus(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("durable: custom status: %w", err))
	}
	c.m.SetStatus(b)
}

// Canceled reports whether the instance was asked to end. Every wait fails with
// ErrCanceled then.
func (c *Context) Canceled() bool { return c.m.Canceled() }

// Sleep waits for d. The wait survives restarts. It fails with ErrCanceled.
func (c *Context) Sleep(d time.Duration) error {
	_, err := c.Timer(d).Wait(c)
	return err
}

// Timer starts a timer that is done after d, with the time at which it was due.
func (c *Context) Timer(d time.Duration) *Task[time.Time] {
	call := c.m.Timer(c.m.Now().Add(d))
	return &Task[time.Time]{call: call, kind: "timer", decode: func([]byte) (time.Time, error) {
		return time.Unix(0, call.Due).UTC(), nil
	}}
}

// CancelTask gives up what a task waits for: a running activity has its context
// canceled, a child is asked to end, a timer is removed. The task fails with
// ErrCanceled. A task that is done stays as it is.
func (c *Context) CancelTask(t Awaitable) { c.m.Cancel(t.awaited()) }

// cleanUp is one registered clean-up.
type cleanUp struct {
	name string
	f    func(*Context) error
}

// OnFailure registers f to run if the orchestration ends with an error or is
// canceled: to undo, in reverse order of registration, what was done. It is not
// run when the orchestration ends well. In f the context works although the
// instance is canceled. An error of f is logged and does not keep the others from
// running.
//
// Use this instead of defer: deferred functions also run when an instance is
// evicted from memory.
func (c *Context) OnFailure(name string, f func(ctx *Context) error) {
	c.cleanUp = append(c.cleanUp, cleanUp{name, f})
}

// undo runs what was registered with OnFailure.
func (c *Context) undo() {
	c.m.Shield(func() {
		for len(c.cleanUp) > 0 {
			last := c.cleanUp[len(c.cleanUp)-1]
			c.cleanUp = c.cleanUp[:len(c.cleanUp)-1]
			if err := last.f(c); err != nil {
				c.Logger().Error("durable clean-up failed", "cleanUp", last.name, "error", err)
			}
		}
	})
}
