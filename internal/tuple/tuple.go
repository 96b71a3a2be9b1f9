// Package tuple encodes tuples of values as byte strings that sort like the
// tuples: bytes.Compare of two encodings answers what comparing the values one
// after another would. The keys of the record layer are made of it.
//
// Encodings carry no types. Whoever reads a key knows what it is made of, and
// only tuples of the same types are comparable. Every element ends by itself, so
// the encoding of a tuple's first elements is a prefix of its own encoding, and
// of no tuple with other first elements: [After] turns it into a range.
//
//	value     encoding
//	string    its bytes, 0x00 written as 0x00 0xff, then 0x00 0x01
//	[]byte    as string
//	uint64    8 bytes, big endian
//	int64     8 bytes, big endian, sign bit flipped
//	float64   8 bytes, big endian IEEE 754; sign bit flipped, or all bits if it was set
//	time.Time int64 seconds since 1970 UTC, then 4 bytes of nanoseconds
//	bool      0x00 or 0x01
//
// Zero and minus zero are one float; all NaNs are one, greater than infinity.
// Times keep neither zone nor monotonic clock, and are decoded as UTC.
package tuple

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	escape     = 0x00 // begins what is not a plain byte of a string
	escapedNul = 0xff // escape, escapedNul: a zero byte
	terminator = 0x01 // escape, terminator: the end
	signBit    = 1 << 63
)

// AppendString appends s.
func AppendString(dst []byte, s string) []byte {
	return append(AppendStringPrefix(dst, s), escape, terminator)
}

// AppendStringPrefix appends s without its end: a prefix of every string that
// begins with s. Nothing may be appended after it.
func AppendStringPrefix(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == escape {
			dst = append(dst, escapedNul)
		}
	}
	return dst
}

// AppendBytes appends b, encoded like a string.
func AppendBytes(dst, b []byte) []byte { return AppendString(dst, string(b)) }

// AppendUint64 appends n.
func AppendUint64(dst []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(dst, n) }

// AppendInt64 appends n.
func AppendInt64(dst []byte, n int64) []byte { return AppendUint64(dst, uint64(n)^signBit) }

// AppendFloat64 appends f.
func AppendFloat64(dst []byte, f float64) []byte {
	switch {
	case f == 0:
		f = 0 // minus zero
	case math.IsNaN(f):
		f = math.NaN()
	}
	bits := math.Float64bits(f)
	if bits&signBit != 0 {
		return AppendUint64(dst, ^bits)
	}
	return AppendUint64(dst, bits|signBit)
}

// AppendTime appends t, to the nanosecond.
func AppendTime(dst []byte, t time.Time) []byte {
	dst = AppendInt64(dst, t.Unix())
	return binary.BigEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

// AppendBool appends b; false sorts first.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// After returns the first key after all keys that begin with prefix, so that
// [prefix, After(prefix)) holds exactly those. Nil, which a range takes for no
// upper bound, when there is no such key: the prefix is empty or all 0xff.
func After(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
