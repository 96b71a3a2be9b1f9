package windows

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/window"
)

// batch is what becomes of the events of a batch.
type batch[T any, K comparable, A any] struct {
	*Function[T, K, A]
	ctx       context.Context
	u         *unit.Unit
	partition int
	now       int64
	closed    int64
	latest    int64
	late      int
}

// Batch aggregates events of a partition in the unit of work of ctx. The batches of a
// partition come one after another, in the order of positions.
func (f *Function[T, K, A]) Batch(ctx context.Context, partition int, events []*records.Event) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	f.fence.enter(partition)
	leave := func(committed bool) func() {
		return func() {
			f.fence.leave(partition, committed)
			f.look()
		}
	}
	u.OnCommit(leave(true))
	u.OnDiscard(leave(false))
	b := &batch[T, K, A]{Function: f, ctx: ctx, u: u, partition: partition, now: u.Now().UnixNano(), closed: before}
	progress, err := records.GetWindowProgress(u, f.Name)
	if err != nil {
		return err
	}
	if progress != nil {
		b.closed = progress.Closed
		if progress.Shape != f.Windows.String() {
			return f.otherShape(progress.Shape)
		}
	}
	return b.run(events)
}

func (b *batch[T, K, A]) run(events []*records.Event) error {
	m, err := records.PeekWindowMark(b.u, b.Name, b.partition)
	if err != nil {
		return err
	}
	if b.latest = before; m != nil {
		b.latest = m.Latest
	}
	if b.shape.kind == window.KindSession {
		err = b.sessions(events)
	} else {
		err = b.panes(events)
	}
	if err != nil {
		return err
	}
	if b.late > 0 {
		if err := records.AddLateEvents(b.u, b.Name, b.late); err != nil {
			return err
		}
	}
	return records.PutWindowMark(b.u, b.Name, b.partition, &records.WindowMark{Latest: b.latest, Seen: b.now})
}

// decode returns an event and its time. It is not usable when ok is false: the event is
// late.
func (b *batch[T, K, A]) decode(e *records.Event) (event T, at int64, ok bool, err error) {
	if err := json.Unmarshal(e.Data, &event); err != nil {
		return event, 0, false, fmt.Errorf("event %d of partition %d: %w", e.Position, b.partition, err)
	}
	t := e.Time
	if b.timeOf != nil {
		t = b.timeOf(event)
	}
	if t.Before(firstTime) || t.After(lastTime) {
		return event, 0, false, nil
	}
	at = t.UnixNano()
	b.latest = max(b.latest, min(at, b.now))
	return event, at, true, nil
}

// routeLate counts an event that is late and hands it to who wants it.
func (b *batch[T, K, A]) routeLate(event T) error {
	b.late++
	if b.onLate == nil {
		return nil
	}
	return b.onLate(b.ctx, event)
}

// group is what a batch adds to a pane.
type group[T any, K comparable, A any] struct {
	id    groupID[K]
	state window.State[T, A]
}

type groupID[K comparable] struct {
	key   K
	start int64
}

// panes aggregates events into panes of equal length.
func (b *batch[T, K, A]) panes(events []*records.Event) error {
	var (
		groups []*group[T, K, A] // in the order of their first events
		byID   = map[groupID[K]]*group[T, K, A]{}
	)
	for _, e := range events {
		event, at, ok, err := b.decode(e)
		if err != nil {
			return err
		}
		if ok {
			at = b.shape.pane(at)
		}
		if !ok || b.shape.late(at, b.closed) {
			if err := b.routeLate(event); err != nil {
				return err
			}
			continue
		}
		id := groupID[K]{b.Key(event), at}
		g := byID[id]
		if g == nil {
			g = &group[T, K, A]{id, b.Aggregate()}
			byID[id] = g
			groups = append(groups, g)
		}
		g.state.Add(event)
	}
	for _, g := range groups {
		if err := b.store(g); err != nil {
			return err
		}
	}
	return nil
}

// store joins a group with its pane, and notes the windows in which it counts.
func (b *batch[T, K, A]) store(g *group[T, K, A]) error {
	key, err := b.keys.encode(g.id.key)
	if err != nil {
		return err
	}
	id := records.PaneKey{Function: b.Name, Key: key, Start: g.id.start, Partition: b.partition}
	stored, err := records.GetPane(b.u, id)
	if err != nil {
		return err
	}
	pane := &records.Pane{End: g.id.start + b.shape.every, Changes: 1}
	state := g.state
	if stored != nil {
		pane.Changes += stored.Changes
		if state, err = b.restore(stored.State); err != nil {
			return err
		}
		state.Merge(g.state)
	}
	if pane.State, err = state.AppendBinary(nil); err != nil {
		return fmt.Errorf("state of the aggregate: %w", err)
	}
	if err := records.PutPane(b.u, id, pane); err != nil {
		return err
	}
	first, last := b.shape.firstOf(g.id.start), b.shape.lastOf(g.id.start)
	for w := first; w.start <= last.start; w = b.shape.window(w.start + b.shape.every) {
		if w.end+b.shape.grace <= b.closed {
			continue // it was forgotten
		}
		if err := b.note(key, w, stored == nil); err != nil {
			return err
		}
	}
	return nil
}

// restore returns a state that was stored.
func (f *Function[T, K, A]) restore(data []byte) (window.State[T, A], error) {
	state := f.Aggregate()
	if err := state.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("stored aggregate: %w", err)
	}
	return state, nil
}

// note notes that a window has changed. Of one that is not new and not closed it is noted
// already that it will be looked at. Nothing is noted for a time before closed: nobody looks
// there any more.
func (b *batch[T, K, A]) note(key string, w span, isNew bool) error {
	if isNew || w.end <= b.closed {
		if err := records.PutWindowDue(b.u, b.Name, records.WindowDue{At: max(w.end, b.closed), Key: key, Start: w.start}); err != nil {
			return err
		}
	}
	if b.early == 0 || w.end <= b.closed {
		return nil
	}
	tick := (b.now/b.early + 1) * b.early
	return records.PutWindowSoon(b.u, b.Name, records.WindowDue{At: tick, Key: key, Start: w.start})
}

func unixTime(t int64) time.Time { return time.Unix(0, t).UTC() }
