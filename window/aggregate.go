package window

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
)

// State is what an aggregate knows of some events, and is stored while their window is
// open. It is used by one goroutine at a time.
type State[T, A any] interface {
	// Add takes in an event.
	Add(event T)
	// Merge takes in another state of the same aggregate, which is not used
	// afterwards. What comes out must not depend on which events were added to which
	// of the two.
	Merge(other State[T, A])
	// Result returns the aggregate of what was taken in.
	Result() A
	// AppendBinary appends the state to b, so that UnmarshalBinary reads it.
	AppendBinary(b []byte) ([]byte, error)
	// UnmarshalBinary replaces the state. It must not keep data.
	UnmarshalBinary(data []byte) error
}

// Aggregate makes the state of no events. Count is one; Sum, Top and their like
// return one.
type Aggregate[T, A any] func() State[T, A]

// ErrState: what is stored is not the state of this aggregate.
var ErrState = errors.New("malformed state of a window's aggregate")

// Number is what can be summed.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Count is the aggregate that counts events.
func Count[T any]() State[T, int] { return new(count[T]) }

type count[T any] struct{ n int }

func (c *count[T]) Add(T)                     { c.n++ }
func (c *count[T]) Merge(other State[T, int]) { c.n += other.(*count[T]).n }
func (c *count[T]) Result() int               { return c.n }
func (c *count[T]) AppendBinary(b []byte) ([]byte, error) {
	return binary.AppendUvarint(b, uint64(c.n)), nil
}

func (c *count[T]) UnmarshalBinary(data []byte) error {
	n, size := binary.Uvarint(data)
	if size != len(data) || size <= 0 {
		return ErrState
	}
	c.n = int(n)
	return nil
}

// Sum adds up what of returns. Integers wrap around as Go's do.
func Sum[T any, N Number](of func(event T) N) Aggregate[T, N] {
	return func() State[T, N] { return &sum[T, N]{of: of} }
}

type sum[T any, N Number] struct {
	of    func(T) N
	total N
}

func (s *sum[T, N]) Add(event T)                           { s.total += s.of(event) }
func (s *sum[T, N]) Merge(other State[T, N])               { s.total += other.(*sum[T, N]).total }
func (s *sum[T, N]) Result() N                             { return s.total }
func (s *sum[T, N]) AppendBinary(b []byte) ([]byte, error) { return appendScalar(b, s.total), nil }
func (s *sum[T, N]) UnmarshalBinary(data []byte) error     { return onlyScalar(data, &s.total) }

// Average is the arithmetic mean of what of returns.
func Average[T any, N Number](of func(event T) N) Aggregate[T, float64] {
	return func() State[T, float64] { return &average[T, N]{of: of} }
}

type average[T any, N Number] struct {
	of    func(T) N
	total float64
	n     uint64
}

func (a *average[T, N]) Add(event T) {
	a.total += float64(a.of(event))
	a.n++
}

func (a *average[T, N]) Merge(other State[T, float64]) {
	o := other.(*average[T, N])
	a.total += o.total
	a.n += o.n
}

func (a *average[T, N]) Result() float64 { return a.total / float64(a.n) }

func (a *average[T, N]) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(a.total))
	return binary.BigEndian.AppendUint64(b, a.n), nil
}

func (a *average[T, N]) UnmarshalBinary(data []byte) error {
	if len(data) != 16 {
		return ErrState
	}
	a.total, a.n = math.Float64frombits(binary.BigEndian.Uint64(data)), binary.BigEndian.Uint64(data[8:])
	return nil
}

// Min is the least of what of returns.
func Min[T any, V cmp.Ordered](of func(event T) V) Aggregate[T, V] {
	return func() State[T, V] { return &extreme[T, V]{of: of, sign: 1} }
}

// Max is the greatest of what of returns.
func Max[T any, V cmp.Ordered](of func(event T) V) Aggregate[T, V] {
	return func() State[T, V] { return &extreme[T, V]{of: of, sign: -1} }
}

// extreme is the least value by the order, or by the opposite one.
type extreme[T any, V cmp.Ordered] struct {
	of    func(T) V
	sign  int
	value V
	some  bool
}

func (e *extreme[T, V]) Add(event T) { e.take(e.of(event)) }

func (e *extreme[T, V]) Merge(other State[T, V]) {
	if o := other.(*extreme[T, V]); o.some {
		e.take(o.value)
	}
}

func (e *extreme[T, V]) take(v V) {
	if !e.some || e.sign*cmp.Compare(v, e.value) < 0 {
		e.value, e.some = v, true
	}
}

func (e *extreme[T, V]) Result() V { return e.value }

func (e *extreme[T, V]) AppendBinary(b []byte) ([]byte, error) {
	if !e.some {
		return b, nil
	}
	return appendScalar(b, e.value), nil
}

func (e *extreme[T, V]) UnmarshalBinary(data []byte) error {
	if e.some = len(data) > 0; !e.some {
		return nil
	}
	return onlyScalar(data, &e.value)
}
