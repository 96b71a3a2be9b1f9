package tuple

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// ErrMalformed: the bytes are not what an Append function wrote.
var ErrMalformed = errors.New("tuple: malformed encoding")

// Decoder reads the elements of a tuple one after another. After the first
// malformed element every read answers a zero value; Err or End tells.
//
//	d := tuple.Decode(key)
//	table, partition := d.String(), d.String()
//	if err := d.End(); err != nil { … }
type Decoder struct {
	rest []byte
	err  error
}

// Decode returns a decoder of b, which must not change while it is in use.
func Decode(b []byte) *Decoder { return &Decoder{rest: b} }

// Err returns ErrMalformed once an element was malformed.
func (d *Decoder) Err() error { return d.err }

// End is Err, and ErrMalformed as well if bytes are left.
func (d *Decoder) End() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail()
	}
	return d.err
}

// Rest returns the bytes that follow what was read. It shares memory with what
// was given to Decode.
func (d *Decoder) Rest() []byte { return d.rest }

// String reads what AppendString wrote.
func (d *Decoder) String() string {
	// Most strings have no zero byte: the first one begins their end.
	if i := bytes.IndexByte(d.rest, escape); i >= 0 && i+1 < len(d.rest) && d.rest[i+1] == terminator {
		s := string(d.rest[:i])
		d.rest = d.rest[i+2:]
		return s
	}
	return string(d.text())
}

// Bytes reads what AppendBytes wrote. The slice is the caller's.
func (d *Decoder) Bytes() []byte { return d.text() }

// text reads a string with zero bytes.
func (d *Decoder) text() []byte {
	text := []byte{}
	for i := 0; i < len(d.rest); i++ {
		c := d.rest[i]
		if c != escape {
			text = append(text, c)
			continue
		}
		if i++; i == len(d.rest) {
			break
		}
		switch d.rest[i] {
		case escapedNul:
			text = append(text, 0)
		case terminator:
			d.rest = d.rest[i+1:]
			return text
		default:
			d.fail()
			return nil
		}
	}
	d.fail()
	return nil
}

// Uint64 reads what AppendUint64 wrote.
func (d *Decoder) Uint64() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Int64 reads what AppendInt64 wrote.
func (d *Decoder) Int64() int64 {
	n := d.Uint64()
	if d.err != nil {
		return 0
	}
	return int64(n ^ signBit)
}

// Float64 reads what AppendFloat64 wrote.
func (d *Decoder) Float64() float64 {
	bits := d.Uint64()
	if d.err != nil {
		return 0
	}
	if bits&signBit != 0 {
		bits &^= signBit
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits)
}

// Time reads what AppendTime wrote.
func (d *Decoder) Time() time.Time {
	b := d.take(12)
	if b == nil {
		return time.Time{}
	}
	seconds := binary.BigEndian.Uint64(b[:8])
	nanos := binary.BigEndian.Uint32(b[8:])
	if nanos >= uint32(time.Second) {
		d.fail()
		return time.Time{}
	}
	return time.Unix(int64(seconds^signBit), int64(nanos)).UTC()
}

// Bool reads what AppendBool wrote.
func (d *Decoder) Bool() bool {
	b := d.take(1)
	if b == nil {
		return false
	}
	if b[0] > 1 {
		d.fail()
	}
	return b[0] == 1
}

// take cuts n bytes off, or fails and returns nil.
func (d *Decoder) take(n int) []byte {
	if len(d.rest) < n {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *Decoder) fail() {
	d.err, d.rest = ErrMalformed, nil
}
