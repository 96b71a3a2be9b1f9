// Package consumer lets functions handle the events of streams. A function that reads
// a stream is a consumer group: it has one cursor in each partition, which moves in the
// same unit of work as what the function writes. So each event is handled once.
//
// Each partition of a group is read by one goroutine, in order. It is woken by commits,
// and handles as many events in one unit as are waiting, within bounds: nothing is
// gained by a sync for each of them. When one of them fails, the unit is discarded and
// the events are handled again in smaller units, so that a failure undoes nothing of
// its neighbours.
//
// An event that fails by itself leaves the stream: it becomes a delivery of the function
// in the lane of its key, and the cursor goes on. Retries, dead letters and sending
// again are then those of package delivery. Later events of its key follow it into the
// lane as long as there is something in it, which keeps the order of the key. A batch
// that fails becomes a delivery in the lane of its partition, which waits for it.
package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// The nouns of this package are records.
type (
	// Event is an event of a stream.
	Event = records.Event
	// Place is a place in each partition of a stream.
	Place = records.Place
)

// The errors of this package.
var (
	// ErrBadGroup: a function or stream cannot be registered. The text says why.
	ErrBadGroup = errors.New("perdure: consumer cannot be registered")
	// ErrNoGroup: no function of that name reads that stream.
	ErrNoGroup = errors.New("perdure: no such consumer")
)

// Group is a function that reads a stream. It has one of Handle and HandleBatch.
type Group struct {
	// Function names the function in the store; it is unique and must not change.
	Function string
	// Stream is the name of the stream.
	Stream string
	// Partitions is the number of partitions that the stream is declared with.
	Partitions int
	// From is where the group begins when it is first registered.
	From Place
	// Policy says how events are handled. Its Concurrency bounds the partitions
	// that are read at a time.
	Policy delivery.Policy
	// Handle handles one event in the unit of work of ctx.
	Handle func(ctx context.Context, e *Event) error
	// HandleBatch handles several events of one partition, in order, in the unit
	// of work of ctx.
	HandleBatch func(ctx context.Context, batch []*Event) error
	// Batch says how batches are made.
	Batch Batch
}

// Batch bounds batches. The zero value means the defaults.
type Batch struct {
	// Size is how many events a batch has at most; default 100.
	Size int
	// Bytes is the size of events after which a batch is full; default 1 MiB.
	Bytes int
	// Wait is how long a batch that is not full waits for more events; by
	// default it does not.
	Wait time.Duration
}

func (b Batch) withDefaults() Batch {
	if b.Size <= 0 {
		b.Size = 100
	}
	b.Size = min(b.Size, MaxBatch)
	if b.Bytes <= 0 {
		b.Bytes = 1 << 20
	}
	b.Bytes = min(b.Bytes, maxReadBytes)
	return b
}

// policyDefaults fills what this package uses of a policy; the rest is the
// dispatcher's.
func policyDefaults(p delivery.Policy) delivery.Policy {
	if p.Timeout == 0 {
		p.Timeout = 5 * time.Minute
	}
	if p.Concurrency <= 0 {
		p.Concurrency = 64
	}
	return p
}

// MaxBatch bounds the events of a batch.
const MaxBatch = 10_000

// Retention is what is kept of a stream.
type Retention struct {
	// Stream is the name of the stream.
	Stream string
	// Age, unless 0, is how long an event is kept at least.
	Age time.Duration
	// Bytes, unless 0, is how much of each partition is kept.
	Bytes int64
	// Hard says that events are removed also if a group has still to read them.
	Hard bool
}

// Dispatcher runs what a group could not handle. *delivery.Dispatcher is one.
type Dispatcher interface {
	// Register adds a function.
	Register(delivery.Function) error
	// Spill adds a delivery to u. Cause, unless nil, is why its first attempt
	// failed.
	Spill(u *unit.Unit, d *delivery.Delivery, cause error) error
}

// Config is what a feeder is made of.
type Config struct {
	// Env makes the units in which functions run.
	Env *unit.Env
	// Committer commits them.
	Committer unit.Committer
	// Watch tells of commits, as store.Store does.
	Watch func(space byte) (changes <-chan struct{}, stop func())
	// Dispatcher takes what failed.
	Dispatcher Dispatcher
	// Clock is when batches have waited, runs time out and events are old.
	// Default: the system's.
	Clock clock.Clock
	// Journal notes what is running.
	Journal *poison.Journal
	// Log gets what an operator should know. Default: slog.Default().
	Log *slog.Logger
	// Telemetry is told of each run. Nil tells nobody.
	Telemetry *telemetry.Telemetry
	// SweepEvery is how often the store is searched for events whose commit was
	// not heard of; default one minute.
	SweepEvery time.Duration
	// RetainEvery is how often old events are removed; default 30 seconds.
	RetainEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.SweepEvery <= 0 {
		c.SweepEvery = time.Minute
	}
	if c.RetainEvery <= 0 {
		c.RetainEvery = 30 * time.Second
	}
	return c
}
