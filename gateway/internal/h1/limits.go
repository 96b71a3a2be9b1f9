package h1

import "time"

// Limits bound what a peer may send. Zero fields are the defaults.
type Limits struct {
	// Head is the size of a head in bytes, 32 KiB.
	Head int
	// Target is the size of a request-target in bytes, 16 KiB.
	Target int
	// Fields is the number of header fields, 128, and that of trailer fields.
	Fields int
	// ChunkExt is the size of the chunk extensions of one body in bytes, 4 KiB.
	ChunkExt int
	// Trailers is the size of a trailer section in bytes, 4 KiB.
	Trailers int
}

func (l Limits) withDefaults() Limits {
	l.Head = orDefault(l.Head, 32<<10)
	l.Target = orDefault(l.Target, 16<<10)
	l.Fields = orDefault(l.Fields, 128)
	l.ChunkExt = orDefault(l.ChunkExt, 4<<10)
	l.Trailers = orDefault(l.Trailers, 4<<10)
	return l
}

// Timeouts bound how long a client may take. Zero fields are the defaults, negative
// ones no limit. They are kept with the granularity of the Sweeper.
type Timeouts struct {
	// Head is from the first byte of a request to the end of its head, 10 s.
	Head time.Duration
	// Body is from one read of a request's body to the next, 30 s.
	Body time.Duration
	// Write is for the peer to take what is written, 30 s.
	Write time.Duration
	// Idle is between two requests, 75 s.
	Idle time.Duration
	// Linger is for a client to stop sending after it was refused, 2 s.
	Linger time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	t.Head = orDefault(t.Head, 10*time.Second)
	t.Body = orDefault(t.Body, 30*time.Second)
	t.Write = orDefault(t.Write, 30*time.Second)
	t.Idle = orDefault(t.Idle, 75*time.Second)
	t.Linger = orDefault(t.Linger, 2*time.Second)
	return t
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
