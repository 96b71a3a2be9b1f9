package records

import (
	"fmt"
	"slices"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// trim is what was removed of a partition.
type trim struct {
	first uint64 // the first position that was not removed
	bytes int64  // the size of all that was
}

// trimUpgrades has no step yet: format 1 is the first position and the bytes, each
// uint64.
var trimUpgrades upgrades

func (t trim) encode() []byte {
	b := tuple.AppendUint64([]byte{trimUpgrades.current()}, t.first)
	return tuple.AppendUint64(b, uint64(t.bytes))
}

func decodeTrim(value []byte) (trim, error) {
	if value == nil {
		return trim{first: 1}, nil
	}
	body, err := trimUpgrades.body(value)
	if err != nil {
		return trim{}, err
	}
	t := tuple.Decode(body)
	r := trim{first: t.Uint64(), bytes: int64(t.Uint64())}
	return r, t.End()
}

func getTrim(v Viewer, p Partition) (trim, error) {
	value, err := v.Peek(streamKey(spaceStreamTrim, p))
	if err != nil {
		return trim{}, err
	}
	t, err := decodeTrim(value)
	if err != nil {
		return trim{}, fmt.Errorf("what was removed of stream %q: %w", p.Stream, err)
	}
	return t, nil
}

// TrimStream adds to txn the removal of events of a partition from its first one on,
// as long as remove says so; at most limit of them. R is the present state, on which
// the transaction depends: that nobody else removed events, and that no group that
// reads the stream was set back, since r was taken. It returns how many will be
// removed.
//
// Remove gets each event with its size and the size of all that is left with it.
func TrimStream(txn *store.Txn, r store.Reader, p Partition, limit int, remove func(e *Event, left int64) bool) (int, error) {
	groups, err := StreamGroups(r, p.Stream)
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		key := groupKey(spaceGroup, g)
		_, version, err := r.Get(key)
		if err != nil {
			return 0, err
		}
		txn.Require(key, version)
	}
	key := streamKey(spaceStreamTrim, p)
	value, version, err := r.Get(key)
	if err != nil {
		return 0, err
	}
	txn.Require(key, version)
	removed, err := decodeTrim(value)
	if err != nil {
		return 0, fmt.Errorf("what was removed of stream %q: %w", p.Stream, err)
	}
	state, err := GetStreamState(View{r}, p)
	if err != nil {
		return 0, err
	}
	count, next, left := 0, removed.first, state.Bytes
	err = ScanEvents(r, p, removed.first, func(e *Event) bool {
		if count == limit || !remove(e, left) {
			return false
		}
		count++
		next = e.Position + 1
		left -= int64(e.size)
		return true
	})
	if err != nil || count == 0 {
		return 0, err
	}
	log := streamKey(spaceStream, p)
	txn.DeleteRange(store.PositionKey(log, removed.first), store.PositionKey(log, next))
	txn.Put(key, trim{first: next, bytes: removed.bytes + state.Bytes - left}.encode())
	return count, nil
}

// DropEvents removes the events of a partition before a position, in a unit, one by one: for a stream that is read by
// its owner alone, who takes what is read away in the unit that works with it. It does not decode them.
func DropEvents(u Unit, p Partition, before uint64) error {
	key := streamKey(spaceStreamTrim, p)
	value, err := u.Get(key) // that nobody else removes events meanwhile
	if err != nil {
		return err
	}
	removed, err := decodeTrim(value)
	if err != nil {
		return fmt.Errorf("what was removed of stream %q: %w", p.Stream, err)
	}
	if before <= removed.first {
		return nil
	}
	log := streamKey(spaceStream, p)
	var keys [][]byte
	err = u.Scan(store.Range{Start: store.PositionKey(log, removed.first), End: store.PositionKey(log, before)}, func(it store.Item) bool {
		keys = append(keys, slices.Clone(it.Key))
		removed.bytes += int64(len(it.Value))
		return true
	})
	for i := 0; err == nil && i < len(keys); i++ {
		err = u.Delete(keys[i])
	}
	if err != nil {
		return err
	}
	removed.first = before
	return u.Put(key, removed.encode())
}
