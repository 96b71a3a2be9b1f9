package window

import (
	"encoding/json"
	"fmt"
)

// Fold is an aggregate of your own: init returns the state of no events, step takes in
// an event, and merge joins two states, which must come to the same whatever events were
// in which. The state is kept as JSON.
func Fold[T, S any](init func() S, step func(state S, event T) S, merge func(a, b S) S) Aggregate[T, S] {
	return func() State[T, S] { return &fold[T, S]{state: init(), step: step, merge: merge} }
}

type fold[T, S any] struct {
	state S
	step  func(S, T) S
	merge func(S, S) S
}

func (f *fold[T, S]) Add(event T)             { f.state = f.step(f.state, event) }
func (f *fold[T, S]) Merge(other State[T, S]) { f.state = f.merge(f.state, other.(*fold[T, S]).state) }
func (f *fold[T, S]) Result() S               { return f.state }

func (f *fold[T, S]) AppendBinary(b []byte) ([]byte, error) {
	data, err := json.Marshal(f.state)
	return append(b, data...), err
}

func (f *fold[T, S]) UnmarshalBinary(data []byte) error {
	var state S
	if err := json.Unmarshal(data, &state); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	f.state = state
	return nil
}

// Struct computes several aggregates at once, each of which Into puts into a field:
//
//	window.Struct(
//		window.Into(window.Count[Order], func(s *Stats, n int) { s.Orders = n }),
//		window.Into(window.Sum(Order.Amount), func(s *Stats, sum int) { s.Amount = sum }),
//	)
func Struct[T, R any](fields ...Field[T, R]) Aggregate[T, R] {
	return func() State[T, R] {
		s := make(structState[T, R], len(fields))
		for i, f := range fields {
			s[i] = f()
		}
		return s
	}
}

// Field is an aggregate that goes into a field of R.
type Field[T, R any] func() fieldState[T, R]

// Into puts the result of an aggregate into R by set.
func Into[T, A, R any](aggregate Aggregate[T, A], set func(result *R, value A)) Field[T, R] {
	return func() fieldState[T, R] { return &field[T, A, R]{aggregate(), set} }
}

// fieldState is the state of a Field.
type fieldState[T, R any] interface {
	Add(event T)
	MergeField(other fieldState[T, R])
	Put(result *R)
	AppendBinary(b []byte) ([]byte, error)
	UnmarshalBinary(data []byte) error
}

type field[T, A, R any] struct {
	State[T, A]
	set func(*R, A)
}

func (f *field[T, A, R]) MergeField(other fieldState[T, R]) { f.Merge(other.(*field[T, A, R]).State) }
func (f *field[T, A, R]) Put(result *R)                     { f.set(result, f.Result()) }

type structState[T, R any] []fieldState[T, R]

func (s structState[T, R]) Add(event T) {
	for _, f := range s {
		f.Add(event)
	}
}

func (s structState[T, R]) Merge(other State[T, R]) {
	for i, f := range other.(structState[T, R]) {
		s[i].MergeField(f)
	}
}

func (s structState[T, R]) Result() R {
	var result R
	for _, f := range s {
		f.Put(&result)
	}
	return result
}

func (s structState[T, R]) AppendBinary(b []byte) ([]byte, error) {
	for _, f := range s {
		one, err := f.AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		b = appendBytes(b, one)
	}
	return b, nil
}

func (s structState[T, R]) UnmarshalBinary(data []byte) error {
	for _, f := range s {
		one, rest, err := cutBytes(data)
		if err != nil {
			return err
		}
		if err := f.UnmarshalBinary(one); err != nil {
			return err
		}
		data = rest
	}
	if len(data) > 0 {
		return ErrState
	}
	return nil
}
