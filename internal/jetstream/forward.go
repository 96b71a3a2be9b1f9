package jetstream

import (
	"context"
	"errors"
	"fmt"

	js "github.com/nats-io/nats.go/jetstream"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// The most events that are read from the outbox, and removed from it, at a time.
const (
	maxForward      = 256
	maxForwardBytes = 8 << 20
)

// forward publishes what is in the outbox, as it comes, until ctx ends or something fails.
func (s *session) forward(ctx context.Context, progress func()) error {
	changes, stop := s.Watch(records.OutboxSpace)
	defer stop()
	from := uint64(1)
	for {
		next, err := s.forwardSome(ctx, from)
		if err != nil {
			return err
		}
		if next > from {
			from = next
			progress()
			continue
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// forwardSome publishes events from a position on and removes those that arrived. It
// returns the position after them, also that of those before a failure.
func (s *session) forwardSome(ctx context.Context, from uint64) (next uint64, err error) {
	var waiting []*records.Event
	size := 0
	err = s.snapshot(func(snap store.Snapshot) error {
		return records.ScanOutbox(snap, s.target, from, func(e *records.Event) bool {
			waiting = append(waiting, e)
			size += len(e.Data)
			return len(waiting) < maxForward && size < maxForwardBytes
		})
	})
	if err != nil || len(waiting) == 0 {
		return from, err
	}
	first := waiting[0].Position
	next = first
	for _, e := range waiting {
		if err = s.publish(ctx, e); err != nil {
			break
		}
		next = e.Position + 1
	}
	if next == first {
		return from, err
	}
	removed := s.unit(ctx, func(u *unit.Unit) error { return records.RemoveOutbox(u, s.target, first, next-1) })
	return next, errors.Join(err, removed)
}

// publish sends one event and waits until it is stored. The next one is not sent before:
// it must not overtake.
func (s *session) publish(ctx context.Context, e *records.Event) error {
	m, err := encode(e, s.Address.Subject, s.origin, s.target)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := s.js.PublishMsg(ctx, m, js.WithExpectStream(s.Address.Stream)); err != nil {
		if limit := s.conn.MaxPayload(); int64(m.Size()) > limit {
			return fmt.Errorf("event %d of %d bytes is larger than the server allows (%d): raise max_payload in the server's configuration: %w", e.Position, m.Size(), limit, err)
		}
		return fmt.Errorf("publish event %d: %w", e.Position, err)
	}
	return nil
}
