package windows

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/window"
)

// firing is a result to be: panes joined over all partitions.
type firing struct {
	span
	key     string
	panes   []records.PaneKey
	states  [][]byte
	changes uint64
	final   bool
	held    bool                  // it waits for earlier results of its key that failed
	shown   *records.ShownWindow  // what it takes the place of
	gone    []records.ShownWindow // sessions that are part of it
}

// plan is what a unit does.
type plan[T any, K comparable, A any] struct {
	*Function[T, K, A]
	u       *unit.Unit
	closed  int64
	firings []*firing
	planned map[windowID]bool
	remove  []records.PaneKey
	forget  []windowID
}

type windowID struct {
	key   string
	start int64
}

func newPlan[T any, K comparable, A any](f *Function[T, K, A], u *unit.Unit, closed int64) *plan[T, K, A] {
	return &plan[T, K, A]{Function: f, u: u, closed: closed, planned: map[windowID]bool{}}
}

// showing reports whether it is kept which results there were.
func (p *plan[T, K, A]) showing() bool { return p.shape.grace > 0 || p.early > 0 }

// fire plans the result of a window that is due; or, if it is not to be final, an early one
// unless that is too late.
func (p *plan[T, K, A]) fire(d records.WindowDue, final bool) error {
	if p.shape.kind == window.KindSession {
		group, err := p.sessionWith(d)
		if err != nil || group == nil {
			return err
		}
		return p.add(group, final)
	}
	if err := p.addWindow(d.Key, p.shape.window(d.Start), final); err != nil {
		return err
	}
	if p.shape.kind != window.KindSliding || p.shape.grace == 0 {
		return nil
	}
	// A late event counts in the windows that end after it as well.
	var later []int64
	err := records.ScanShown(p.u, p.Name, d.Key, d.Start+1, d.Start+p.shape.size, func(s *records.ShownWindow) bool {
		later = append(later, s.Start)
		return true
	})
	for _, start := range later {
		if w := p.shape.window(start); err == nil && w.end+p.shape.grace > p.closed {
			err = p.addWindow(d.Key, w, final)
		}
	}
	return err
}

// addWindow plans the result of a window that is made of panes.
func (p *plan[T, K, A]) addWindow(key string, w span, final bool) error {
	fired := &firing{span: w, key: key}
	err := records.ScanPanes(p.u, p.Name, key, w.start, w.end, func(id records.PaneKey, pane *records.Pane) bool {
		fired.take(id, pane)
		return true
	})
	if err != nil || len(fired.panes) == 0 {
		return err
	}
	return p.add(fired, final)
}

func (x *firing) take(id records.PaneKey, pane *records.Pane) {
	x.panes = append(x.panes, id)
	x.states = append(x.states, pane.State)
	x.changes += pane.Changes
}

// sessionWith returns the session, over all partitions, that the pane is part of for which
// d was noted; nil if there is none any more.
func (p *plan[T, K, A]) sessionWith(d records.WindowDue) (*firing, error) {
	var (
		group *firing
		found bool
	)
	err := records.ScanPanes(p.u, p.Name, d.Key, math.MinInt64, math.MaxInt64, func(id records.PaneKey, pane *records.Pane) bool {
		if group == nil || id.Start >= group.end {
			if found {
				return false
			}
			group = &firing{span: span{id.Start, pane.End}, key: d.Key}
		}
		group.end = max(group.end, pane.End)
		group.take(id, pane)
		found = found || id.Start == d.Start
		return true
	})
	if err != nil || !found {
		return nil, err
	}
	return group, nil
}

// add plans a result, unless it was planned, is not complete or has not changed.
func (p *plan[T, K, A]) add(x *firing, final bool) error {
	id := windowID{x.key, x.start}
	if p.planned[id] || final != (x.end <= p.closed) {
		return nil
	}
	x.final = final
	if p.showing() {
		if err := p.find(x); err != nil {
			return err
		}
		if s := x.shown; s != nil && s.Changes == x.changes && s.End == x.end && (s.Final || !final) {
			return nil
		}
	}
	p.planned[id] = true
	p.firings = append(p.firings, x)
	return nil
}

// find finds the results that a new one takes the place of.
func (p *plan[T, K, A]) find(x *firing) error {
	from := x.start
	if p.shape.kind == window.KindSession {
		from = math.MinInt64
	}
	until := x.start + 1
	if p.shape.kind == window.KindSession {
		until = x.end
	}
	return records.ScanShown(p.u, p.Name, x.key, from, until, func(s *records.ShownWindow) bool {
		switch {
		case s.Start == x.start:
			x.shown = s
		case s.End > x.start:
			x.gone = append(x.gone, *s)
		}
		return true
	})
}

// free plans the removal of what nobody needs any more.
func (p *plan[T, K, A]) free(d records.WindowDue) error {
	if p.shape.kind == window.KindSession {
		group, err := p.sessionWith(d)
		if err != nil || group == nil || group.end+p.shape.grace > p.closed {
			return err
		}
		p.drop(group.panes, group.key, group.start)
		return nil
	}
	var panes []records.PaneKey
	err := records.ScanPanes(p.u, p.Name, d.Key, d.Start, d.Start+1, func(id records.PaneKey, _ *records.Pane) bool {
		panes = append(panes, id)
		return true
	})
	p.drop(panes, d.Key, p.shape.lastOf(d.Start).start)
	return err
}

// drop plans the removal of panes, and of what is known of a window's results.
func (p *plan[T, K, A]) drop(panes []records.PaneKey, key string, start int64) {
	p.remove = append(p.remove, panes...)
	if p.showing() {
		p.forget = append(p.forget, windowID{key, start})
	}
}

// carryOut does what was planned and hands over the results. It begins to write with take.
func (p *plan[T, K, A]) carryOut(ctx context.Context, cause error, take func() error) error {
	for _, x := range p.firings {
		var err error
		if p.Failures == nil || cause != nil {
			break
		}
		if x.held, err = p.Failures.Held(p.u, x.key); err != nil {
			return err
		}
	}
	if err := take(); err != nil {
		return err
	}
	for _, x := range p.firings {
		if err := p.note(x); err != nil {
			return err
		}
	}
	for _, id := range p.remove {
		if p.shape.kind == window.KindSession { // a batch may be adding to it
			if _, err := records.GetPane(p.u, id); err != nil {
				return err
			}
		}
		if err := records.DeletePane(p.u, id); err != nil {
			return err
		}
	}
	for _, id := range p.forget {
		if err := records.DeleteShown(p.u, p.Name, id.key, id.start); err != nil {
			return err
		}
	}
	for _, x := range p.firings {
		if err := p.deliver(ctx, x, cause); err != nil {
			return err
		}
	}
	return nil
}

// note notes what becomes of a window that has its result: it is removed now or later.
func (p *plan[T, K, A]) note(x *firing) error {
	for _, s := range x.gone {
		if err := records.DeleteShown(p.u, p.Name, x.key, s.Start); err != nil {
			return err
		}
	}
	if !x.final {
		return p.remember(x)
	}
	pane, until, panes := x.start, x.end+p.shape.grace, x.panes
	if p.shape.kind != window.KindSession {
		pane = p.shape.freedWith(x.span)
		until = p.shape.keptUntil(pane)
		panes = nil
		for _, id := range x.panes {
			if id.Start == pane {
				panes = append(panes, id)
			}
		}
	}
	if until <= p.closed {
		p.drop(panes, x.key, x.start)
		return nil
	}
	if err := records.PutWindowDue(p.u, p.Name, records.WindowDue{At: until, Key: x.key, Start: pane, Free: true}); err != nil {
		return err
	}
	return p.remember(x)
}

func (p *plan[T, K, A]) remember(x *firing) error {
	if !p.showing() {
		return nil
	}
	return records.PutShown(p.u, p.Name, x.key, &records.ShownWindow{
		Start: x.start, End: x.end, Revision: x.revision(), Changes: x.changes, Final: x.final,
	})
}

func (x *firing) revision() int {
	if x.shown == nil {
		return 1
	}
	return x.shown.Revision + 1
}

// deliver hands over a result, after those that it makes void.
func (p *plan[T, K, A]) deliver(ctx context.Context, x *firing, cause error) error {
	key, err := p.keys.decode(x.key)
	if err != nil {
		return err
	}
	state := p.Aggregate()
	for i, data := range x.states {
		other, err := p.restore(data)
		if err != nil {
			return err
		}
		if i == 0 {
			state = other
		} else {
			state.Merge(other)
		}
	}
	for _, s := range x.gone {
		r := window.Result[K, A]{
			Key: key, Start: unixTime(s.Start), End: unixTime(s.End), Revision: s.Revision + 1, Final: true, Withdrawn: true,
		}
		if err := p.hand(ctx, x, r, cause); err != nil {
			return err
		}
	}
	return p.hand(ctx, x, window.Result[K, A]{
		Key: key, Start: unixTime(x.start), End: unixTime(x.end), Value: state.Result(), Revision: x.revision(), Final: x.final,
	}, cause)
}

// hand gives a result to the user's function; to Failures if that has failed for it, for
// cause, or for an earlier one of the key.
func (p *plan[T, K, A]) hand(ctx context.Context, x *firing, r window.Result[K, A], cause error) error {
	if cause == nil && !x.held {
		return p.call(ctx, r)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("a result: %w", err)
	}
	return p.Failures.Put(p.u, x.key, data, cause)
}
