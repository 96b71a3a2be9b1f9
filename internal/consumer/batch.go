package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// batch hands the next batch to the function.
func (r *runner) batch(tail uint64) verdict {
	events, full := r.nextBatch()
	if wait := r.patience(full); wait > 0 {
		return verdict{state: filling, tail: tail, wait: wait}
	}
	u := unit.New(r.f.Env)
	if ok, err := r.there(u); !ok || err != nil {
		return r.discard(u, err)
	}
	switch free, err := records.LaneEmpty(u, r.g.Function, r.lane()); {
	case err != nil:
		return r.discard(u, err)
	case !free:
		u.Discarded()
		return verdict{state: blocked, tail: tail}
	}
	if r.deaths[events[0].Position] > 0 {
		u.Discarded()
		return r.giveAway(events, nil)
	}
	if _, wait := r.g.pace.begin(r.f.Clock.Now(), 1); wait > 0 {
		u.Discarded()
		return verdict{state: paced, wait: wait}
	}
	// Before the function's own writes, so that these cannot leave it no room.
	if err := r.move(u, events); err != nil {
		return r.discard(u, err)
	}
	rep := r.run(u, events[:1], func(ctx context.Context, _ *Event) error {
		err := r.handleBatch(ctx, events)
		if err == nil {
			r.g.pace.succeeded()
		}
		return err
	})
	return r.settle(u, events, rep)
}

// nextBatch returns the events of the next batch and whether it has room for no more.
func (r *runner) nextBatch() (events []*Event, full bool) {
	size := 0
	for i, e := range r.ahead {
		if i > 0 && r.deaths[e.Position] > 0 {
			return r.ahead[:i], true
		}
		size += len(e.Data)
		if i+1 == r.g.Batch.Size || size >= r.g.Batch.Bytes {
			return r.ahead[:i+1], true
		}
	}
	return r.ahead, false
}

// patience returns how long a batch waits for more events.
func (r *runner) patience(full bool) time.Duration {
	now := r.f.Clock.Now()
	if r.since.IsZero() {
		r.since = now
	}
	if full {
		return 0
	}
	return r.g.Batch.Wait - now.Sub(r.since)
}

// lane is the lane into which batches of the partition go that failed.
func (r *runner) lane() string { return BatchLane(r.partition.Number) }

// BatchLane returns the lane of the batches of a partition that failed.
func BatchLane(partition int) string { return fmt.Sprint("partition ", partition) }

// held reports whether a batch that failed is in the way.
func (r *runner) held(s records.Scanner) (held bool, err error) {
	err = records.ScanLane(s, r.g.Function, records.LaneHash(r.lane()), records.DeliveryID{}, func(records.LaneEntry) bool {
		held = true
		return false
	})
	return held, err
}
