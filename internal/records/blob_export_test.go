package records

import "github.com/perdure/perdure/internal/tuple"

// DecodeBlobValue decodes a blob's value and encodes what came out.
func DecodeBlobValue(value []byte) ([]byte, error) {
	b, err := decodeBlob(BlobKey{}, value)
	if err != nil || b == nil {
		return nil, err
	}
	return b.encode(), nil
}

// DecodeObjectValue decodes an object's value and encodes what came out.
func DecodeObjectValue(value []byte) ([]byte, error) {
	state, names, err := decodeObject("", value)
	if err != nil || state == ObjectUnknown {
		return nil, err
	}
	return encodeObject(state, names), nil
}

// BlobValue is a blob's value in format 1, element by element.
func BlobValue(b *Blob) []byte {
	v := tuple.AppendString([]byte{1}, b.Object)
	v = tuple.AppendString(v, b.ETag)
	v = tuple.AppendUint64(v, uint64(b.Size))
	v = tuple.AppendString(v, b.ContentType)
	v = tuple.AppendTime(v, b.Created)
	for _, key := range []string{"a", "b"} {
		v = tuple.AppendString(tuple.AppendBool(v, true), key)
		v = tuple.AppendString(v, b.Metadata[key])
	}
	return tuple.AppendBool(v, false)
}
