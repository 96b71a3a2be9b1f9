package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Received is a message with what the queue knows of it.
type Received[T any] struct {
	Value T `json:"value"`
	// ID names the message; it is the same each time that it is handled, and sorts by
	// arrival.
	ID string `json:"id"`
	// Key is the key within which it is in order.
	Key string `json:"key,omitempty"`
	// Priority is 0 to MaxPriority.
	Priority int `json:"priority,omitempty"`
	// Attempt is 1 when it is handled for the first time.
	Attempt int `json:"attempt"`
	// Enqueued is when it was sent.
	Enqueued time.Time `json:"enqueued"`
	// Due, unless zero, is when it is to be handled: it was delayed, or failed.
	Due time.Time `json:"due,omitzero"`
	// Headers is what travels with it.
	Headers map[string]string `json:"headers,omitempty"`
}

// Peek returns up to limit messages (at most MaxPeek, also for 0) without taking them:
// first those that may be handled now, in the order of priority and arrival, then those
// that wait, first due first. It is not validated at commit.
func (q *Queue[T]) Peek(ctx context.Context, limit int) ([]Received[T], error) {
	u, err := unit.From(ctx)
	if err != nil {
		return nil, q.fault(err)
	}
	if limit <= 0 || limit > MaxPeek {
		limit = MaxPeek
	}
	var (
		messages []Received[T]
		failed   error
		size     int
	)
	err = records.ListDeliveries(u, q.function(), nil, func(d *records.Delivery, _ []byte) bool {
		m := Received[T]{
			ID: d.ID.String(), Key: d.Lane, Priority: int(d.Priority), Attempt: d.Attempts + 1,
			Enqueued: d.EnqueuedAt, Due: d.NextAttempt, Headers: d.Headers,
		}
		if failed = json.Unmarshal(d.Event, &m.Value); failed != nil {
			failed = fmt.Errorf("message %s: %w", m.ID, failed)
			return false
		}
		messages = append(messages, m)
		size += len(d.Event)
		return len(messages) < limit && size < maxPeekBytes
	})
	if err == nil {
		err = failed
	}
	return messages, q.fault(err)
}

// Purge removes up to MaxPurge messages for good when the unit commits, and returns how
// many: fewer than MaxPurge when there are no more. It runs again when one of them is
// handled meanwhile. Dead letters stay.
func (q *Queue[T]) Purge(ctx context.Context) (n int, err error) {
	u, err := unit.From(ctx)
	if err != nil {
		return 0, q.fault(err)
	}
	err = u.Do(func() error {
		n, err = records.PurgeDeliveries(u, q.function(), MaxPurge)
		return err
	})
	return n, q.fault(err)
}

// Depth returns how many messages the queue holds, without its dead letters. It is not
// validated at commit.
func (q *Queue[T]) Depth(ctx context.Context) (int64, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return 0, q.fault(err)
	}
	n, err := records.Depth(u, q.function())
	return n, q.fault(err)
}

// Age returns for how long the oldest message that may be handled has waited; 0 when
// there is none. Messages that failed count as soon as their next attempt is the first
// to be due. It is not validated at commit.
func (q *Queue[T]) Age(ctx context.Context) (time.Duration, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return 0, q.fault(err)
	}
	since, err := records.Oldest(u, q.function(), u.Now())
	if err != nil || since.IsZero() {
		return 0, q.fault(err)
	}
	return max(u.Now().Sub(since), 0), nil
}
