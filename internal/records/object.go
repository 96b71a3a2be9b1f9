package records

import (
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// ObjectState says what the store knows of an object.
type ObjectState uint8

// The states of an object. A record outlives the name it stood for until the
// collector has removed the bytes, so that an unknown object is one that no
// commit has ever named. The numbers are stored.
const (
	ObjectUnknown ObjectState = 0 // no commit has named it
	ObjectMapped  ObjectState = 1 // a blob's name stands for it
	ObjectGarbage ObjectState = 2 // it had a name
)

// objectUpgrades has no step yet: format 1 is state uint64, container string,
// name string; the latter two are empty for garbage.
var objectUpgrades upgrades

func objectKey(object string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 40), spaceObject), object)
}

func objectMapped(k BlobKey) []byte { return encodeObject(ObjectMapped, k) }

func encodeObject(state ObjectState, k BlobKey) []byte {
	v := tuple.AppendUint64([]byte{objectUpgrades.current()}, uint64(state))
	return tuple.AppendString(tuple.AppendString(v, k.Container), k.Name)
}

func decodeObject(object string, value []byte) (ObjectState, BlobKey, error) {
	if value == nil {
		return ObjectUnknown, BlobKey{}, nil
	}
	body, err := objectUpgrades.body(value)
	if err != nil {
		return 0, BlobKey{}, fmt.Errorf("object %q: %w", object, err)
	}
	d := tuple.Decode(body)
	state, k := d.Uint64(), BlobKey{d.String(), d.String()}
	if err := d.End(); err != nil {
		return 0, BlobKey{}, fmt.Errorf("object %q: %w", object, err)
	}
	if state != uint64(ObjectMapped) && state != uint64(ObjectGarbage) {
		return 0, BlobKey{}, fmt.Errorf("object %q: unknown state %d", object, state)
	}
	return ObjectState(state), k, nil
}

// ReadObject returns the state of an object and, if it is mapped, the blob that
// is named.
func ReadObject(r store.Reader, object string) (ObjectState, BlobKey, error) {
	value, _, err := r.Get(objectKey(object))
	if err != nil {
		return 0, BlobKey{}, err
	}
	return decodeObject(object, value)
}

// BlobGarbage is an object that lost its name.
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

// discard makes the object of old, unless that is nil, garbage.
func discard(u Unit, old *Blob, now time.Time) error {
	if old == nil {
		return nil
	}
	if err := u.Put(objectKey(old.Object), encodeObject(ObjectGarbage, BlobKey{})); err != nil {
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
