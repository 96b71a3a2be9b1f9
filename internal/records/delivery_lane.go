package records

import (
	"errors"
	"hash/fnv"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// LaneHash returns the number under which a lane is kept, which is never 0; 0 for no
// lane. Two lanes with one number are one lane: they wait for each other.
func LaneHash(lane string) uint64 {
	if lane == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(lane)) // never fails
	return max(h.Sum64(), 1)
}

// LaneEntry is one place of a lane.
type LaneEntry struct {
	// Ref is where the delivery is stored that has the place.
	Ref DeliveryRef
	// Dead says that it is a dead letter, which holds the lane.
	Dead bool
}

// laneEntryUpgrades has no step yet: format 1 is due int64, rank byte, dead bool.
var laneEntryUpgrades upgrades

const laneEntrySize = 1 + 8 + 1 + 1

func laneKey(function string, lane uint64) []byte {
	return tuple.AppendUint64(functionKey(spaceLane, function), lane)
}

func laneEntryKey(function string, at DeliveryRef) []byte {
	return append(laneKey(function, at.Lane), at.ID[:]...)
}

func putLaneEntry(u Unit, function string, e LaneEntry) error {
	if e.Ref.Lane == 0 {
		return nil
	}
	b := append(make([]byte, 0, laneEntrySize), laneEntryUpgrades.current())
	b = append(tuple.AppendInt64(b, e.Ref.Due), e.Ref.Rank)
	return u.Put(laneEntryKey(function, e.Ref), tuple.AppendBool(b, e.Dead))
}

func deleteLaneEntry(u Unit, function string, at DeliveryRef) error {
	if at.Lane == 0 {
		return nil
	}
	return u.Delete(laneEntryKey(function, at))
}

func decodeLaneEntry(lane uint64, id, value []byte) (LaneEntry, error) {
	body, err := laneEntryUpgrades.body(value)
	if err != nil {
		return LaneEntry{}, err
	}
	if len(id) != len(DeliveryID{}) || len(body) != laneEntrySize-1 {
		return LaneEntry{}, errors.New("records: malformed entry of a lane")
	}
	t := tuple.Decode(body)
	e := LaneEntry{Ref: DeliveryRef{Due: t.Int64(), ID: DeliveryID(id), Lane: lane}}
	e.Ref.Rank, e.Dead = t.Rest()[0], t.Rest()[1] != 0
	return e, nil
}

// ScanLane visits the places of a lane after the one of an id (the zero id: all), first
// to be handled first, until visit returns false.
func ScanLane(s Scanner, function string, lane uint64, after DeliveryID, visit func(LaneEntry) bool) error {
	prefix := laneKey(function, lane)
	start := append(append(make([]byte, 0, len(prefix)+len(after)+1), prefix...), after[:]...)
	if after != (DeliveryID{}) {
		start = append(start, 0)
	}
	var failed error
	err := s.Scan(store.Range{Start: start, End: tuple.After(prefix)}, func(it store.Item) bool {
		var e LaneEntry
		if e, failed = decodeLaneEntry(lane, it.Key[len(prefix):], it.Value); failed != nil {
			return false
		}
		return visit(e)
	})
	return errors.Join(err, failed)
}

// LaneEmpty reports whether a lane of a function has neither deliveries nor a dead
// letter that holds it. It is validated at commit that nothing was added meanwhile;
// additions to a few other lanes count as well.
func LaneEmpty(u Unit, function, lane string) (bool, error) {
	hash := LaneHash(lane)
	if err := u.Validate(laneGuardKey(function, hash)); err != nil {
		return false, err
	}
	empty := true
	err := ScanLane(u, function, hash, DeliveryID{}, func(LaneEntry) bool {
		empty = false
		return false
	})
	return empty, err
}

// laneGuards is how many guard keys a function's lanes share.
const laneGuards = 256

// laneGuardKey is written by whoever adds to a lane, for LaneEmpty: that a range is
// empty is no condition of the store.
func laneGuardKey(function string, lane uint64) []byte {
	return append(functionKey(spaceLaneGuard, function), byte(lane%laneGuards))
}

func touchLane(u Unit, function string, lane uint64) error {
	if lane == 0 {
		return nil
	}
	return u.Put(laneGuardKey(function, lane), nil)
}

func heldKey(function string) []byte { return functionKey(spaceHeldLanes, function) }

// HeldLanes returns how many lanes of a function a dead letter holds.
func HeldLanes(s Scanner, function string) (int64, error) {
	return counter(s, heldKey(function))
}

// holdLane leaves a dead letter its place in its lane.
func holdLane(u Unit, function string, at DeliveryRef) error {
	at.Due = 0
	if err := putLaneEntry(u, function, LaneEntry{Ref: at, Dead: true}); err != nil {
		return err
	}
	return u.Add(heldKey(function), 1)
}

// freeLane removes a dead letter's place from its lane, if it has one.
func freeLane(u Unit, function string, at DeliveryRef) error {
	value, err := u.Get(laneEntryKey(function, at))
	if err != nil || value == nil {
		return err
	}
	if err := deleteLaneEntry(u, function, at); err != nil {
		return err
	}
	return u.Add(heldKey(function), -1)
}
