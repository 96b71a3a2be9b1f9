package window

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/axiomhq/hyperloglog"
	"github.com/cespare/xxhash/v2"
)

// MaxExactDistinct is up to how many values Distinct counts exactly in a window.
const MaxExactDistinct = 1024

// Distinct counts different values of what of returns. Up to MaxExactDistinct it is
// exact, as long as no two values have the same hash of 64 bits. Beyond, it is an estimate by
// HyperLogLog (Flajolet et al., 2007) with 16,384 registers: its standard error is
// 0.8 %, and it takes 16 KiB.
func Distinct[T any, V cmp.Ordered](of func(event T) V) Aggregate[T, int] {
	return func() State[T, int] { return &distinct[T, V]{of: of, exact: map[uint64]struct{}{}} }
}

type distinct[T any, V cmp.Ordered] struct {
	of     func(T) V
	exact  map[uint64]struct{} // hashes of the values, while there are few
	sketch *hyperloglog.Sketch // nil while exact counts
	buffer []byte
}

func (d *distinct[T, V]) Add(event T) {
	d.buffer = appendScalar(d.buffer[:0], d.of(event))
	d.take(xxhash.Sum64(d.buffer))
}

func (d *distinct[T, V]) take(hash uint64) {
	if d.sketch != nil {
		d.sketch.InsertHash(hash)
		return
	}
	d.exact[hash] = struct{}{}
	if len(d.exact) > MaxExactDistinct {
		d.estimate()
	}
}

// estimate goes over from the exact count to the sketch.
func (d *distinct[T, V]) estimate() {
	if d.sketch != nil {
		return
	}
	d.sketch = hyperloglog.NewNoSparse()
	for hash := range d.exact {
		d.sketch.InsertHash(hash)
	}
	d.exact = nil
}

func (d *distinct[T, V]) Merge(other State[T, int]) {
	o := other.(*distinct[T, V])
	if o.sketch != nil {
		d.estimate()
		_ = d.sketch.Merge(o.sketch) // fails for another precision alone; there is one
		return
	}
	for hash := range o.exact {
		d.take(hash)
	}
}

func (d *distinct[T, V]) Result() int {
	if d.sketch != nil {
		return int(d.sketch.Estimate())
	}
	return len(d.exact)
}

// A state is one byte, 0 for hashes or 1 for a sketch, and that.

func (d *distinct[T, V]) AppendBinary(b []byte) ([]byte, error) {
	if d.sketch != nil {
		return d.sketch.AppendBinary(append(b, 1))
	}
	hashes := make([]uint64, 0, len(d.exact))
	for hash := range d.exact {
		hashes = append(hashes, hash)
	}
	slices.Sort(hashes)
	b = append(b, 0)
	for _, hash := range hashes {
		b = binary.BigEndian.AppendUint64(b, hash)
	}
	return b, nil
}

func (d *distinct[T, V]) UnmarshalBinary(data []byte) error {
	switch {
	case len(data) > 0 && data[0] == 0 && len(data)%8 == 1 && len(data)/8 <= MaxExactDistinct:
		d.sketch, d.exact = nil, make(map[uint64]struct{}, len(data)/8)
		for data = data[1:]; len(data) > 0; data = data[8:] {
			d.exact[binary.BigEndian.Uint64(data)] = struct{}{}
		}
		return nil
	case len(data) > 4 && data[0] == 1 && [4]byte(data[1:]) == sketchHeader:
		d.sketch, d.exact = new(hyperloglog.Sketch), nil
		return d.sketch.UnmarshalBinary(data[1:])
	default:
		return ErrState
	}
}

// sketchHeader is how the sketches of this package begin: version 2 of the format, precision
// 14, no bias, dense.
var sketchHeader = [4]byte{2, 14, 0, 0}
