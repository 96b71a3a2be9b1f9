package window

import (
	"cmp"
	"encoding/binary"
	"math"
	"reflect"
)

// appendScalar appends a value so that it ends by itself: a string with its length,
// all else in eight bytes.
func appendScalar[V cmp.Ordered](b []byte, value V) []byte {
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.String:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		return append(b, v.String()...)
	case v.CanInt():
		return binary.BigEndian.AppendUint64(b, uint64(v.Int()))
	case v.CanUint():
		return binary.BigEndian.AppendUint64(b, v.Uint())
	default:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float()))
	}
}

// cutScalar reads into value what appendScalar wrote and returns the rest.
func cutScalar[V cmp.Ordered](b []byte, value *V) ([]byte, error) {
	v := reflect.ValueOf(value).Elem()
	if v.Kind() == reflect.String {
		text, rest, err := cutBytes(b)
		v.SetString(string(text))
		return rest, err
	}
	if len(b) < 8 {
		return nil, ErrState
	}
	switch bits := binary.BigEndian.Uint64(b); {
	case v.CanInt():
		v.SetInt(int64(bits))
	case v.CanUint():
		v.SetUint(bits)
	default:
		v.SetFloat(math.Float64frombits(bits))
	}
	return b[8:], nil
}

// onlyScalar is cutScalar of data that has nothing else.
func onlyScalar[V cmp.Ordered](data []byte, value *V) error {
	rest, err := cutScalar(data, value)
	if err == nil && len(rest) > 0 {
		err = ErrState
	}
	return err
}

// appendBytes appends data with its length.
func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

// cutBytes returns what appendBytes wrote, and the rest.
func cutBytes(b []byte) (data, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, ErrState
	}
	return b[size : size+int(n)], b[size+int(n):], nil
}
