package unit

import (
	"context"
	"io"
	"time"
)

// Orchestrator is the one-way side of the durable engine, as units see it.
type Orchestrator interface {
	// StartIn adds the start of an instance to u and returns its id.
	StartIn(u *Unit, s Start) (id string, err error)
	// RaiseIn adds an event for an instance to u.
	RaiseIn(u *Unit, r Raise) error
}

// Start asks for a new instance.
type Start struct {
	// Name is the orchestration's.
	Name string
	// ID is the instance's; empty for a generated one.
	ID string
	// Input is the encoded input.
	Input []byte
	// Tags are the instance's tags.
	Tags map[string]string
	// Trace are the headers of the trace in which it starts; those of the unit if
	// nil.
	Trace map[string]string
	// At, unless zero, is when it starts.
	At time.Time
}

// Raise asks for an event to be delivered to an instance.
type Raise struct {
	// ID is the instance's.
	ID string
	// Name is the event's.
	Name string
	// Payload is the encoded payload.
	Payload []byte
	// KeepFor, unless zero, is how long the event waits for an instance that
	// does not exist yet.
	KeepFor time.Duration
}

// Blobs keeps immutable objects under random keys.
type Blobs interface {
	// Create streams r into a new object, makes it durable and returns its
	// key and size. On an error nothing is left behind. Reading more than
	// limit bytes (if limit > 0) fails.
	Create(ctx context.Context, r io.Reader, limit int64) (key string, size int64, err error)
	// Open returns the object's bytes; an error matching fs.ErrNotExist when
	// it is gone.
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	// Delete removes an object; removing an absent one is no error.
	Delete(ctx context.Context, key string) error
}
