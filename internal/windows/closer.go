package windows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

const (
	// conflicts is how often a unit of this package is run before its conflict is an
	// error.
	conflicts = 20
	// perUnit is how many windows are looked at in one unit.
	perUnit = 256
	// pause is how long nothing is closed after a failure.
	pause = time.Second
)

// Start closes windows from now on. The values of ctx reach the user's function; its
// end does not, Stop ends it.
func (f *Function[T, K, A]) Start(ctx context.Context) error {
	if err := f.adopt(ctx); err != nil {
		return err
	}
	if err := f.count(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = f.Clock.Now().UnixNano()
	f.done = watched{before, before}
	f.base, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	f.timer = f.Clock.AfterFunc(time.Hour, f.look)
	go f.run(f.base)
	f.ask()
	return nil
}

// count finds out which partitions there are: those of the declaration, and what is left
// of an earlier one.
func (f *Function[T, K, A]) count() error {
	snap, err := f.Env.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	if f.numbers, err = records.StreamPartitions(snap, f.Stream); err != nil {
		return err
	}
	for n := range f.Partitions {
		if !slices.Contains(f.numbers, n) {
			f.numbers = append(f.numbers, n)
		}
	}
	return nil
}

// Stop ends it. What runs is cut off when ctx is done; it runs again after the next
// start.
func (f *Function[T, K, A]) Stop(ctx context.Context) error {
	f.mu.Lock()
	if f.base == nil {
		f.mu.Unlock()
		return nil
	}
	f.timer.Stop()
	close(f.wake)
	f.base = nil
	f.mu.Unlock()
	defer f.cancel()
	select {
	case <-f.ended:
		return nil
	case <-ctx.Done():
		f.cancel()
		<-f.ended
		return fmt.Errorf("windows of function %q: closing was cut short: %w", f.Name, context.Cause(ctx))
	}
}

// Idle waits until no window could be closed at the present time.
func (f *Function[T, K, A]) Idle(ctx context.Context) error {
	f.mu.Lock()
	if !f.asked || f.base == nil {
		f.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	f.idle = append(f.idle, idle)
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// look has somebody look whether there are windows to be closed.
func (f *Function[T, K, A]) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.base != nil {
		f.ask()
	}
}

// ask wakes run; the caller holds the mutex.
func (f *Function[T, K, A]) ask() {
	f.asked = true
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Function[T, K, A]) run(ctx context.Context) {
	defer close(f.ended)
	defer f.rest(never, true)
	for range f.wake {
		next, err := f.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !errors.Is(err, unit.ErrConflict) {
				f.Log.Error("windows cannot be closed", "error", err)
			}
			next = f.Clock.Now().Add(pause).UnixNano()
		}
		f.rest(next, false)
	}
}

// rest sets the timer and tells those who wait for it that there is nothing to do.
func (f *Function[T, K, A]) rest(next int64, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if next != never && f.base != nil {
		f.timer.Reset(unixTime(next).Sub(f.Clock.Now()))
		if f.Clock.Now().UnixNano() >= next { // it has moved on meanwhile
			f.ask()
		}
	}
	if len(f.wake) > 0 && !ended {
		return
	}
	f.asked = false
	for _, idle := range f.idle {
		close(idle)
	}
	f.idle = nil
}

// view is what decides what is to be done.
type view struct {
	now       int64
	closed    int64
	watermark int64
	next      int64 // the clock time at which the watermark changes, and
	lag       int64 // how much it is behind the clock, if it follows that
	due, soon *records.WindowDue
}

// pass does all there is to do and returns when there will be more, unless somebody asks
// before.
func (f *Function[T, K, A]) pass(ctx context.Context) (next int64, err error) {
	limit := perUnit
	for {
		if f.stopping() {
			return never, nil
		}
		v, err := f.see()
		if err != nil {
			return never, err
		}
		var do work
		switch {
		case v.due != nil && v.due.At <= v.closed:
			do = f.closeDue
		case v.due != nil && v.due.At <= v.watermark && f.fence.open():
			if err := f.advance(ctx, v.watermark); err != nil {
				return never, err
			}
			continue
		case v.soon != nil && v.soon.At <= v.now:
			do = f.showSoon
		default:
			return v.wait(), nil
		}
		if limit, err = f.attempt(ctx, do, limit); err != nil {
			return never, err
		}
	}
}

func (f *Function[T, K, A]) stopping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.base == nil
}

// wait returns when there will be something to do.
func (v *view) wait() int64 {
	next := int64(never)
	if v.soon != nil {
		next = v.soon.At
	}
	if v.due != nil && v.due.At > v.watermark {
		next = min(next, v.next, dueAt(v.due.At, v.lag))
	}
	return next
}

// watched is up to when there is nothing left to be done.
type watched struct {
	due  int64 // by event time
	soon int64 // by the clock
}

// slack is how much later than a batch began its notes of early results may appear.
const slack = int64(time.Hour)

// see looks at the store.
func (f *Function[T, K, A]) see() (*view, error) {
	now := f.Clock.Now().UnixNano() // before the snapshot: what is not in it may be as old
	snap, err := f.Env.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	r := records.View{Reader: snap}
	p, err := records.PeekWindowProgress(r, f.Name)
	if err != nil {
		return nil, err
	}
	v := &view{now: now, closed: before}
	if p != nil {
		v.closed = p.Closed
	}
	first := func(d **records.WindowDue) func(records.WindowDue) bool {
		return func(found records.WindowDue) bool { *d = &found; return false }
	}
	if err := records.ScanWindowsDue(r, f.Name, f.done.due, first(&v.due)); err != nil {
		return nil, err
	}
	if v.due == nil || v.due.At > v.closed {
		f.done.due = v.closed
	}
	if f.early > 0 {
		if err := records.ScanWindowsSoon(r, f.Name, f.done.soon, first(&v.soon)); err != nil {
			return nil, err
		}
		if v.soon == nil || v.soon.At > now {
			f.done.soon = now - slack
		}
	}
	marks := make([]mark, len(f.numbers))
	for i, number := range f.numbers {
		if marks[i], err = f.mark(r, number); err != nil {
			return nil, err
		}
	}
	v.watermark, v.next, v.lag = f.clocks.watermark(now, marks)
	return v, nil
}

// mark returns how far a partition has come.
func (f *Function[T, K, A]) mark(r records.View, partition int) (mark, error) {
	tail, err := records.StreamTail(r, records.Partition{Stream: f.Stream, Number: partition})
	if err != nil {
		return mark{}, err
	}
	cursor, err := records.PeekCursor(r, records.Group{Stream: f.Stream, Function: f.Name}, partition)
	if err != nil {
		return mark{}, err
	}
	stored, err := records.PeekWindowMark(r, f.Name, partition)
	if err != nil {
		return mark{}, err
	}
	m := mark{behind: cursor < tail}
	if !m.behind && f.Waits != nil {
		if m.behind, err = f.Waits(r, partition); err != nil {
			return mark{}, err
		}
	}
	if stored != nil && stored.Latest != before {
		m.any, m.latest, m.seen = true, stored.Latest, max(stored.Seen, f.started)
	}
	return m, nil
}

// advance closes windows up to a watermark: from its commit on no batch adds to them that
// did not know.
func (f *Function[T, K, A]) advance(ctx context.Context, watermark int64) error {
	err := unit.Run(ctx, f.Env, f.Committer, conflicts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		p, err := records.GetWindowProgress(u, f.Name)
		if err != nil {
			return err
		}
		p.Closed = max(p.Closed, watermark)
		return records.PutWindowProgress(u, f.Name, p)
	})
	if err == nil {
		f.fence.passed()
	}
	return err
}
