package records

import (
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Cause says why an event was given up.
type Cause uint8

// The causes. The numbers are stored.
const (
	// AttemptsExhausted: the function failed as often as its policy allows.
	AttemptsExhausted Cause = 1
	// PermanentError: the function said that trying again is of no use.
	PermanentError Cause = 2
	// ProcessDied: the process died too often while the function ran.
	ProcessDied Cause = 3
	// Undeliverable: there was nobody to take the event.
	Undeliverable Cause = 4
)

var causeNames = [...]string{"", "attempts-exhausted", "permanent-error", "process-died", "undeliverable"}

// String returns the cause's name.
func (c Cause) String() string {
	if c == 0 || int(c) >= len(causeNames) {
		return fmt.Sprintf("cause-%d", uint8(c))
	}
	return causeNames[c]
}

// DeadLetter is an event that a function did not manage to handle.
type DeadLetter struct {
	Delivery
	// Cause is why it was given up.
	Cause Cause
	// Reason says it in words.
	Reason string
	// DeadAt is when it was given up.
	DeadAt time.Time
	// EditedAt, unless zero, is when Event was changed last.
	EditedAt time.Time
	// Original is the event as it came, if it was changed.
	Original []byte
}

// Edit changes the event; the one that came is kept.
func (l *DeadLetter) Edit(at time.Time, event []byte) {
	if l.EditedAt.IsZero() {
		l.Original = l.Event
	}
	l.EditedAt, l.Event = at, event
}

// deadLetterUpgrades has no step yet: format 1 is
//
//	cause uint64, dead time, reason string,
//	then false, or true, edited time and original bytes, then the value of the delivery
var deadLetterUpgrades upgrades

func deadLetterKey(function string, id DeliveryID) []byte {
	return append(functionKey(spaceDeadLetter, function), id[:]...)
}

func deadLetterCountKey(function string, c Cause) []byte {
	return tuple.AppendUint64(functionKey(spaceDeadLetterCount, function), uint64(c))
}

func (l *DeadLetter) encode() []byte {
	b := tuple.AppendUint64([]byte{deadLetterUpgrades.current()}, uint64(l.Cause))
	b = tuple.AppendTime(b, l.DeadAt)
	b = tuple.AppendString(b, clip(l.Reason))
	edited := !l.EditedAt.IsZero()
	if b = tuple.AppendBool(b, edited); edited {
		b = tuple.AppendBytes(tuple.AppendTime(b, l.EditedAt), l.Original)
	}
	return append(b, l.Delivery.encode()...)
}

func decodeDeadLetter(function string, id DeliveryID, value []byte) (*DeadLetter, error) {
	body, err := deadLetterUpgrades.body(value)
	if err != nil {
		return nil, unreadable(function, id, err)
	}
	t := tuple.Decode(body)
	l := &DeadLetter{Cause: Cause(t.Uint64()), DeadAt: t.Time(), Reason: t.String()}
	if t.Bool() {
		l.EditedAt, l.Original = t.Time(), []byte(t.String())
	}
	if err := t.Err(); err != nil {
		return nil, unreadable(function, id, err)
	}
	d, err := decodeDelivery(function, DeliveryRef{ID: id}, t.Rest())
	if err != nil {
		return nil, err
	}
	l.Delivery = *d
	return l, nil
}

// PutDeadLetter writes a dead letter that was not there, and counts it. With hold it
// keeps its place in its lane, so that what is behind it there waits.
func PutDeadLetter(u Unit, l *DeadLetter, hold bool) error {
	if err := ReplaceDeadLetter(u, l); err != nil {
		return err
	}
	if hold && l.Lane != "" {
		if err := holdLane(u, l.Function, l.Ref()); err != nil {
			return err
		}
	}
	return u.Add(deadLetterCountKey(l.Function, l.Cause), 1)
}

// ReplaceDeadLetter writes a dead letter again that is there.
func ReplaceDeadLetter(u Unit, l *DeadLetter) error {
	return u.Put(deadLetterKey(l.Function, l.ID), l.encode())
}

// GetDeadLetter returns a dead letter, or nil. That it is so is validated at
// commit.
func GetDeadLetter(u Unit, function string, id DeliveryID) (*DeadLetter, error) {
	value, err := u.Get(deadLetterKey(function, id))
	if err != nil || value == nil {
		return nil, err
	}
	return decodeDeadLetter(function, id, value)
}

// DeleteDeadLetter removes a dead letter that GetDeadLetter answered in the same
// unit, and lets the lane go on that it held.
func DeleteDeadLetter(u Unit, l *DeadLetter) error {
	if err := u.Delete(deadLetterKey(l.Function, l.ID)); err != nil {
		return err
	}
	if l.Lane != "" {
		if err := freeLane(u, l.Function, l.Ref()); err != nil {
			return err
		}
	}
	return u.Add(deadLetterCountKey(l.Function, l.Cause), -1)
}

// ListDeadLetters visits the dead letters of a function, oldest arrival first, or
// those of all functions when it is empty, function by function. It begins after
// cursor (nil: with the first) and ends when visit returns false. The cursor that
// visit gets stands for the place of its dead letter.
func ListDeadLetters(s Scanner, function string, cursor []byte, visit func(l *DeadLetter, cursor []byte) bool) error {
	base := []byte{spaceDeadLetter}
	prefix := base
	if function != "" {
		prefix = functionKey(spaceDeadLetter, function)
	}
	var failed error
	r := store.Range{Start: prefix, End: tuple.After(prefix)}
	err := s.Scan(seek(r, base, cursor), func(it store.Item) bool {
		t := tuple.Decode(it.Key[1:])
		name := t.String()
		if t.Err() != nil || len(t.Rest()) != len(DeliveryID{}) {
			failed = errors.New("records: malformed key of a dead letter")
			return false
		}
		var l *DeadLetter
		if l, failed = decodeDeadLetter(name, DeliveryID(t.Rest()), append([]byte(nil), it.Value...)); failed != nil {
			return false
		}
		return visit(l, append([]byte(nil), it.Key[1:]...))
	})
	if err != nil {
		return err
	}
	return failed
}

// DeadLetterCount is how many dead letters a function has of one cause.
type DeadLetterCount struct {
	Function string
	Cause    Cause
	Count    int64
}

// CountDeadLetters returns the counts that are not zero, by function and cause; of
// one function, or of all when it is empty.
func CountDeadLetters(s Scanner, function string) ([]DeadLetterCount, error) {
	prefix := []byte{spaceDeadLetterCount}
	if function != "" {
		prefix = functionKey(spaceDeadLetterCount, function)
	}
	var (
		counts []DeadLetterCount
		failed error
	)
	err := s.Scan(store.Range{Start: prefix, End: tuple.After(prefix)}, func(it store.Item) bool {
		t := tuple.Decode(it.Key[1:])
		c := DeadLetterCount{Function: t.String(), Cause: Cause(t.Uint64())}
		if failed = t.End(); failed != nil {
			return false
		}
		if c.Count, failed = store.DecodeCounter(it.Value); failed != nil {
			return false
		}
		if c.Count != 0 {
			counts = append(counts, c)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return counts, failed
}
