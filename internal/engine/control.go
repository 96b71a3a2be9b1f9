package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
)

// canceledType is the failure type of an instance that was canceled.
const canceledType = replay.CanceledType

// Suspend keeps the instance called id from running until it is resumed. What
// arrives is kept; running activities go on.
func (e *Engine) Suspend(ctx context.Context, id, reason string) error {
	return e.control(ctx, id, func(in *instance, c *change) error {
		switch {
		case in.rec.State.Ended():
			return ErrEnded
		case in.rec.State == records.Suspended:
			return nil
		}
		c.setState(records.Suspended, reason)
		c.unload = true
		return nil
	})
}

// Resume lets a suspended or stalled instance go on.
func (e *Engine) Resume(ctx context.Context, id string) error {
	return e.control(ctx, id, func(in *instance, c *change) error {
		if in.rec.State.Ended() {
			return ErrEnded
		}
		if in.rec.State == records.Running {
			return nil
		}
		return c.resume()
	})
}

// unstall lets a stalled instance try again, unless its turns killed the process:
// of that a person decides.
func unstall(in *instance, c *change) error {
	if in.rec.State != records.Stalled {
		return nil
	}
	snap, err := c.e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	if own, err := records.GetTask(snap, in.key, 0); err != nil || own != nil && own.Deaths >= c.e.opts.MaxDeaths {
		return err
	}
	return c.resume()
}

// resume makes the instance run. Deaths are forgiven: somebody decided to try.
func (c *change) resume() error {
	c.setState(records.Running, "")
	records.DeleteTask(&c.txn, c.in.key, 0)
	c.unload, c.dirty = true, true
	return nil
}

func (c *change) setState(s records.State, reason string) {
	rec := c.edit()
	rec.State, rec.Reason = s, reason
}

// Terminate ends the instance called id at once. Its code learns nothing of it.
func (e *Engine) Terminate(ctx context.Context, id, reason string) error {
	return e.control(ctx, id, func(in *instance, c *change) error {
		if in.rec.State.Ended() {
			return fmt.Errorf("%w: %q is %s", ErrEnded, id, in.rec.State)
		}
		c.terminate(reason)
		return nil
	})
}

func (c *change) terminate(reason string) {
	c.edit().Reason = reason
	c.end(records.Terminated, nil, &history.Failure{Type: TerminatedType, Message: reason, NonRetryable: true})
}

// Cancel asks the instance called id to end: its waits fail, its activities and
// children are canceled, its registered clean-up runs. If it has not ended after
// deadline it is terminated; zero means that it may take as long as it needs.
func (e *Engine) Cancel(ctx context.Context, id, reason string, deadline time.Duration) error {
	return e.control(ctx, id, func(in *instance, c *change) error {
		if in.rec.State.Ended() {
			return fmt.Errorf("%w: %q is %s", ErrEnded, id, in.rec.State)
		}
		rec := c.edit()
		if rec.State == records.Running {
			rec.Reason = reason
		}
		if deadline > 0 && rec.CleanUpBy.IsZero() {
			rec.CleanUpBy = c.now.Add(deadline)
			c.setTimer(records.Timer{Due: rec.CleanUpBy.UnixNano(), Key: in.key, Kind: records.TimerCleanUp})
		}
		c.message(in.key, history.Event{Kind: history.CancelRequested, Name: reason})
		c.dirty = true
		return nil
	})
}

// Purge removes every trace of the instance called id, which must have ended.
func (e *Engine) Purge(ctx context.Context, id string) error {
	key, rec, err := e.lookup(id)
	if err != nil {
		return err
	}
	if !rec.State.Ended() {
		return fmt.Errorf("%w: %q is %s", ErrNotEnded, id, rec.State)
	}
	return e.purge(ctx, key)
}

func (e *Engine) purge(ctx context.Context, key records.InstanceKey) error {
	return e.ask(ctx, key, &inbound{control: func(in *instance, c *change) error {
		if !in.rec.State.Ended() {
			return ErrNotEnded
		}
		records.PurgeInstance(&c.txn, in.key, in.rec)
		c.unload = true
		return nil
	}})
}
