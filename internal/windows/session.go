package windows

import (
	"fmt"
	"math"
	"slices"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/window"
)

// session is a session of a key as far as one partition knows.
type session[T, A any] struct {
	span
	stored  []span // the panes it is made of
	changes uint64
	state   window.State[T, A] // nil while encoded is as stored
	encoded []byte
	changed bool
}

// keySessions are the sessions of a key in one partition, in order.
type keySessions[T, A any] struct {
	key string
	all []*session[T, A]
}

// sessions aggregates events into sessions. An event is late by its own time, also if it
// would be part of a session that is open: so a session that was forgotten cannot begin again.
// Everything is read before the first write: scans of a unit with many writes are slow.
func (b *batch[T, K, A]) sessions(events []*records.Event) error {
	var (
		order []*keySessions[T, A]
		byKey = map[K]*keySessions[T, A]{}
	)
	for _, e := range events {
		event, at, ok, err := b.decode(e)
		if err != nil {
			return err
		}
		if !ok || at+b.shape.size+b.shape.grace <= b.closed {
			if err := b.routeLate(event); err != nil {
				return err
			}
			continue
		}
		key := b.Key(event)
		s := byKey[key]
		if s == nil {
			if s, err = b.load(key); err != nil {
				return err
			}
			byKey[key] = s
			order = append(order, s)
		}
		if err := b.add(s, event, at); err != nil {
			return err
		}
	}
	for _, s := range order {
		for _, one := range s.all {
			if err := b.storeSession(s.key, one); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads the sessions of a key.
func (b *batch[T, K, A]) load(k K) (*keySessions[T, A], error) {
	key, err := b.keys.encode(k)
	if err != nil {
		return nil, err
	}
	s := &keySessions[T, A]{key: key}
	err = records.ScanPanes(b.u, b.Name, key, math.MinInt64, math.MaxInt64, func(id records.PaneKey, p *records.Pane) bool {
		if id.Partition == b.partition {
			at := span{id.Start, p.End}
			s.all = append(s.all, &session[T, A]{span: at, stored: []span{at}, changes: p.Changes, encoded: p.State})
		}
		return true
	})
	return s, err
}

// add adds an event to the session that it is in, or begins one; it joins those that it
// is between.
func (b *batch[T, K, A]) add(s *keySessions[T, A], event T, at int64) error {
	grown := &session[T, A]{span: span{at, at + b.shape.size}, state: b.Aggregate(), changed: true}
	from := 0
	for from < len(s.all) && s.all[from].end <= grown.start {
		from++
	}
	until := from
	for ; until < len(s.all) && s.all[until].overlaps(grown.span); until++ {
		old := s.all[until]
		if old.state == nil {
			var err error
			if old.state, err = b.restore(old.encoded); err != nil {
				return err
			}
		}
		if until == from {
			grown.state = old.state // what came first stays first
		} else {
			grown.state.Merge(old.state)
		}
		grown.span = span{min(grown.start, old.start), max(grown.end, old.end)}
		grown.stored = append(grown.stored, old.stored...)
		grown.changes += old.changes
	}
	grown.state.Add(event)
	s.all = slices.Replace(s.all, from, until, grown)
	return nil
}

// storeSession replaces the panes that a session was made of by one.
func (b *batch[T, K, A]) storeSession(key string, s *session[T, A]) error {
	if !s.changed {
		return nil
	}
	id := records.PaneKey{Function: b.Name, Key: key, Start: s.start, Partition: b.partition}
	for _, old := range s.stored {
		of := id
		of.Start = old.start
		if _, err := records.GetPane(b.u, of); err != nil { // closing takes it away, or this unit does
			return err
		}
		if old.start != s.start {
			if err := records.DeletePane(b.u, of); err != nil {
				return err
			}
		}
		if old != s.span {
			if err := records.DeleteWindowDue(b.u, b.Name, records.WindowDue{At: old.end, Key: key, Start: old.start}); err != nil {
				return err
			}
		}
	}
	encoded, err := s.state.AppendBinary(nil)
	if err != nil {
		return fmt.Errorf("state of the aggregate: %w", err)
	}
	if err := records.PutPane(b.u, id, &records.Pane{End: s.end, Changes: s.changes + 1, State: encoded}); err != nil {
		return err
	}
	return b.note(key, s.span, !slices.Equal(s.stored, []span{s.span}))
}
