package records

import (
	"bytes"
	"cmp"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/tuple"
)

// QueuePrefix begins the function names under which the messages of queues are stored.
// They stay there, whether a function takes them or not.
const QueuePrefix = "queue/"

// MaxPriority is the greatest Delivery.Priority.
const MaxPriority = 9

// The bounds of what a delivery keeps of its failures.
const (
	// MaxFailures is how many of the latest failed attempts it remembers.
	MaxFailures = 10
	// MaxFailureText bounds the text of each, in bytes.
	MaxFailureText = 1024
)

// ErrUnreadableDelivery: what is stored as a delivery or dead letter cannot be
// decoded, be it damaged or newer than this program.
var ErrUnreadableDelivery = errors.New("records: unreadable delivery")

// DeliveryID names a delivery. It sorts by arrival: eight bytes of Unix time in
// nanoseconds, ascending within a process, then eight that tell processes apart: random
// ones, or, where several may be due at one time, a count and random ones.
type DeliveryID [16]byte

// deliveryIDText keeps the order of ids in their text.
var deliveryIDText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// String returns the id as 26 digits and lower-case letters, which sort like ids.
func (id DeliveryID) String() string { return deliveryIDText.EncodeToString(id[:]) }

// ParseDeliveryID reads what String wrote.
func ParseDeliveryID(s string) (DeliveryID, error) {
	var id DeliveryID
	b, err := deliveryIDText.DecodeString(s)
	if err != nil || len(b) != len(id) || deliveryIDText.EncodeToString(b) != s {
		return id, fmt.Errorf("records: %q is not the id of a delivery: want 26 digits and letters from 0 to v", s)
	}
	return DeliveryID(b), nil
}

// Compare orders ids by arrival.
func (id DeliveryID) Compare(o DeliveryID) int { return bytes.Compare(id[:], o[:]) }

// Time returns when what the id names was to be handled first, which is its arrival
// unless it was delayed.
func (id DeliveryID) Time() time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(id[:8]))).UTC()
}

// Arrivals hands out the ids of deliveries. It is safe for concurrent use.
type Arrivals struct {
	last  atomic.Int64
	later atomic.Uint32 // how many were handed out by At
}

// Next returns the id of a delivery that arrives now. It sorts after all that
// this Arrivals has handed out, also when the clock went back.
func (a *Arrivals) Next(now time.Time) DeliveryID {
	for {
		last := a.last.Load()
		next := max(now.UnixNano(), last+1)
		if a.last.CompareAndSwap(last, next) {
			return newDeliveryID(next)
		}
	}
}

// After lets all further ids sort after one that was handed out before, by another
// Arrivals: the clock may have gone back since.
func (a *Arrivals) After(id DeliveryID) {
	for nanos := id.Time().UnixNano(); ; {
		last := a.last.Load()
		if nanos <= last || a.last.CompareAndSwap(last, nanos) {
			return
		}
	}
}

// At returns the id of a delivery that is not to be handled before a later time: in its
// lane it takes the place that it would have if it arrived then. Ids for one time sort in
// the order in which they are handed out.
func (a *Arrivals) At(later time.Time) DeliveryID {
	id := newDeliveryID(later.UnixNano())
	binary.BigEndian.PutUint32(id[8:], a.later.Add(1))
	return id
}

func newDeliveryID(nanos int64) DeliveryID {
	var id DeliveryID
	binary.BigEndian.PutUint64(id[:8], uint64(nanos))
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// DeliveryRef says where a delivery is stored: among those that are to be handled
// now, by priority and then in the order of arrival, or among those that wait, in
// the order in which they are due.
type DeliveryRef struct {
	// Due, unless zero, is when the next attempt is due, in Unix nanoseconds.
	Due int64
	// Rank is MaxPriority less the priority: what is urgent sorts first.
	Rank uint8
	ID   DeliveryID
	// Lane is the LaneHash of the delivery's lane. It is no part of the place.
	Lane uint64
}

// Compare orders refs as they are stored.
func (r DeliveryRef) Compare(o DeliveryRef) int {
	return cmp.Or(cmp.Compare(r.Due, o.Due), cmp.Compare(r.Rank, o.Rank), r.ID.Compare(o.ID))
}

// FailedAttempt is what is kept of an attempt that failed.
type FailedAttempt struct {
	At    time.Time
	Error string
}

// Delivery is an event that a function has still to handle.
type Delivery struct {
	// Function is the name of the function.
	Function string
	ID       DeliveryID
	// Lane, unless empty, is the key within which deliveries of the function are
	// handled one after another, in the order of their ids.
	Lane string
	// Priority is 0 to MaxPriority; greater ones are handled first, except that
	// a lane keeps its order.
	Priority uint8
	// Topic is what the event was published as.
	Topic string
	// Event is the encoded event. It must not be changed.
	Event []byte
	// Headers is what travels with the event, such as a trace.
	Headers map[string]string
	// EnqueuedAt is when the event was published.
	EnqueuedAt time.Time
	// Attempts counts the failed attempts.
	Attempts int
	// NextAttempt, unless zero, is when the next attempt is due.
	NextAttempt time.Time
	// ProcessDeaths counts how often the process died while it ran.
	ProcessDeaths int
	// Failures are the latest failed attempts, oldest first.
	Failures []FailedAttempt
}

// Ref returns where the delivery is stored.
func (d *Delivery) Ref() DeliveryRef {
	ref := DeliveryRef{Rank: MaxPriority - min(d.Priority, MaxPriority), ID: d.ID, Lane: LaneHash(d.Lane)}
	if !d.NextAttempt.IsZero() {
		ref.Due = d.NextAttempt.UnixNano()
	}
	return ref
}

// LastError returns the text of the latest failure; empty without one.
func (d *Delivery) LastError() string {
	if len(d.Failures) == 0 {
		return ""
	}
	return d.Failures[len(d.Failures)-1].Error
}

// Fail notes a failure, forgetting the oldest one when there are too many.
func (d *Delivery) Fail(at time.Time, text string) {
	failures := append(slices.Clone(d.Failures), FailedAttempt{At: at, Error: clip(text)})
	d.Failures = failures[max(0, len(failures)-MaxFailures):]
}

// clip shortens a text to MaxFailureText bytes of valid UTF-8.
func clip(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), MaxFailureText)], "")
}

// deliveryUpgrades has no step yet: format 1 is
//
//	lane hash uint64, priority byte,
//	process deaths uint64, attempts uint64, lane string, topic string, enqueued time,
//	then for each header, by name: true, name string, value string; false,
//	then for each failure: true, time, text string; false, then the event
//
// The hash and the priority come first so that a scan finds them at fixed places.
var deliveryUpgrades upgrades

func (d *Delivery) encode() []byte {
	b := append(make([]byte, 0, 80+len(d.Lane)+len(d.Topic)+len(d.Event)), deliveryUpgrades.current())
	b = tuple.AppendUint64(b, LaneHash(d.Lane))
	b = append(b, min(d.Priority, MaxPriority))
	b = tuple.AppendUint64(b, uint64(d.ProcessDeaths))
	b = tuple.AppendUint64(b, uint64(d.Attempts))
	b = tuple.AppendString(b, d.Lane)
	b = tuple.AppendString(b, d.Topic)
	b = tuple.AppendTime(b, d.EnqueuedAt)
	names := make([]string, 0, len(d.Headers))
	for name := range d.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = tuple.AppendBool(b, true)
		b = tuple.AppendString(b, name)
		b = tuple.AppendString(b, d.Headers[name])
	}
	b = tuple.AppendBool(b, false)
	for _, f := range d.Failures {
		b = tuple.AppendBool(b, true)
		b = tuple.AppendTime(b, f.At)
		b = tuple.AppendString(b, f.Error)
	}
	b = tuple.AppendBool(b, false)
	return append(b, d.Event...)
}

// The part of a delivery's value at fixed places, after its format.
const (
	laneHashSize = 8
	deliveryHead = laneHashSize + 1
)

func unreadable(function string, id DeliveryID, err error) error {
	return fmt.Errorf("%w: %s of function %q: %w", ErrUnreadableDelivery, id, function, err)
}

// decodeDelivery decodes the value of a delivery of function at ref.
func decodeDelivery(function string, ref DeliveryRef, value []byte) (*Delivery, error) {
	body, err := deliveryUpgrades.body(value)
	if err != nil {
		return nil, unreadable(function, ref.ID, err)
	}
	if len(body) < deliveryHead {
		return nil, unreadable(function, ref.ID, errors.New("it is cut off"))
	}
	t := tuple.Decode(body[deliveryHead:])
	d := &Delivery{Function: function, ID: ref.ID, Priority: body[laneHashSize]}
	if ref.Due != 0 {
		d.NextAttempt = time.Unix(0, ref.Due).UTC()
	}
	d.ProcessDeaths, d.Attempts = int(t.Uint64()), int(t.Uint64())
	d.Lane, d.Topic, d.EnqueuedAt = t.String(), t.String(), t.Time()
	for t.Bool() {
		if d.Headers == nil {
			d.Headers = map[string]string{}
		}
		name := t.String()
		d.Headers[name] = t.String()
	}
	for t.Bool() {
		d.Failures = append(d.Failures, FailedAttempt{At: t.Time(), Error: t.String()})
	}
	if err := t.Err(); err != nil {
		return nil, unreadable(function, ref.ID, err)
	}
	if d.ProcessDeaths < 0 || d.Attempts < 0 || d.Priority > MaxPriority {
		return nil, unreadable(function, ref.ID, errors.New("a number out of bounds"))
	}
	d.Event = t.Rest()
	return d, nil
}

func functionKey(space byte, function string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), space), function)
}

func deliveryKey(function string, at DeliveryRef) []byte {
	var key []byte
	if at.Due == 0 {
		key = functionKey(spaceDelivery, function)
	} else {
		key = tuple.AppendInt64(functionKey(spaceRetry, function), at.Due)
	}
	return append(append(key, at.Rank), at.ID[:]...)
}

func depthKey(function string) []byte { return functionKey(spaceDepth, function) }

// GetDelivery returns the delivery at ref, or nil. That it is so is validated at
// commit: whoever reads a delivery and deletes it in one unit is the only one.
func GetDelivery(u Unit, function string, at DeliveryRef) (*Delivery, error) {
	value, err := u.Get(deliveryKey(function, at))
	if err != nil || value == nil {
		return nil, err
	}
	return decodeDelivery(function, at, value)
}

// PutDelivery writes a delivery that was not there to where its Ref says, at its
// place in its lane, and counts it.
func PutDelivery(u Unit, d *Delivery) error {
	if err := ReplaceDelivery(u, d); err != nil {
		return err
	}
	if err := putLaneEntry(u, d.Function, LaneEntry{Ref: d.Ref()}); err != nil {
		return err
	}
	if err := touchLane(u, d.Function, LaneHash(d.Lane)); err != nil {
		return err
	}
	return u.Add(depthKey(d.Function), 1)
}

// ReplaceDelivery writes a delivery again that stays where it is.
func ReplaceDelivery(u Unit, d *Delivery) error {
	return u.Put(deliveryKey(d.Function, d.Ref()), d.encode())
}

// MoveDelivery writes a delivery that is stored at from to where its Ref says.
func MoveDelivery(u Unit, d *Delivery, from DeliveryRef) error {
	if err := u.Delete(deliveryKey(d.Function, from)); err != nil {
		return err
	}
	if err := putLaneEntry(u, d.Function, LaneEntry{Ref: d.Ref()}); err != nil {
		return err
	}
	return ReplaceDelivery(u, d)
}

// DeleteDelivery removes a delivery that GetDelivery answered in the same unit, and
// its place in its lane.
func DeleteDelivery(u Unit, d *Delivery) error {
	at := d.Ref()
	if err := u.Delete(deliveryKey(d.Function, at)); err != nil {
		return err
	}
	if err := deleteLaneEntry(u, d.Function, at); err != nil {
		return err
	}
	return u.Add(depthKey(d.Function), -1)
}
