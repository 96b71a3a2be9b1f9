package records

import (
	"fmt"
	"time"
)

// Place is a place in each partition of a stream, from which to read on. The zero
// Place is the first event that is kept.
type Place struct {
	kind     placeKind
	position uint64
	at       time.Time
}

type placeKind int

const (
	atStart placeKind = iota
	atNow
	atTime
	atPosition
)

// PlaceNow returns the place after the last event.
func PlaceNow() Place { return Place{kind: atNow} }

// PlaceAt returns the place of the first event that was appended at t or later.
func PlaceAt(t time.Time) Place { return Place{kind: atTime, at: t} }

// PlaceOf returns the place of a position, or of the first one after it that is kept.
func PlaceOf(position uint64) Place { return Place{kind: atPosition, position: position} }

// String says where the place is, as in "time 2026-01-02T03:04:05Z".
func (p Place) String() string {
	switch p.kind {
	case atNow:
		return "now"
	case atTime:
		return "time " + p.at.UTC().Format(time.RFC3339Nano)
	case atPosition:
		return fmt.Sprint("position ", p.position)
	}
	return "start"
}

// FirstOf returns the position in a partition that is the first one after a place.
func FirstOf(v Viewer, partition Partition, p Place) (uint64, error) {
	switch p.kind {
	case atNow:
		last, err := StreamTail(v, partition)
		return last + 1, err
	case atTime:
		return PositionAt(v, partition, p.at)
	case atPosition:
		return max(p.position, 1), nil
	}
	return 1, nil
}
