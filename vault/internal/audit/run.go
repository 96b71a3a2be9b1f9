package audit

import (
	"context"
	"errors"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The times of the work in the background.
const (
	lookEvery   = time.Second
	linger      = 50 * time.Millisecond // entries are gathered before they are linked
	flushEvery  = 10 * time.Second      // refusals
	retireEvery = time.Hour
)

// due is when something was last done.
type due struct {
	flush, retire, fault time.Time
	checkpoint           time.Time
	position             uint64 // of the last checkpoint
}

// Start opens the log and begins the work in the background: links, checkpoints, refusals, retention.
func (l *Log) Start(ctx context.Context) error {
	if err := l.Open(ctx); err != nil {
		return err
	}
	l.options.Log.Info("the vault's audit log is open", "node", l.Node(), "publicKey", FormatPublicKey(l.PublicKey()))
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, s := range l.senders {
		l.done.Go(func() { s.run(ctx) })
	}
	l.done.Go(func() {
		d := due{flush: l.env.Now()}
		for ctx.Err() == nil {
			l.tend(ctx, &d)
			l.pause(ctx)
		}
	})
	return nil
}

// Stop ends the work in the background, writes the refusals and brings a last checkpoint to the sinks, until ctx ends.
func (l *Log) Stop(ctx context.Context) error {
	if l.cancel != nil {
		l.cancel()
	}
	l.done.Wait()
	if l.opened.Load() == nil {
		return nil
	}
	err := errors.Join(l.flush(ctx, true), l.Sync(ctx))
	l.mu.Lock()
	last := l.checkpoint
	l.mu.Unlock()
	if end, e := l.end(ctx); e != nil {
		err = errors.Join(err, e)
	} else if last == nil || end.Position > last.Position {
		_, e := l.signHead(ctx)
		err = errors.Join(err, e)
	}
	for _, s := range l.senders {
		err = errors.Join(err, s.attempt(ctx))
	}
	return err
}

// pause waits for something to do.
func (l *Log) pause(ctx context.Context) {
	t := l.options.Clock.NewTimer(lookEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C():
	case <-l.wake:
		wait(ctx, l.options.Clock, linger)
	}
}

// wait waits for d, and returns false if ctx ends before.
func wait(ctx context.Context, c clock.Clock, d time.Duration) bool {
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C():
		return true
	}
}

// tend does what is due.
func (l *Log) tend(ctx context.Context, d *due) {
	now := l.env.Now()
	var errs error
	if now.Sub(d.flush) >= flushEvery {
		d.flush = now
		errs = errors.Join(errs, l.flush(ctx, false))
	}
	errs = errors.Join(errs, l.Sync(ctx))
	end, err := l.end(ctx)
	errs = errors.Join(errs, err)
	if err == nil && end.Position > d.position && (end.Position-d.position >= l.options.Entries || now.Sub(d.checkpoint) >= l.options.Every) {
		if _, err := l.signHead(ctx); err == nil {
			d.checkpoint, d.position = now, end.Position
		} else {
			errs = errors.Join(errs, err)
		}
	}
	if now.Sub(d.retire) >= retireEvery {
		d.retire = now
		errs = errors.Join(errs, l.Retire(ctx))
	}
	if errs != nil && ctx.Err() == nil && now.Sub(d.fault) >= time.Minute {
		d.fault = now
		l.options.Log.Error("the vault's audit log could not be kept in order", "error", errs)
	}
}

// Status says how the log does.
type Status struct {
	Node       string       `json:"node"`
	PublicKey  string       `json:"public_key"`
	Position   uint64       `json:"position"`             // of the last linked entry
	Unlinked   uint64       `json:"unlinked"`             // entries after it
	Checkpoint *Checkpoint  `json:"checkpoint,omitempty"` // the last one since the start
	Sinks      []SinkStatus `json:"sinks"`
	Error      string       `json:"error,omitempty"` // why entries could not be linked
}

// Status returns how the log does. It must not be called in a unit of work.
func (l *Log) Status(ctx context.Context) (*Status, error) {
	if err := l.Open(ctx); err != nil {
		return nil, err
	}
	s := &Status{Node: l.Node(), PublicKey: FormatPublicKey(l.PublicKey())}
	err := l.env.Unit(ctx, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		end, err := readHead(ctx, s.Node)
		if err != nil {
			return err
		}
		tail, err := records.StreamTail(u, inbox(s.Node))
		s.Position, s.Unlinked = end.Position, tail-min(tail, end.Position)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	s.Checkpoint = l.checkpoint
	if l.fault != nil {
		s.Error = l.fault.Error()
	}
	l.mu.Unlock()
	s.Sinks = l.Sinks()
	return s, nil
}

// Sinks says how the sinks do.
func (l *Log) Sinks() []SinkStatus {
	all := make([]SinkStatus, 0, len(l.senders))
	for _, s := range l.senders {
		s.mu.Lock()
		all = append(all, s.status)
		s.mu.Unlock()
	}
	return all
}
