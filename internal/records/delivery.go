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

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

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
// nanoseconds, ascending within a process, then eight random ones that tell
// processes apart.
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

// Arrivals hands out the ids of deliveries. It is safe for concurrent use.
type Arrivals struct{ last atomic.Int64 }

// Next returns the id of a delivery that arrives now. It sorts after all that
// this Arrivals has handed out, also when the clock went back.
func (a *Arrivals) Next(now time.Time) DeliveryID {
	for {
		last := a.last.Load()
		next := max(now.UnixNano(), last+1)
		if a.last.CompareAndSwap(last, next) {
			var id DeliveryID
			binary.BigEndian.PutUint64(id[:8], uint64(next))
			binary.BigEndian.PutUint64(id[8:], rand.Uint64())
			return id
		}
	}
}

// DeliveryRef says where a delivery is stored: among those that are to be handled
// now, in the order of arrival, or among those that wait, in the order in which
// they are due.
type DeliveryRef struct {
	// Due, unless zero, is when the next attempt is due, in Unix nanoseconds.
	Due int64
	ID  DeliveryID
}

// Compare orders refs as they are stored.
func (r DeliveryRef) Compare(o DeliveryRef) int {
	return cmp.Or(cmp.Compare(r.Due, o.Due), r.ID.Compare(o.ID))
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
	if d.NextAttempt.IsZero() {
		return DeliveryRef{ID: d.ID}
	}
	return DeliveryRef{Due: d.NextAttempt.UnixNano(), ID: d.ID}
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
//	process deaths uint64, attempts uint64, topic string, enqueued time,
//	then for each header, by name: true, name string, value string; false,
//	then for each failure: true, time, text string; false, then the event
var deliveryUpgrades upgrades

func (d *Delivery) encode() []byte {
	b := append(make([]byte, 0, 64+len(d.Event)), deliveryUpgrades.current())
	b = tuple.AppendUint64(b, uint64(d.ProcessDeaths))
	b = tuple.AppendUint64(b, uint64(d.Attempts))
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

func unreadable(function string, id DeliveryID, err error) error {
	return fmt.Errorf("%w: %s of function %q: %w", ErrUnreadableDelivery, id, function, err)
}

// decodeDelivery decodes the value of a delivery of function at ref.
func decodeDelivery(function string, ref DeliveryRef, value []byte) (*Delivery, error) {
	body, err := deliveryUpgrades.body(value)
	if err != nil {
		return nil, unreadable(function, ref.ID, err)
	}
	t := tuple.Decode(body)
	d := &Delivery{Function: function, ID: ref.ID}
	if ref.Due != 0 {
		d.NextAttempt = time.Unix(0, ref.Due).UTC()
	}
	d.ProcessDeaths, d.Attempts = int(t.Uint64()), int(t.Uint64())
	d.Topic, d.EnqueuedAt = t.String(), t.Time()
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
	if d.ProcessDeaths < 0 || d.Attempts < 0 {
		return nil, unreadable(function, ref.ID, errors.New("negative count"))
	}
	d.Event = t.Rest()
	return d, nil
}

func functionKey(space byte, function string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), space), function)
}

func deliveryKey(function string, at DeliveryRef) []byte {
	if at.Due == 0 {
		return append(functionKey(spaceDelivery, function), at.ID[:]...)
	}
	return append(tuple.AppendInt64(functionKey(spaceRetry, function), at.Due), at.ID[:]...)
}

// GetDelivery returns the delivery at ref, or nil. That it is so is validated at
// commit: whoever reads a delivery and deletes it in one unit is the only one.
func GetDelivery(u Unit, function string, at DeliveryRef) (*Delivery, error) {
	value, err := u.Get(deliveryKey(function, at))
	if err != nil || value == nil {
		return nil, err
	}
	return decodeDelivery(function, at, value)
}

// PutDelivery writes a delivery to where its Ref says.
func PutDelivery(u Unit, d *Delivery) error {
	return u.Put(deliveryKey(d.Function, d.Ref()), d.encode())
}

// DeleteDelivery removes the delivery at ref.
func DeleteDelivery(u Unit, function string, at DeliveryRef) error {
	return u.Delete(deliveryKey(function, at))
}

// Scanner is a Unit or a store.Reader.
type Scanner interface {
	Scan(r store.Range, visit func(store.Item) bool) error
}

// ScanDeliveries visits where the deliveries of a function that are to be handled
// now are stored, oldest first, beginning at from, until visit returns false.
func ScanDeliveries(s Scanner, function string, from DeliveryRef, visit func(DeliveryRef) bool) error {
	from.Due = 0
	return scanRefs(s, functionKey(spaceDelivery, function), deliveryKey(function, from), func(tail []byte) (DeliveryRef, bool) {
		if len(tail) != len(DeliveryID{}) {
			return DeliveryRef{}, false
		}
		return DeliveryRef{ID: DeliveryID(tail)}, true
	}, visit)
}

// ScanWaiting visits where the deliveries of a function that wait for their next
// attempt are stored, first due first, beginning at from, until visit returns
// false.
func ScanWaiting(s Scanner, function string, from DeliveryRef, visit func(DeliveryRef) bool) error {
	from.Due = max(from.Due, 1)
	return scanRefs(s, functionKey(spaceRetry, function), deliveryKey(function, from), func(tail []byte) (DeliveryRef, bool) {
		t := tuple.Decode(tail)
		due := t.Int64()
		if t.Err() != nil || len(t.Rest()) != len(DeliveryID{}) {
			return DeliveryRef{}, false
		}
		return DeliveryRef{Due: due, ID: DeliveryID(t.Rest())}, true
	}, visit)
}

func scanRefs(s Scanner, prefix, start []byte, decode func(tail []byte) (DeliveryRef, bool), visit func(DeliveryRef) bool) error {
	malformed := false
	err := s.Scan(store.Range{Start: start, End: tuple.After(prefix)}, func(it store.Item) bool {
		ref, ok := decode(it.Key[len(prefix):])
		malformed = !ok
		return ok && visit(ref)
	})
	if malformed {
		return errors.New("records: malformed key of a delivery")
	}
	return err
}

// DeliveryFunctions returns the names of the functions that have deliveries, in
// order.
func DeliveryFunctions(s Scanner) ([]string, error) {
	var functions []string
	for _, space := range []byte{spaceDelivery, spaceRetry} {
		for r := (store.Range{Start: []byte{space}, End: []byte{space + 1}}); ; {
			var function string
			found := false
			err := s.Scan(r, func(it store.Item) bool {
				function, found = tuple.Decode(it.Key[1:]).String(), true
				return false
			})
			if err != nil {
				return nil, err
			}
			if !found {
				break
			}
			functions = append(functions, function)
			r.Start = tuple.After(functionKey(space, function)) // skip the rest of its deliveries
		}
	}
	slices.Sort(functions)
	return slices.Compact(functions), nil
}
