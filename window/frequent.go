package window

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// Frequency is how often a value was found.
type Frequency[V cmp.Ordered] struct {
	Value V   `json:"value"`
	Count int `json:"count"`
	// Error is by how much Count may be too great; 0 while the window has no more
	// than MaxExactFrequent different values.
	Error int `json:"error,omitempty"`
}

// MaxExactFrequent is up to how many different values MostFrequent counts exactly in a
// window.
const MaxExactFrequent = 1024

// MostFrequent is the n values that of returns most often, the most frequent first and
// the lesser value first of two that are equally frequent. Up to MaxExactFrequent
// different values in a window it is exact. Beyond, the least frequent values are
// forgotten now and then, in the manner of Space-Saving (Metwally et al., 2005), and counts may
// be too great: each says by how much at most. N is between 1 and MaxExactFrequent.
func MostFrequent[T any, V cmp.Ordered](n int, of func(event T) V) Aggregate[T, []Frequency[V]] {
	return func() State[T, []Frequency[V]] {
		return &frequent[T, V]{n: min(max(n, 1), MaxExactFrequent), of: of, counts: map[V]tally{}}
	}
}

type tally struct{ count, err int }

type frequent[T any, V cmp.Ordered] struct {
	n      int
	of     func(T) V
	counts map[V]tally
	// dropped bounds the count of each value that is not in counts.
	dropped int
}

func (f *frequent[T, V]) Add(event T) {
	v := f.of(event)
	if t, known := f.counts[v]; known {
		f.counts[v] = tally{t.count + 1, t.err}
		return
	}
	f.counts[v] = tally{f.dropped + 1, f.dropped}
	if len(f.counts) > 2*MaxExactFrequent {
		f.shrink()
	}
}

func (f *frequent[T, V]) Merge(other State[T, []Frequency[V]]) {
	o := other.(*frequent[T, V])
	for v, t := range f.counts {
		if _, both := o.counts[v]; !both {
			f.counts[v] = tally{t.count + o.dropped, t.err + o.dropped}
		}
	}
	for v, t := range o.counts {
		own, both := f.counts[v]
		if !both {
			own = tally{f.dropped, f.dropped}
		}
		f.counts[v] = tally{own.count + t.count, own.err + t.err}
	}
	f.dropped += o.dropped
	f.shrink()
}

// shrink drops the least frequent values, down to MaxExactFrequent.
func (f *frequent[T, V]) shrink() {
	if len(f.counts) <= MaxExactFrequent {
		return
	}
	all := f.ranking()
	for _, one := range all[MaxExactFrequent:] {
		f.dropped = max(f.dropped, one.Count)
		delete(f.counts, one.Value)
	}
}

// ranking returns all values, the most frequent first.
func (f *frequent[T, V]) ranking() []Frequency[V] {
	all := make([]Frequency[V], 0, len(f.counts))
	for v, t := range f.counts {
		all = append(all, Frequency[V]{v, t.count, t.err})
	}
	slices.SortFunc(all, func(a, b Frequency[V]) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return all
}

func (f *frequent[T, V]) Result() []Frequency[V] {
	all := f.ranking()
	return slices.Clip(all[:min(f.n, len(all))])
}

func (f *frequent[T, V]) AppendBinary(b []byte) ([]byte, error) {
	f.shrink()
	b = binary.AppendUvarint(b, uint64(f.dropped))
	for _, v := range slices.Sorted(maps.Keys(f.counts)) {
		t := f.counts[v]
		b = appendScalar(b, v)
		b = binary.AppendUvarint(b, uint64(t.count))
		b = binary.AppendUvarint(b, uint64(t.err))
	}
	return b, nil
}

func (f *frequent[T, V]) UnmarshalBinary(data []byte) error {
	f.counts = map[V]tally{}
	number := func() int {
		n, size := binary.Uvarint(data)
		if size <= 0 {
			data = nil
			return -1
		}
		data = data[size:]
		return int(n)
	}
	if f.dropped = number(); f.dropped < 0 {
		return ErrState
	}
	for len(data) > 0 {
		var v V
		var err error
		if data, err = cutScalar(data, &v); err != nil {
			return err
		}
		t := tally{count: number(), err: number()}
		if t.count < 0 || t.err < 0 {
			return ErrState
		}
		f.counts[v] = t
	}
	return nil
}
