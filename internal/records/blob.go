package records

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// ErrObjectMapped: an object that was to get its first name has one.
var ErrObjectMapped = errors.New("records: object has a name already")

// BlobKey names a blob.
type BlobKey struct{ Container, Name string }

// Blob is what is stored of a blob beside its bytes.
type Blob struct {
	// Object is the key of the object that holds the bytes.
	Object string
	// ETag is another one after every change of the record.
	ETag string
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
//	object string, etag string, size uint64, content type string, created time,
//	then for each metadata entry, in the order of keys, true, key string, value
//	string, then false
var blobUpgrades upgrades

func containerKey(container string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), spaceBlob), container)
}

func blobKey(k BlobKey) []byte { return tuple.AppendString(containerKey(k.Container), k.Name) }

func (b *Blob) encode() []byte {
	v := append(make([]byte, 0, 128), blobUpgrades.current())
	v = tuple.AppendString(v, b.Object)
	v = tuple.AppendString(v, b.ETag)
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
	b := &Blob{Object: d.String(), ETag: d.String(), Size: int64(d.Uint64()), ContentType: d.String(), Created: d.Time()}
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

// PutBlob makes k name b's object, a new one, from the commit on; the object it
// named loses that name at now. It fails with ErrObjectMapped when b's object has
// a name.
func PutBlob(u Unit, k BlobKey, b *Blob, now time.Time) error {
	state, _, err := getObject(u, b.Object)
	if err != nil {
		return err
	}
	if state != ObjectUnknown {
		return ErrObjectMapped
	}
	return mapObject(u, k, b, 1, now)
}

// CopyBlob is PutBlob for an object that another blob, which the unit has read,
// names.
func CopyBlob(u Unit, k BlobKey, b *Blob, now time.Time) error {
	state, names, err := getObject(u, b.Object)
	if err != nil {
		return err
	}
	if state != ObjectMapped {
		return fmt.Errorf("object %q: cannot be shared: no name stands for it", b.Object)
	}
	return mapObject(u, k, b, names+1, now)
}

// mapObject makes k the last of the names of b's object.
func mapObject(u Unit, k BlobKey, b *Blob, names uint64, now time.Time) error {
	old, err := GetBlob(u, k)
	if err != nil {
		return err
	}
	// In this order, so that a unit that fails in between and is committed
	// nevertheless has no object that is both named and garbage.
	if err := u.Put(objectKey(b.Object), encodeObject(ObjectMapped, names)); err != nil {
		return err
	}
	if err := u.Put(blobKey(k), b.encode()); err != nil {
		return err
	}
	return discard(u, old, now)
}

// DescribeBlob changes what is stored of the blob at k, which the unit has read,
// beside its bytes: b has the same object.
func DescribeBlob(u Unit, k BlobKey, b *Blob) error { return u.Put(blobKey(k), b.encode()) }

// DeleteBlob removes the name k, which its object loses at now. It returns the
// blob that was there, or nil.
func DeleteBlob(u Unit, k BlobKey, now time.Time) (*Blob, error) {
	old, err := GetBlob(u, k)
	if err != nil || old == nil {
		return nil, err
	}
	if err := u.Delete(blobKey(k)); err != nil {
		return nil, err
	}
	return old, discard(u, old, now)
}

// BlobScan says which blobs of a container to visit.
type BlobScan struct {
	Container string
	// Prefix is what the names begin with.
	Prefix string
	// After, unless empty, is the name before the first. With Folders it may be
	// a folder's: then it stands for all that is in the folder.
	After string
	// Folders visits, in place of the blobs whose names go on with a "/" behind
	// Prefix, the part up to that once.
	Folders bool
}

// ScanBlobs visits blobs in the order of their names until visit returns false. A
// folder comes without a blob, and its name ends in "/". It is not validated.
func ScanBlobs(u Unit, s BlobScan, visit func(name string, b *Blob) bool) error {
	for {
		folder, err := scanBlobs(u, s, visit)
		if err != nil || folder == "" || !visit(folder, nil) {
			return err
		}
		s.After = folder
	}
}

// scanBlobs visits the blobs before the next folder, whose name it returns.
func scanBlobs(u Unit, s BlobScan, visit func(name string, b *Blob) bool) (folder string, err error) {
	base := containerKey(s.Container)
	prefix := tuple.AppendStringPrefix(base, s.Prefix)
	r := store.Range{Start: prefix, End: tuple.After(prefix)}
	if s.After != "" {
		r = seek(r, base, tuple.AppendString(nil, s.After))
	}
	if s.Folders && strings.HasSuffix(s.After, "/") {
		if end := tuple.After(tuple.AppendStringPrefix(base, s.After)); bytes.Compare(end, r.Start) > 0 {
			r.Start = end
		}
	}
	if bytes.Compare(r.Start, r.End) >= 0 {
		return "", nil
	}
	var failed error
	err = u.Scan(r, func(it store.Item) bool {
		d := tuple.Decode(it.Key[len(base):])
		name := d.String()
		if failed = d.End(); failed != nil {
			failed = fmt.Errorf("key of a blob: %w", failed)
			return false
		}
		if s.Folders {
			if i := strings.IndexByte(name[len(s.Prefix):], '/'); i >= 0 {
				folder = name[:len(s.Prefix)+i+1]
				return false
			}
		}
		var b *Blob
		if b, failed = decodeBlob(BlobKey{s.Container, name}, it.Value); failed != nil {
			return false
		}
		return visit(name, b)
	})
	return folder, cmp.Or(err, failed)
}
