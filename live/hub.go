package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/records"
)

const (
	// readEvents bounds the events that are read at a time.
	readEvents = 1000
	// readBytes bounds their size, roughly.
	readBytes = 4 << 20
	// readAgain is how long the hub waits after the store failed.
	readAgain = time.Second
)

// hub reads the change feed once for all subscribers.
type hub struct {
	s *Server

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	at          *place // what was read; nil while nobody listens
}

// subscriber is what waits for one client.
type subscriber struct {
	limit int
	wake  chan struct{} // holds one signal

	mu      sync.Mutex
	pending []*change
	slow    bool // changes were left out
}

// join adds a subscriber. It gets every change that a snapshot taken after join does
// not show, and some that it does.
func (h *hub) join() (*subscriber, error) {
	sub := &subscriber{limit: h.s.endpoint.buffer, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		at, err := h.s.tails()
		if err != nil {
			return nil, err
		}
		h.at = &at
	}
	h.subscribers[sub] = struct{}{}
	return sub, nil
}

func (h *hub) leave(sub *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subscribers, sub)
}

// run hands changes to the subscribers until ctx ends.
func (h *hub) run(ctx context.Context, changes <-chan struct{}) {
	for {
		more, err := h.read()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.s.log.Error("a change feed could not be read", "table", h.s.name, "error", err)
			if !h.s.wait(ctx, readAgain) {
				return
			}
		case !more:
			select {
			case <-ctx.Done():
				return
			case <-changes:
			}
		}
	}
}

// read hands over what was appended since it was last called, or a part of it.
func (h *hub) read() (more bool, err error) {
	h.mu.Lock()
	if len(h.subscribers) == 0 {
		h.at = nil
	}
	if h.at == nil {
		h.mu.Unlock()
		return false, nil
	}
	at := *h.at
	h.mu.Unlock()

	changes, more, err := h.s.after(&at)
	gap := errors.Is(err, errGap)
	if gap {
		if at, err = h.s.tails(); err == nil {
			h.s.log.Warn("changes were removed before they were pushed: retention is hard and short", "table", h.s.name)
		}
	}
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = &at
	for sub := range h.subscribers {
		if !sub.push(changes, gap) {
			delete(h.subscribers, sub)
		}
	}
	return more, nil
}

// push adds changes to what waits; false if that is too much, or there is a gap.
func (sub *subscriber) push(changes []*change, gap bool) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if gap || len(sub.pending)+len(changes) > sub.limit {
		sub.pending, sub.slow = nil, true
	} else {
		sub.pending = append(sub.pending, changes...)
	}
	select {
	case sub.wake <- struct{}{}:
	default: // one signal is enough
	}
	return !sub.slow
}

// take returns what waits, and whether something was left out.
func (sub *subscriber) take() (changes []*change, slow bool) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	changes, sub.pending = sub.pending, nil
	return changes, sub.slow
}

// errGap: changes that are asked for have been removed.
var errGap = errors.New("live: changes are not kept any more")

// tails returns the place of the latest change.
func (s *Server) tails() (at place, err error) {
	snap, err := s.env.Snapshot()
	if err != nil {
		return at, err
	}
	defer snap.Close()
	return s.tailsIn(records.View{Reader: snap})
}

func (s *Server) tailsIn(v records.Viewer) (at place, err error) {
	for p := range at {
		if at[p], err = records.StreamTail(v, s.partition(p)); err != nil {
			return at, err
		}
	}
	return at, nil
}

func (s *Server) partition(p int) records.Partition {
	return records.Partition{Stream: records.FeedStream(s.name), Number: p}
}

// after returns changes after a place, which it moves past them, and whether there are
// more. It fails with errGap if some are not kept, or the place is of another feed.
func (s *Server) after(at *place) (changes []*change, more bool, err error) {
	snap, err := s.env.Snapshot()
	if err != nil {
		return nil, false, err
	}
	defer snap.Close()
	size := 0
	for p := range at {
		state, err := records.GetStreamState(records.View{Reader: snap}, s.partition(p))
		switch {
		case err != nil:
			return nil, false, err
		case at[p] > state.Last || at[p]+1 < state.First:
			return nil, false, errGap
		case at[p] == state.Last:
			continue
		case more:
			return changes, true, nil
		}
		err = records.ScanEvents(snap, s.partition(p), at[p]+1, func(e *records.Event) bool {
			at[p] = e.Position
			size += len(e.Data)
			c, err := s.endpoint.read(e)
			if err != nil {
				s.log.Error("a change cannot be read and is passed over", "table", s.name, "partition", p, "position", e.Position, "error", err)
			} else {
				changes = append(changes, c)
			}
			more = len(changes) >= readEvents || size >= readBytes
			return !more
		})
		if errors.Is(err, records.ErrUnreadableEvent) {
			s.log.Error("a change cannot be read and is passed over", "table", s.name, "error", err)
			at[p]++
			return changes, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return changes, more, nil
}
