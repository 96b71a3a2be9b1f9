package records

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// ErrObjectMapped: an object has a name already. An object has one at most.
var ErrObjectMapped = errors.New("records: object has a name already")

// BlobKey names a blob.
type BlobKey struct{ Container, Name string }

// Blob is what is stored of a blob beside its bytes.
type Blob struct {
	// Object is the key of the object that holds the bytes.
	Object string
	// Size is their number.
	Size int64
	// ContentType is a media type; empty if none was given.
	ContentType string
	// Created is when it was written.
	Created time.Time
	// Metadata is the application's.
	Metadata map[string]string
}

// blobUpgrades has no step yet: format 1 is
//
//	object string, size uint64, content type string, created time, then for each
//	metadata entry, in the order of keys, true, key string, value string, then
//	false
var blobUpgrades upgrades

func containerKey(container string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), spaceBlob), container)
}

func blobKey(k BlobKey) []byte { return tuple.AppendString(containerKey(k.Container), k.Name) }

func (b *Blob) encode() []byte {
	v := append(make([]byte, 0, 128), blobUpgrades.current())
	v = tuple.AppendString(v, b.Object)
	v = tuple.AppendUint64(v, uint64(b.Size))
	v = tuple.AppendString(v, b.ContentType)
	v = tuple.AppendTime(v, b.Created)
	for _, key := range slices.Sorted(maps.Keys(b.Metadata)) {
		v = tuple.AppendBool(v, true)
		v = tuple.AppendString(v, key)
		v = tuple.AppendString(v, b.Metadata[key])
	}
	return tuple.AppendBool(v, false)
}

// decodeBlob decodes the value of a blob; nil for none.
func decodeBlob(k BlobKey, value []byte) (*Blob, error) {
	if value == nil {
		return nil, nil
	}
	body, err := blobUpgrades.body(value)
	if err != nil {
		return nil, fmt.Errorf("blob %q in %q: %w", k.Name, k.Container, err)
	}
	d := tuple.Decode(body)
	b := &Blob{Object: d.String(), Size: int64(d.Uint64()), ContentType: d.String(), Created: d.Time()}
	for d.Bool() {
		if b.Metadata == nil {
			b.Metadata = map[string]string{}
		}
		key := d.String()
		b.Metadata[key] = d.String()
	}
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("blob %q in %q: %w", k.Name, k.Container, err)
	}
	return b, nil
}

// GetBlob returns the blob at k, or nil. That it is so is validated at commit.
func GetBlob(u Unit, k BlobKey) (*Blob, error) {
	value, err := u.Get(blobKey(k))
	if err != nil {
		return nil, err
	}
	return decodeBlob(k, value)
}

// ReadBlob returns the blob at k as r shows it, or nil.
func ReadBlob(r store.Reader, k BlobKey) (*Blob, error) {
	value, _, err := r.Get(blobKey(k))
	if err != nil {
		return nil, err
	}
	return decodeBlob(k, value)
}

// PutBlob makes k name b's object from the commit on; the object it named becomes
// garbage that is due at now. It fails with ErrObjectMapped when b's object has a
// name.
func PutBlob(u Unit, k BlobKey, b *Blob, now time.Time) error {
	old, err := GetBlob(u, k)
	if err != nil {
		return err
	}
	known, err := u.Get(objectKey(b.Object))
	if err != nil {
		return err
	}
	if known != nil {
		return ErrObjectMapped
	}
	// In this order, so that a unit that fails in between and is committed
	// nevertheless has no object that is both named and garbage.
	if err := u.Put(objectKey(b.Object), objectMapped(k)); err != nil {
		return err
	}
	if err := u.Put(blobKey(k), b.encode()); err != nil {
		return err
	}
	return discard(u, old, now)
}

// DeleteBlob removes the name k and makes its object garbage that is due at now.
// It reports whether there was a blob.
func DeleteBlob(u Unit, k BlobKey, now time.Time) (bool, error) {
	old, err := GetBlob(u, k)
	if err != nil || old == nil {
		return false, err
	}
	if err := u.Delete(blobKey(k)); err != nil {
		return false, err
	}
	return true, discard(u, old, now)
}

// BlobScan says which blobs of a container to visit.
type BlobScan struct {
	Container string
	// Prefix is what the names begin with.
	Prefix string
	// After, unless empty, is the name before the first.
	After string
}

// ScanBlobs visits blobs in the order of their names until visit returns false.
// It is not validated.
func ScanBlobs(u Unit, s BlobScan, visit func(name string, b *Blob) bool) error {
	base := containerKey(s.Container)
	prefix := tuple.AppendStringPrefix(base, s.Prefix)
	r := store.Range{Start: prefix, End: tuple.After(prefix)}
	if s.After != "" {
		r = seek(r, base, tuple.AppendString(nil, s.After))
	}
	var failed error
	err := u.Scan(r, func(it store.Item) bool {
		d := tuple.Decode(it.Key[len(base):])
		name := d.String()
		if failed = d.End(); failed != nil {
			failed = fmt.Errorf("key of a blob: %w", failed)
			return false
		}
		var b *Blob
		if b, failed = decodeBlob(BlobKey{s.Container, name}, it.Value); failed != nil {
			return false
		}
		return visit(name, b)
	})
	if err != nil {
		return err
	}
	return failed
}
