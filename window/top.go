package window

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// Top is the n events for which by returns the most, the greatest first. T is kept as
// JSON. Of events for which it returns the same, those whose JSON sorts first count as
// greater, so that the order in which they came does not matter. N is at least 1.
func Top[T any, V cmp.Ordered](n int, by func(event T) V) Aggregate[T, []T] {
	return func() State[T, []T] { return &top[T, V]{n: max(n, 1), by: by} }
}

type top[T any, V cmp.Ordered] struct {
	n   int
	by  func(T) V
	all []ranked[T, V] // greatest first
	err error          // why an event cannot be kept
}

type ranked[T any, V cmp.Ordered] struct {
	value V
	event T
	data  []byte // its JSON
}

func (t *top[T, V]) Add(event T) {
	value := t.by(event)
	if len(t.all) == t.n && cmp.Less(value, t.all[t.n-1].value) {
		return
	}
	data, err := json.Marshal(event)
	if err != nil {
		t.err = err
		return
	}
	t.take(ranked[T, V]{value, event, data})
}

func (t *top[T, V]) take(r ranked[T, V]) {
	at, _ := slices.BinarySearchFunc(t.all, r, func(a, b ranked[T, V]) int {
		if c := cmp.Compare(b.value, a.value); c != 0 {
			return c
		}
		return bytes.Compare(a.data, b.data)
	})
	if at == t.n {
		return
	}
	if len(t.all) == t.n {
		t.all = t.all[:t.n-1]
	}
	t.all = slices.Insert(t.all, at, r)
}

func (t *top[T, V]) Merge(other State[T, []T]) {
	o := other.(*top[T, V])
	for _, r := range o.all {
		t.take(r)
	}
	if t.err == nil {
		t.err = o.err
	}
}

func (t *top[T, V]) Result() []T {
	events := make([]T, len(t.all))
	for i := range t.all {
		events[i] = t.all[i].event
	}
	return events
}

func (t *top[T, V]) AppendBinary(b []byte) ([]byte, error) {
	for i := range t.all {
		b = appendBytes(b, t.all[i].data)
	}
	return b, t.err
}

func (t *top[T, V]) UnmarshalBinary(data []byte) error {
	t.all, t.err = nil, nil
	for len(data) > 0 {
		one, rest, err := cutBytes(data)
		if err != nil {
			return err
		}
		var event T
		if err := json.Unmarshal(one, &event); err != nil {
			return err
		}
		t.take(ranked[T, V]{t.by(event), event, bytes.Clone(one)})
		data = rest
	}
	return nil
}
