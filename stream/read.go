package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Place is a place in each partition of a stream, from which to read on.
type Place = records.Place

// The places that need no number.
var (
	// FromStart is the first event that is kept. It is the zero Place.
	FromStart Place
	// FromNow is after the last event.
	FromNow = records.PlaceNow()
)

// FromTime is the first event that was appended at t or later.
func FromTime(t time.Time) Place { return records.PlaceAt(t) }

// FromPosition is the event at a position, or the first one after it that is kept.
func FromPosition(position uint64) Place { return records.PlaceOf(position) }

// Read returns up to limit (at most MaxRead) events of a partition from a place on,
// in order; fewer when together they exceed MaxReadBytes. It sees what was committed
// when the unit began to read, and nothing that the unit appends. The commit does not
// depend on it: events do not change.
func (s *Stream[T]) Read(ctx context.Context, partition int, from Place, limit int) ([]Event[T], error) {
	u, err := unit.From(ctx)
	if err != nil {
		return nil, s.fault(err)
	}
	if partition < 0 || partition >= MaxPartitions {
		return nil, s.fault(fmt.Errorf("there is no partition %d", partition))
	}
	p := records.Partition{Stream: s.name, Number: partition}
	position, err := records.FirstOf(u, p, from)
	if err != nil {
		return nil, s.fault(err)
	}
	limit = min(limit, MaxRead)
	if limit <= 0 {
		return nil, nil
	}
	var (
		events []Event[T]
		size   int
		failed error
	)
	err = records.ScanEvents(u, p, position, func(e *records.Event) bool {
		var event Event[T]
		if event, failed = s.decode(e); failed != nil {
			return false
		}
		events = append(events, event)
		size += len(e.Data)
		return len(events) < limit && size < MaxReadBytes
	})
	if err == nil {
		err = failed
	}
	return events, s.fault(err)
}

// Lag returns how many events a function has still to handle. Those that failed
// and wait for their next attempt, or are dead letters, are not among them.
func (s *Stream[T]) Lag(ctx context.Context, function string) (int64, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return 0, s.fault(err)
	}
	partitions, err := records.StreamPartitions(u, s.name)
	if err != nil {
		return 0, s.fault(err)
	}
	lag := int64(0)
	for _, n := range partitions {
		behind, err := records.GroupLag(u, records.Group{Stream: s.name, Function: function}, n)
		if err != nil {
			return 0, s.fault(err)
		}
		lag += behind
	}
	return lag, nil
}
