package records

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Scanner is a Unit or a store.Reader.
type Scanner interface {
	Scan(r store.Range, visit func(store.Item) bool) error
}

// ScanDeliveries visits where the deliveries of a function that are to be handled
// now are stored, by rank and then oldest first, beginning at from, until visit returns false.
func ScanDeliveries(s Scanner, function string, from DeliveryRef, visit func(DeliveryRef) bool) error {
	from.Due = 0
	return scanRefs(s, functionKey(spaceDelivery, function), deliveryKey(function, from), func(tail []byte) (DeliveryRef, bool) {
		return decodeRef(0, tail)
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
		if t.Err() != nil {
			return DeliveryRef{}, false
		}
		return decodeRef(due, t.Rest())
	}, visit)
}

// decodeRef reads the end of a delivery's key.
func decodeRef(due int64, tail []byte) (DeliveryRef, bool) {
	if len(tail) != 1+len(DeliveryID{}) || tail[0] > MaxPriority {
		return DeliveryRef{}, false
	}
	return DeliveryRef{Due: due, Rank: tail[0], ID: DeliveryID(tail[1:])}, true
}

func scanRefs(s Scanner, prefix, start []byte, decode func(tail []byte) (DeliveryRef, bool), visit func(DeliveryRef) bool) error {
	malformed := false
	err := s.Scan(store.Range{Start: start, End: tuple.After(prefix)}, func(it store.Item) bool {
		ref, ok := decode(it.Key[len(prefix):])
		malformed = !ok
		if len(it.Value) > laneHashSize {
			ref.Lane = binary.BigEndian.Uint64(it.Value[1:]) // after the format
		}
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

// Depth returns how many deliveries of a function are stored: those to be handled now,
// those that wait, and those behind a held lane; no dead letters.
func Depth(s Scanner, function string) (int64, error) {
	return counter(s, depthKey(function))
}

// counter reads the counter at key; 0 if it is absent.
func counter(s Scanner, key []byte) (n int64, err error) {
	var failed error
	err = s.Scan(store.Range{Start: key, End: append(slices.Clone(key), 0)}, func(it store.Item) bool {
		n, failed = store.DecodeCounter(it.Value)
		return false
	})
	return n, errors.Join(err, failed)
}

// Oldest returns since when the oldest of a function's deliveries that may be handled
// at now has waited; the zero time when there is none. It does not see those whose
// next attempt came due behind another one that is due.
func Oldest(s Scanner, function string, now time.Time) (time.Time, error) {
	var oldest time.Time
	note := func(id DeliveryID) {
		if at := id.Time(); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	for rank := uint8(0); rank <= MaxPriority; {
		found := false
		err := ScanDeliveries(s, function, DeliveryRef{Rank: rank}, func(r DeliveryRef) bool {
			note(r.ID)
			rank, found = r.Rank+1, true
			return false
		})
		if err != nil {
			return time.Time{}, err
		}
		if !found {
			break
		}
	}
	err := ScanWaiting(s, function, DeliveryRef{}, func(r DeliveryRef) bool {
		if r.Due <= now.UnixNano() {
			note(r.ID)
		}
		return false
	})
	return oldest, err
}

// maxLateScan bounds how many of the deliveries that wait LastArrival looks at.
const maxLateScan = 100_000

// LastArrival returns the last id among the deliveries and dead letters of a function,
// those left out that are delayed: their ids are later than their arrival.
func LastArrival(s Scanner, function string) (last DeliveryID, err error) {
	note := func(id []byte) {
		if one := DeliveryID(id); one.Compare(last) > 0 {
			last = one
		}
	}
	prefixes := [][]byte{functionKey(spaceDeadLetter, function)}
	for rank := range byte(MaxPriority + 1) {
		prefixes = append(prefixes, append(functionKey(spaceDelivery, function), rank))
	}
	for _, prefix := range prefixes {
		err := s.Scan(store.Range{Start: prefix, End: tuple.After(prefix), Reverse: true}, func(it store.Item) bool {
			if id := it.Key[len(prefix):]; len(id) == len(last) {
				note(id)
			}
			return false
		})
		if err != nil {
			return last, err
		}
	}
	n := 0
	err = ScanWaiting(s, function, DeliveryRef{}, func(r DeliveryRef) bool {
		if n++; r.ID.Time().UnixNano() != r.Due {
			note(r.ID[:])
		}
		return n < maxLateScan
	})
	return last, err
}
