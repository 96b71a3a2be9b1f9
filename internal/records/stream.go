package records

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// ErrUnreadableEvent: what is stored as an event of a stream cannot be decoded, be
// it damaged or newer than this program.
var ErrUnreadableEvent = errors.New("records: unreadable event of a stream")

// The spaces that a reader of streams watches.
const (
	// StreamSpace is written into by every append to a stream.
	StreamSpace = spaceStream
	// LaneSpace is written into by whatever adds to a lane or removes from it.
	LaneSpace = spaceLane
)

// Partition names a partition of a stream: a log of events of its own.
type Partition struct {
	Stream string
	Number int
}

// Event is an event of a stream.
type Event struct {
	// Partition is the number of the partition it is in.
	Partition int
	// Position is its place there: 1, 2, 3 and so on. The store gives it when
	// the event commits.
	Position uint64
	// Key orders events and chooses their partition; it may be empty.
	Key string
	// Time is when it was appended.
	Time time.Time
	// Headers is what travels with the event, such as a trace.
	Headers map[string]string
	// Data is the encoded event. It must not be changed.
	Data []byte

	size int // of what is stored
}

// PartitionOf returns the partition of a key among n. It depends on nothing else,
// so events of a key stay together and in order while n stays.
func PartitionOf(key string, n int) int {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	// The low bits of FNV know little of the last bytes: mix the high ones in.
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return int(h % uint64(n))
}

// eventUpgrades has no step yet: format 1 is
//
//	time int64 in Unix nanoseconds, key string, then for each header, by name:
//	true, name string, value string; false, then the data
var eventUpgrades upgrades

func (e *Event) encode() []byte {
	b := append(make([]byte, 0, 16+len(e.Key)+len(e.Data)), eventUpgrades.current())
	b = tuple.AppendInt64(b, e.Time.UnixNano())
	b = tuple.AppendString(b, e.Key)
	if len(e.Headers) > 0 {
		names := make([]string, 0, len(e.Headers))
		for name := range e.Headers {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			b = tuple.AppendBool(b, true)
			b = tuple.AppendString(b, name)
			b = tuple.AppendString(b, e.Headers[name])
		}
	}
	b = tuple.AppendBool(b, false)
	return append(b, e.Data...)
}

// decodeEvent decodes the value of the event at a position. The event keeps value.
func decodeEvent(p Partition, position uint64, value []byte) (*Event, error) {
	fail := func(err error) (*Event, error) {
		return nil, fmt.Errorf("%w: stream %q: partition %d: position %d: %w", ErrUnreadableEvent, p.Stream, p.Number, position, err)
	}
	body, err := eventUpgrades.body(value)
	if err != nil {
		return fail(err)
	}
	t := tuple.Decode(body)
	e := &Event{Partition: p.Number, Position: position, Time: time.Unix(0, t.Int64()).UTC(), Key: t.String(), size: len(value)}
	for t.Bool() {
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
		name := t.String()
		e.Headers[name] = t.String()
	}
	if err := t.Err(); err != nil {
		return fail(err)
	}
	e.Data = t.Rest()
	return e, nil
}

// streamKey is the key of something that each partition has; of spaceStream, the
// log of its events.
func streamKey(space byte, p Partition) []byte {
	key := tuple.AppendString(append(make([]byte, 0, 48), space), p.Stream)
	return tuple.AppendUint64(key, uint64(p.Number))
}

// AppendEvents appends events to a stream, each to its partition. Those of one
// partition get consecutive positions in the order given, if nothing else is
// appended to it in the same unit in between.
func AppendEvents(u Unit, stream string, events ...*Event) error {
	var sizes [][2]int // partition, bytes
	for _, e := range events {
		log, value := streamKey(spaceStream, Partition{stream, e.Partition}), e.encode()
		if err := u.Append(log, value); err != nil {
			return err
		}
		i := slices.IndexFunc(sizes, func(s [2]int) bool { return s[0] == e.Partition })
		if i < 0 {
			i = len(sizes)
			sizes = append(sizes, [2]int{e.Partition, 0})
		}
		sizes[i][1] += len(value)
	}
	for _, s := range sizes {
		if err := u.Add(streamKey(spaceStreamSize, Partition{stream, s[0]}), int64(s[1])); err != nil {
			return err
		}
	}
	return nil
}

// Viewer reads without validation: a Unit, or a View of a snapshot.
type Viewer interface {
	Peek(key []byte) ([]byte, error)
	Scanner
}

// View reads a snapshot.
type View struct{ store.Reader }

// Peek implements Viewer.
func (v View) Peek(key []byte) ([]byte, error) {
	value, _, err := v.Get(key)
	return value, err
}

// ScanEvents visits the events of a partition from a position on, until visit
// returns false. An event that cannot be read ends it with ErrUnreadableEvent.
func ScanEvents(s Scanner, p Partition, from uint64, visit func(*Event) bool) error {
	log := streamKey(spaceStream, p)
	var failed error
	r := store.Range{Start: store.PositionKey(log, max(from, 1)), End: tuple.After(log)}
	err := s.Scan(r, func(it store.Item) bool {
		position, ok := positionIn(log, it.Key)
		if !ok {
			failed = fmt.Errorf("records: malformed key of an event of stream %q", p.Stream)
			return false
		}
		var e *Event
		if e, failed = decodeEvent(p, position, slices.Clone(it.Value)); failed != nil {
			return false
		}
		return visit(e)
	})
	if err != nil {
		return err
	}
	return failed
}

func positionIn(log, key []byte) (uint64, bool) {
	if len(key) != len(log)+store.PositionSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[len(log):]), true
}

// StreamState is how far a partition has come.
type StreamState struct {
	// First is the first position that was not removed; 1 if none was.
	First uint64
	// Last is the position of the latest event; 0 before the first one.
	Last uint64
	// Bytes is the size of what is there.
	Bytes int64
}

// GetStreamState returns how far a partition has come.
func GetStreamState(v Viewer, p Partition) (StreamState, error) {
	last, err := StreamTail(v, p)
	if err != nil {
		return StreamState{}, err
	}
	trim, err := getTrim(v, p)
	if err != nil {
		return StreamState{}, err
	}
	size, err := peekCounter(v, streamKey(spaceStreamSize, p))
	if err != nil {
		return StreamState{}, fmt.Errorf("size of stream %q: %w", p.Stream, err)
	}
	return StreamState{First: trim.first, Last: last, Bytes: size - trim.bytes}, nil
}

// StreamTail returns the position of the latest event of a partition; 0 before the
// first one.
func StreamTail(v Viewer, p Partition) (uint64, error) {
	n, err := peekCounter(v, streamKey(spaceStream, p))
	if err != nil {
		return 0, fmt.Errorf("log of stream %q: %w", p.Stream, err)
	}
	return uint64(n), nil
}

func peekCounter(v Viewer, key []byte) (int64, error) {
	value, err := v.Peek(key)
	if err != nil {
		return 0, err
	}
	return store.DecodeCounter(value)
}

// StreamPartitions returns the numbers of the partitions that a stream has ever
// had events in, ascending.
func StreamPartitions(s Scanner, stream string) ([]int, error) {
	prefix := tuple.AppendString([]byte{spaceStream}, stream)
	var numbers []int
	for r := (store.Range{Start: prefix, End: tuple.After(prefix)}); ; {
		var (
			number int
			found  bool
			failed error
		)
		err := s.Scan(r, func(it store.Item) bool {
			t := tuple.Decode(it.Key[len(prefix):])
			number, failed, found = int(t.Uint64()), t.Err(), true
			return false
		})
		if err = errors.Join(err, failed); err != nil {
			return nil, fmt.Errorf("partitions of stream %q: %w", stream, err)
		}
		if !found {
			return numbers, nil
		}
		numbers = append(numbers, number)
		r.Start = tuple.After(streamKey(spaceStream, Partition{stream, number})) // skip its events
	}
}

// PositionAt returns the first position of a partition whose event was appended at
// a time or later; one after the last if none was. It takes for granted that times
// grow with positions, and so is out by as much as they do not.
func PositionAt(v Viewer, p Partition, at time.Time) (uint64, error) {
	state, err := GetStreamState(v, p)
	if err != nil {
		return 0, err
	}
	low, high := state.First, state.Last+1
	for low < high {
		middle := low + (high-low)/2
		var found *Event
		if err := ScanEvents(v, p, middle, func(e *Event) bool { found = e; return false }); err != nil {
			return 0, err
		}
		switch {
		case found == nil: // removed since
			return high, nil
		case found.Time.Before(at):
			low = found.Position + 1
		default:
			high = middle
		}
	}
	return low, nil
}
