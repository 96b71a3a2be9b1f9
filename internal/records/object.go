package records

import (
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// ObjectState says what the store knows of an object.
type ObjectState uint8

// The states of an object. A record outlives the last name of an object until the
// collector has removed the bytes, so that an unknown object is one that no
// commit has ever named. The numbers are stored.
const (
	ObjectUnknown ObjectState = 0 // no commit has named it
	ObjectMapped  ObjectState = 1 // names of blobs stand for it
	ObjectGarbage ObjectState = 2 // it had names
)

// objectUpgrades has no step yet: format 1 is state uint64, names uint64; the
// latter is how many blobs share the object, zero for garbage.
var objectUpgrades upgrades

func objectKey(object string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 40), spaceObject), object)
}

func encodeObject(state ObjectState, names uint64) []byte {
	v := tuple.AppendUint64([]byte{objectUpgrades.current()}, uint64(state))
	return tuple.AppendUint64(v, names)
}

func decodeObject(object string, value []byte) (state ObjectState, names uint64, err error) {
	if value == nil {
		return ObjectUnknown, 0, nil
	}
	body, err := objectUpgrades.body(value)
	if err != nil {
		return 0, 0, fmt.Errorf("object %q: %w", object, err)
	}
	d := tuple.Decode(body)
	state = ObjectState(d.Uint64())
	names = d.Uint64()
	if err := d.End(); err != nil {
		return 0, 0, fmt.Errorf("object %q: %w", object, err)
	}
	if state == ObjectMapped && names > 0 || state == ObjectGarbage && names == 0 {
		return state, names, nil
	}
	return 0, 0, fmt.Errorf("object %q: state %d with %d names", object, state, names)
}

// ReadObject returns the state of an object and how many names it has.
func ReadObject(r store.Reader, object string) (state ObjectState, names uint64, err error) {
	value, _, err := r.Get(objectKey(object))
	if err != nil {
		return 0, 0, err
	}
	return decodeObject(object, value)
}

// getObject is ReadObject as the unit sees it, validated at commit.
func getObject(u Unit, object string) (state ObjectState, names uint64, err error) {
	value, err := u.Get(objectKey(object))
	if err != nil {
		return 0, 0, err
	}
	return decodeObject(object, value)
}

// BlobGarbage is an object that lost its last name.
type BlobGarbage struct {
	// Due is when it lost it.
	Due    time.Time
	Object string
}

// garbageFormat is the whole value of a garbage record: its key says the rest.
var garbageFormat = []byte{1}

func garbageKey(g BlobGarbage) []byte {
	return tuple.AppendString(tuple.AppendTime([]byte{spaceBlobGarbage}, g.Due), g.Object)
}

// discard takes a name from the object of old, unless that is nil. The last one
// makes it garbage.
func discard(u Unit, old *Blob, now time.Time) error {
	if old == nil {
		return nil
	}
	_, names, err := getObject(u, old.Object)
	if err != nil {
		return err
	}
	if names > 1 {
		return u.Put(objectKey(old.Object), encodeObject(ObjectMapped, names-1))
	}
	if err := u.Put(objectKey(old.Object), encodeObject(ObjectGarbage, 0)); err != nil {
		return err
	}
	return u.Put(garbageKey(BlobGarbage{now, old.Object}), garbageFormat)
}

// ScanBlobGarbage visits the garbage that is due at until or earlier, oldest
// first, until visit returns false. It begins after the given one, if any.
func ScanBlobGarbage(r store.Reader, until time.Time, after *BlobGarbage, visit func(BlobGarbage) bool) error {
	bounds := store.Range{
		Start: []byte{spaceBlobGarbage},
		End:   tuple.After(tuple.AppendTime([]byte{spaceBlobGarbage}, until)),
	}
	if after != nil {
		bounds.Start = append(garbageKey(*after), 0)
	}
	var failed error
	err := r.Scan(bounds, func(it store.Item) bool {
		d := tuple.Decode(it.Key[1:])
		g := BlobGarbage{Due: d.Time(), Object: d.String()}
		if failed = d.End(); failed != nil {
			failed = fmt.Errorf("key of blob garbage: %w", failed)
			return false
		}
		return visit(g)
	})
	if err != nil {
		return err
	}
	return failed
}

// DropBlobGarbage removes all that is known of an object. Its bytes must be gone.
func DropBlobGarbage(w Writer, g BlobGarbage) {
	w.Delete(garbageKey(g))
	w.Delete(objectKey(g.Object))
}

// WatchBlobGarbage is store.Store's Watch for new garbage.
func WatchBlobGarbage(s store.Store) (changes <-chan struct{}, stop func()) {
	return s.Watch(spaceBlobGarbage)
}
