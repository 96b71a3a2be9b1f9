package records

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Arrival orders messages. It is a time in nanoseconds, made unique and
// ascending by its giver, and a number that tells givers apart.
type Arrival struct {
	Nanos uint64
	Node  uint32
}

func appendArrival(dst []byte, a Arrival) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, a.Nanos), a.Node)
}

const arrivalSize = 12

// messageUpgrades has no step yet: format 1 is an event as history encodes it.
var messageUpgrades upgrades

// Message is an event that was committed for an instance and is not yet part of
// its history.
type Message struct {
	Arrival Arrival
	Event   history.Event
}

// PutMessage writes a message to the inbox of instance k.
func PutMessage(w Writer, k InstanceKey, m *Message) {
	w.Put(appendArrival(instanceKey(spaceInbox, k), m.Arrival), history.AppendEvent([]byte{messageUpgrades.current()}, &m.Event))
}

// DeleteMessage removes a message from the inbox of instance k.
func DeleteMessage(w Writer, k InstanceKey, a Arrival) {
	w.Delete(appendArrival(instanceKey(spaceInbox, k), a))
}

// ReadInbox returns the oldest messages of instance k: up to limit, and no more
// payload than maxBytes unless the first alone is larger. More reports whether it
// left some out.
func ReadInbox(r store.Reader, k InstanceKey, limit, maxBytes int) (messages []Message, more bool, err error) {
	size := 0
	err = ScanInbox(r, k, func(m Message) bool {
		size += len(m.Event.Data)
		if len(messages) == limit || len(messages) > 0 && size > maxBytes {
			more = true
			return false
		}
		messages = append(messages, m)
		return true
	})
	return messages, more, err
}

// ScanInbox visits the messages of instance k, oldest first, until visit returns
// false.
func ScanInbox(r store.Reader, k InstanceKey, visit func(Message) bool) error {
	prefix := instanceKey(spaceInbox, k)
	return scanMessages(r, store.Range{Start: prefix, End: tuple.After(prefix)}, visit)
}

func scanMessages(r store.Reader, scan store.Range, visit func(Message) bool) error {
	var failed error
	err := r.Scan(scan, func(it store.Item) bool {
		tail := it.Key[len(it.Key)-arrivalSize:]
		m := Message{Arrival: Arrival{Nanos: binary.BigEndian.Uint64(tail), Node: binary.BigEndian.Uint32(tail[8:])}}
		if m.Event, failed = decodeMessage(append([]byte(nil), it.Value...)); failed != nil {
			return false
		}
		return visit(m)
	})
	if failed != nil {
		return failed
	}
	return err
}

func decodeMessage(value []byte) (history.Event, error) {
	body, err := messageUpgrades.body(value)
	if err != nil {
		return history.Event{}, fmt.Errorf("message: %w", err)
	}
	ev, err := history.DecodeEvent(body)
	if err != nil {
		return history.Event{}, fmt.Errorf("message: %w", err)
	}
	return ev, nil
}

func keptPrefix(id string) []byte { return tuple.AppendString([]byte{spaceKept}, id) }

// PutKept writes an event that waits for an instance which does not exist yet.
// Its Time is when it expires.
func PutKept(w Writer, id string, m *Message) {
	w.Put(appendArrival(keptPrefix(id), m.Arrival), history.AppendEvent([]byte{messageUpgrades.current()}, &m.Event))
}

// DeleteKept removes a kept event.
func DeleteKept(w Writer, id string, a Arrival) { w.Delete(appendArrival(keptPrefix(id), a)) }

// ReadKept returns up to limit events kept for the instance called id.
func ReadKept(r store.Reader, id string, limit int) ([]Message, error) {
	var messages []Message
	prefix := keptPrefix(id)
	err := scanMessages(r, store.Range{Start: prefix, End: tuple.After(prefix)}, func(m Message) bool {
		messages = append(messages, m)
		return len(messages) < limit
	})
	return messages, err
}

// KeptIDs visits the ids of the instances for which events are kept, each once,
// with the earliest expiry among them.
func KeptIDs(r store.Reader, visit func(id string, expires time.Time) bool) error {
	var (
		last    string
		expires time.Time
		seen    bool
		goOn    = true
		failed  error
	)
	err := r.Scan(store.Range{Start: []byte{spaceKept}, End: []byte{spaceKept + 1}}, func(it store.Item) bool {
		d := tuple.Decode(it.Key[1 : len(it.Key)-arrivalSize])
		id := d.String()
		if failed = d.Err(); failed != nil {
			return false
		}
		e, err := decodeMessage(it.Value)
		if err != nil {
			failed = err
			return false
		}
		due := time.Unix(0, e.Time)
		switch {
		case seen && id == last:
			if due.Before(expires) {
				expires = due
			}
			return true
		case seen:
			goOn = visit(last, expires)
		}
		last, expires, seen = id, due, true
		return goOn
	})
	if failed != nil {
		return failed
	}
	if err == nil && goOn && seen {
		visit(last, expires)
	}
	return err
}

// InboxInstances visits the instances that have messages, oldest first.
func InboxInstances(r store.Reader, visit func(InstanceKey) bool) error {
	start := []byte{spaceInbox}
	for {
		keys, err := page(r, store.Range{Start: start, End: []byte{spaceInbox + 1}}, 1)
		if err != nil || len(keys) == 0 || len(keys[0]) < 9 {
			return err
		}
		k := InstanceKey(binary.BigEndian.Uint64(keys[0][1:]))
		if !visit(k) {
			return nil
		}
		start = tuple.After(instanceKey(spaceInbox, k))
	}
}
