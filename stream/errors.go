package stream

import (
	"errors"

	"github.com/perdure/perdure/internal/unit"
)

// The errors of streams. Compare with errors.Is; the text names the stream.
var (
	// ErrTooLarge: an event, its key or its headers exceed their bound.
	ErrTooLarge = errors.New("too large")
	// ErrNoUnit: the context carries no unit of work.
	ErrNoUnit = unit.ErrNoUnit
	// ErrUnitClosed: the unit of work has ended.
	ErrUnitClosed = unit.ErrUnitClosed
)

// The bounds of a stream.
const (
	// MaxEvent bounds the JSON of an event, in bytes.
	MaxEvent = 1 << 20
	// MaxKey bounds the key of an event, in bytes.
	MaxKey = 512
	// MaxHeaders bounds the names and values of an event's headers together, in
	// bytes.
	MaxHeaders = 8 << 10
	// MaxName bounds the names of streams, in bytes.
	MaxName = 64
	// MaxPartitions bounds the number of partitions.
	MaxPartitions = 1024
	// MaxRead bounds the events that Read returns at a time.
	MaxRead = 10_000
	// MaxReadBytes is the size of events, in bytes of JSON, after which Read
	// returns fewer.
	MaxReadBytes = 16 << 20
)
