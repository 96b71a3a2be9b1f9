package queue

import (
	"errors"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The errors of queues. Compare with errors.Is; the text names the queue.
var (
	// ErrTooLarge: a message, its key, id or headers exceed their bound.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid: a message cannot be sent as its options say.
	ErrInvalid = errors.New("invalid message")
	// ErrNoUnit: the context carries no unit of work.
	ErrNoUnit = unit.ErrNoUnit
	// ErrUnitClosed: the unit of work has ended.
	ErrUnitClosed = unit.ErrUnitClosed
)

// The bounds of a queue.
const (
	// MaxMessage bounds the JSON of a message, in bytes.
	MaxMessage = 1 << 20
	// MaxKey bounds the key of a message, and its id for de-duplication, in bytes.
	MaxKey = 512
	// MaxHeaders bounds the names and values of a message's headers together, in
	// bytes.
	MaxHeaders = 8 << 10
	// MaxName bounds the names of queues, in bytes.
	MaxName = 64
	// MaxPriority is the greatest priority.
	MaxPriority = records.MaxPriority
	// MaxDelay is the greatest delay.
	MaxDelay = 10 * 365 * 24 * time.Hour
	// MaxWindow is the longest time over which messages are de-duplicated.
	MaxWindow = 30 * 24 * time.Hour
	// MaxPeek bounds the messages that Peek returns at a time.
	MaxPeek = 1000
	// MaxPurge bounds the messages that Purge removes in one unit.
	MaxPurge = 1000
	// maxPeekBytes is the size of messages after which Peek returns fewer.
	maxPeekBytes = 8 << 20
)
