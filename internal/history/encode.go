package history

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// format is the first byte of an encoded turn.
const format = 1

// The errors of decoding.
var (
	// ErrFormat: the bytes are not an encoded turn.
	ErrFormat = errors.New("history: malformed record")
	// ErrNewer: the record was written by a newer release.
	ErrNewer = errors.New("history: record is newer than this program")
)

// Which fields of an event follow its kind.
const (
	hasSeq = 1 << iota
	hasName
	hasID
	hasData
	hasOptions
	hasFailure
	hasTime
	hasNum
)

// Append appends the encoding of t to dst.
//
// A turn is the format byte, the time as a varint, the number of events and the
// events. An event is its kind, a byte that says which fields follow, and those
// fields in the order of the bits: numbers as varints, strings and bytes with
// their length first.
func Append(dst []byte, t Turn) []byte {
	dst = append(dst, format)
	dst = binary.AppendVarint(dst, t.Time)
	dst = binary.AppendUvarint(dst, uint64(len(t.Events)))
	for i := range t.Events {
		dst = AppendEvent(dst, &t.Events[i])
	}
	return dst
}

// Size returns a number of bytes that Append does not need more than, for most turns
// few more.
func Size(t Turn) int {
	size := 1 + 2*binary.MaxVarintLen64
	for i := range t.Events {
		e := &t.Events[i]
		size += 4 + binary.MaxVarintLen32 // kind, fields, lengths of empty slices, number
		for _, n := range [...]int{len(e.Name), len(e.ID), len(e.Data), len(e.Options)} {
			if n > 0 {
				size += 4 + n
			}
		}
		if f := e.Failure; f != nil {
			size += 3*binary.MaxVarintLen64 + len(f.Type) + len(f.Message)
		}
		if e.Time != 0 || e.Num != 0 {
			size += 2 * binary.MaxVarintLen64
		}
	}
	return size
}

// AppendEvent appends the encoding of one event to dst.
func AppendEvent(dst []byte, e *Event) []byte {
	var fields byte
	set := func(bit byte, present bool) {
		if present {
			fields |= bit
		}
	}
	set(hasSeq, e.Seq != 0)
	set(hasName, e.Name != "")
	set(hasID, e.ID != "")
	set(hasData, e.Data != nil)
	set(hasOptions, e.Options != nil)
	set(hasFailure, e.Failure != nil)
	set(hasTime, e.Time != 0)
	set(hasNum, e.Num != 0)
	dst = append(dst, byte(e.Kind), fields)
	if e.Seq != 0 {
		dst = binary.AppendUvarint(dst, uint64(e.Seq))
	}
	if e.Name != "" {
		dst = appendBytes(dst, e.Name)
	}
	if e.ID != "" {
		dst = appendBytes(dst, e.ID)
	}
	if e.Data != nil {
		dst = appendBytes(dst, e.Data)
	}
	if e.Options != nil {
		dst = appendBytes(dst, e.Options)
	}
	if f := e.Failure; f != nil {
		dst = appendBytes(dst, f.Type)
		dst = appendBytes(dst, f.Message)
		flags := uint64(f.Attempts) << 1
		if f.NonRetryable {
			flags |= 1
		}
		dst = binary.AppendUvarint(dst, flags)
	}
	if e.Time != 0 {
		dst = binary.AppendVarint(dst, e.Time)
	}
	if e.Num != 0 {
		dst = binary.AppendUvarint(dst, e.Num)
	}
	return dst
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// Decode returns the turn that src encodes. The turn shares src's memory.
func Decode(src []byte) (Turn, error) {
	if len(src) == 0 {
		return Turn{}, ErrFormat
	}
	if src[0] > format {
		return Turn{}, fmt.Errorf("%w: format %d", ErrNewer, src[0])
	}
	d := decoder{src: src[1:], ok: src[0] == format}
	t := Turn{Time: d.varint()}
	n := d.uvarint()
	if n > uint64(len(d.src)) { // an event takes at least two bytes
		return Turn{}, ErrFormat
	}
	t.Events = make([]Event, 0, n)
	for range n {
		t.Events = append(t.Events, d.event())
	}
	if !d.ok || len(d.src) != 0 {
		return Turn{}, ErrFormat
	}
	return t, nil
}

// DecodeEvent returns the one event that src encodes. The event shares src's
// memory.
func DecodeEvent(src []byte) (Event, error) {
	d := decoder{src: src, ok: true}
	e := d.event()
	if !d.ok || len(d.src) != 0 {
		return Event{}, ErrFormat
	}
	return e, nil
}

// decoder reads from src; after a failure ok is false and every read is zero.
type decoder struct {
	src []byte
	ok  bool
}

func (d *decoder) byte() byte {
	if len(d.src) == 0 {
		d.ok = false
		return 0
	}
	b := d.src[0]
	d.src = d.src[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.src)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.src = d.src[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.src)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.src = d.src[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.src)) {
		d.fail()
		return nil
	}
	b := d.src[:n:n]
	d.src = d.src[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.fail()
		return 0
	}
	return uint32(v)
}

func (d *decoder) fail() {
	d.ok = false
	d.src = nil
}

func (d *decoder) event() Event {
	e := Event{Kind: Kind(d.byte())}
	fields := d.byte()
	if fields&hasSeq != 0 {
		e.Seq = d.uint32()
	}
	if fields&hasName != 0 {
		e.Name = string(d.bytes())
	}
	if fields&hasID != 0 {
		e.ID = string(d.bytes())
	}
	if fields&hasData != 0 {
		e.Data = d.bytes()
	}
	if fields&hasOptions != 0 {
		e.Options = d.bytes()
	}
	if fields&hasFailure != 0 {
		f := &Failure{Type: string(d.bytes()), Message: string(d.bytes())}
		flags := d.uvarint()
		f.NonRetryable = flags&1 != 0
		if flags>>1 > 1<<32-1 {
			d.fail()
		}
		f.Attempts = uint32(flags >> 1)
		e.Failure = f
	}
	if fields&hasTime != 0 {
		e.Time = d.varint()
	}
	if fields&hasNum != 0 {
		e.Num = d.uvarint()
	}
	return e
}
