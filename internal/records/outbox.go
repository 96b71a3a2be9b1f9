package records

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// OutboxSpace is written into by whatever adds to an outbox.
const OutboxSpace = spaceOutbox

// StreamTarget and QueueTarget name the outboxes of a stream and of a queue that live
// outside the store, and what has been read of them.
func StreamTarget(stream string) string { return "stream/" + stream }

// QueueTarget is StreamTarget of a queue.
func QueueTarget(queue string) string { return QueuePrefix + queue }

func outboxLog(target string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), spaceOutbox), target)
}

// AppendOutbox adds events, in order, to those that wait to be sent to a target. Their
// partition and position are not kept.
func AppendOutbox(u Unit, target string, events ...*Event) error {
	log := outboxLog(target)
	for _, e := range events {
		if err := u.Append(log, e.encode()); err != nil {
			return err
		}
	}
	return nil
}

// The headers of an event in an outbox that stand for what a delivery has more.
const (
	// HeaderPriority is the delivery's priority, in decimal digits.
	HeaderPriority = "Perdure-Priority"
	// HeaderDue is when it is to be handled first, in RFC 3339.
	HeaderDue = "Perdure-Due"
)

// AppendOutboxDelivery adds a delivery to what waits to be sent to the queue it is for.
func AppendOutboxDelivery(u Unit, d *Delivery) error {
	e := &Event{Key: d.Lane, Time: u.Now(), Headers: maps.Clone(d.Headers), Data: d.Event}
	set := func(name, value string) {
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
		e.Headers[name] = value
	}
	if d.Priority > 0 {
		set(HeaderPriority, strconv.Itoa(int(d.Priority)))
	}
	if !d.NextAttempt.IsZero() {
		set(HeaderDue, d.NextAttempt.UTC().Format(time.RFC3339Nano))
	}
	return AppendOutbox(u, d.Function, e)
}

// ScanOutbox visits the events that wait to be sent to a target, from a position on, until
// visit returns false. One that cannot be read ends it with ErrUnreadableEvent.
func ScanOutbox(s Scanner, target string, from uint64, visit func(*Event) bool) error {
	log := outboxLog(target)
	var failed error
	r := store.Range{Start: store.PositionKey(log, max(from, 1)), End: tuple.After(log)}
	err := s.Scan(r, func(it store.Item) bool {
		position, ok := positionIn(log, it.Key)
		if !ok {
			failed = fmt.Errorf("records: malformed key in the outbox of %q", target)
			return false
		}
		var e *Event
		if e, failed = decodeEvent(Partition{Stream: target}, position, slices.Clone(it.Value)); failed != nil {
			return false
		}
		return visit(e)
	})
	if err != nil {
		return err
	}
	return failed
}

// RemoveOutbox removes the events of positions first to last, which have arrived.
func RemoveOutbox(u Unit, target string, first, last uint64) error {
	log := outboxLog(target)
	for p := first; p <= last; p++ {
		if err := u.Delete(store.PositionKey(log, p)); err != nil {
			return err
		}
	}
	return nil
}

// OutboxState is what waits to be sent to a target.
type OutboxState struct {
	// Depth is how many events wait.
	Depth uint64
	// Oldest is when the first of them was appended; zero without one.
	Oldest time.Time
}

// GetOutboxState returns what waits to be sent to a target.
func GetOutboxState(v Viewer, target string) (OutboxState, error) {
	last, err := peekCounter(v, outboxLog(target))
	if err != nil {
		return OutboxState{}, fmt.Errorf("outbox of %q: %w", target, err)
	}
	var state OutboxState
	err = ScanOutbox(v, target, 1, func(e *Event) bool {
		state = OutboxState{Depth: uint64(last) - e.Position + 1, Oldest: e.Time}
		return false
	})
	return state, err
}

// originUpgrades has no step yet: format 1 is origin string.
var originUpgrades upgrades

// OutboxOrigin returns the name by which readers of what was sent know this store: fresh
// at the first call, and the same ever after. With the target and the position it names
// an event for good.
func OutboxOrigin(u Unit, fresh string) (string, error) {
	key := []byte{spaceOutboxOrigin}
	value, err := u.Get(key)
	if err != nil {
		return "", err
	}
	if value == nil {
		return fresh, u.Put(key, tuple.AppendString([]byte{originUpgrades.current()}, fresh))
	}
	body, err := originUpgrades.body(value)
	if err != nil {
		return "", fmt.Errorf("origin of what is sent: %w", err)
	}
	d := tuple.Decode(body)
	origin := d.String()
	if err := d.End(); err != nil {
		return "", fmt.Errorf("origin of what is sent: %w", err)
	}
	return origin, nil
}
