package records

import (
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Group is a consumer group: a function that reads a stream, and how far it has
// come in each partition.
type Group struct {
	Stream, Function string
}

// groupUpgrades has no step yet: format 1 is the time at which the group was
// registered or told to read from elsewhere.
var groupUpgrades upgrades

func groupKey(space byte, g Group) []byte {
	return tuple.AppendString(tuple.AppendString(append(make([]byte, 0, 64), space), g.Stream), g.Function)
}

func cursorKey(g Group, partition int) []byte {
	return tuple.AppendUint64(groupKey(spaceCursor, g), uint64(partition))
}

// GetGroup reports whether a group is registered. That it is so is validated at
// commit.
func GetGroup(u Unit, g Group) (bool, error) {
	value, err := u.Get(groupKey(spaceGroup, g))
	if err != nil || value == nil {
		return false, err
	}
	_, err = groupUpgrades.body(value)
	return true, err
}

// PutGroup registers a group, or notes that its cursors were set back: what removes
// old events depends on it.
func PutGroup(u Unit, g Group, now time.Time) error {
	return u.Put(groupKey(spaceGroup, g), tuple.AppendTime([]byte{groupUpgrades.current()}, now))
}

// DeleteGroup removes a group with its cursors.
func DeleteGroup(u Unit, g Group) error {
	var keys [][]byte
	for _, space := range []byte{spaceCursor, spaceSuspect} {
		prefix := groupKey(space, g)
		err := u.Scan(store.Range{Start: prefix, End: tuple.After(prefix)}, func(it store.Item) bool {
			keys = append(keys, append([]byte(nil), it.Key...))
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, key := range append(keys, groupKey(spaceGroup, g)) {
		if err := u.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// StreamGroups returns the groups of a stream by name; of all streams when it is
// empty.
func StreamGroups(s Scanner, stream string) ([]Group, error) {
	prefix := []byte{spaceGroup}
	if stream != "" {
		prefix = tuple.AppendString(prefix, stream)
	}
	var (
		groups []Group
		failed error
	)
	err := s.Scan(store.Range{Start: prefix, End: tuple.After(prefix)}, func(it store.Item) bool {
		t := tuple.Decode(it.Key[1:])
		groups = append(groups, Group{Stream: t.String(), Function: t.String()})
		failed = t.End()
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("consumer groups: %w", err)
	}
	return groups, nil
}

// cursorUpgrades has no step yet: format 1 is the position, uint64.
var cursorUpgrades upgrades

// GetCursor returns the position of the last event of a partition that a group has
// handled; ok is false when there is no cursor. That it is so is validated at
// commit: whoever reads a cursor and moves it in one unit is the only one.
func GetCursor(u Unit, g Group, partition int) (position uint64, ok bool, err error) {
	value, err := u.Get(cursorKey(g, partition))
	if err != nil || value == nil {
		return 0, false, err
	}
	position, err = decodeCursor(value)
	return position, true, err
}

// PeekCursor is GetCursor without validation; 0 when there is none.
func PeekCursor(v Viewer, g Group, partition int) (uint64, error) {
	value, err := v.Peek(cursorKey(g, partition))
	if err != nil || value == nil {
		return 0, err
	}
	return decodeCursor(value)
}

func decodeCursor(value []byte) (uint64, error) {
	body, err := cursorUpgrades.body(value)
	if err != nil {
		return 0, fmt.Errorf("cursor: %w", err)
	}
	t := tuple.Decode(body)
	position := t.Uint64()
	if err := t.End(); err != nil {
		return 0, fmt.Errorf("cursor: %w", err)
	}
	return position, nil
}

// PutCursor moves the cursor of a group in a partition.
func PutCursor(u Unit, g Group, partition int, position uint64) error {
	return u.Put(cursorKey(g, partition), tuple.AppendUint64([]byte{cursorUpgrades.current()}, position))
}

// AddSuspect notes that the process died while a group handled the event at a
// position.
func AddSuspect(u Unit, g Group, partition int, position uint64) error {
	return u.Add(suspectKey(g, partition, position), 1)
}

// DeleteSuspect removes what AddSuspect noted.
func DeleteSuspect(u Unit, g Group, partition int, position uint64) error {
	return u.Delete(suspectKey(g, partition, position))
}

func suspectKey(g Group, partition int, position uint64) []byte {
	return tuple.AppendUint64(tuple.AppendUint64(groupKey(spaceSuspect, g), uint64(partition)), position)
}

// Suspects returns, by position, how often the process died while a group handled
// an event of a partition.
func Suspects(s Scanner, g Group, partition int) (map[uint64]int, error) {
	prefix := tuple.AppendUint64(groupKey(spaceSuspect, g), uint64(partition))
	deaths := map[uint64]int{}
	var failed error
	err := s.Scan(store.Range{Start: prefix, End: tuple.After(prefix)}, func(it store.Item) bool {
		t := tuple.Decode(it.Key[len(prefix):])
		position := t.Uint64()
		n, err := store.DecodeCounter(it.Value)
		if failed = errors.Join(t.End(), err); failed != nil {
			return false
		}
		deaths[position] = int(n)
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("suspect events of function %q: %w", g.Function, err)
	}
	return deaths, nil
}

// GroupLag returns how many events of a partition a group has still to handle.
func GroupLag(v Viewer, g Group, partition int) (int64, error) {
	state, err := GetStreamState(v, Partition{g.Stream, partition})
	if err != nil {
		return 0, err
	}
	cursor, err := PeekCursor(v, g, partition)
	if err != nil {
		return 0, err
	}
	return max(0, int64(state.Last)-int64(max(cursor, state.First-1))), nil
}
