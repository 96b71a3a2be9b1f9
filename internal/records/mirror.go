package records

import (
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Mirror is how far a source outside the store has been read. It is written in the unit
// that stores what was read, so each message is stored once.
type Mirror struct {
	// Made tells the source from an earlier one of the same name, whose sequence
	// numbers mean something else: when it was made.
	Made time.Time
	// Sequence is the number of the last message that was read; 0 before the first.
	Sequence uint64
}

// mirrorUpgrades has no step yet: format 1 is made time, sequence uint64.
var mirrorUpgrades upgrades

func mirrorKey(space byte, source string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), space), source)
}

// GetMirror returns how far a source has been read; the zero Mirror when it never was.
// That it is so is validated at commit: of two that store the same messages, one does.
func GetMirror(u Unit, source string) (Mirror, error) {
	value, err := u.Get(mirrorKey(spaceMirror, source))
	if err != nil || value == nil {
		return Mirror{}, err
	}
	body, err := mirrorUpgrades.body(value)
	if err != nil {
		return Mirror{}, fmt.Errorf("mirror of %q: %w", source, err)
	}
	d := tuple.Decode(body)
	m := Mirror{Made: d.Time(), Sequence: d.Uint64()}
	if err := d.End(); err != nil {
		return Mirror{}, fmt.Errorf("mirror of %q: %w", source, err)
	}
	return m, nil
}

// PutMirror writes how far a source has been read.
func PutMirror(u Unit, source string, m Mirror) error {
	b := tuple.AppendTime([]byte{mirrorUpgrades.current()}, m.Made)
	return u.Put(mirrorKey(spaceMirror, source), tuple.AppendUint64(b, m.Sequence))
}

// Advance reports whether a position of an origin is beyond all that a source has shown
// of it, and notes it then. An origin sends in order, so what is not beyond has been seen.
func Advance(u Unit, source, origin string, position uint64) (bool, error) {
	key := tuple.AppendString(mirrorKey(spaceMirrorOrigin, source), origin)
	value, err := u.Get(key)
	if err != nil {
		return false, err
	}
	last, err := store.DecodeCounter(value)
	if err != nil {
		return false, fmt.Errorf("mirror of %q: origin %q: %w", source, origin, err)
	}
	if position <= uint64(last) {
		return false, nil
	}
	return true, u.Put(key, store.EncodeCounter(int64(position)))
}

func takenKey(source string, sequence uint64) []byte {
	return tuple.AppendUint64(mirrorKey(spaceMirrorTaken, source), sequence)
}

// Take reports whether a message of a source is taken for the first time, and notes it.
func Take(u Unit, source string, sequence uint64) (bool, error) {
	key := takenKey(source, sequence)
	value, err := u.Get(key)
	if err != nil || value != nil {
		return false, err
	}
	return true, u.Put(key, []byte{})
}

// ForgetTaken removes the notes of up to limit messages, those with the lowest sequence
// numbers up to last, and returns how many it removed: they cannot come again.
func ForgetTaken(u Unit, source string, last uint64, limit int) (n int, err error) {
	var keys [][]byte
	r := store.Range{Start: takenKey(source, 0), End: tuple.After(takenKey(source, last))}
	err = u.Scan(r, func(it store.Item) bool {
		keys = append(keys, append([]byte(nil), it.Key...))
		return len(keys) < limit
	})
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := u.Delete(key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}
