package consumer

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// maxTrim is how many events are removed in one commit.
const maxTrim = 10_000

// beginTrim removes old events in the background.
func (f *Feeder) beginTrim() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != started {
		return
	}
	f.trimming = true
	f.work.Go(func() {
		for _, r := range f.retentions {
			if err := f.Trim(f.base, r); err != nil && !f.isStopping() {
				f.Log.Warn("old events of a stream could not be removed for now", "stream", r.Stream, "error", err)
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.trimming = false
		f.tell()
		if f.state == started {
			f.nextTrim.Reset(f.RetainEvery)
		}
	})
}

// Trim removes the events of a stream that need not be kept.
func (f *Feeder) Trim(ctx context.Context, keep Retention) error {
	numbers, err := f.partitionsOf(keep.Stream)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		for more := true; more && !f.isStopping(); {
			if more, err = f.trimSome(ctx, keep, records.Partition{Stream: keep.Stream, Number: n}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Feeder) partitionsOf(stream string) ([]int, error) {
	snap, err := f.Env.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return records.StreamPartitions(snap, stream)
}

// trimSome removes some events of a partition, and reports whether there are more to
// be removed.
func (f *Feeder) trimSome(ctx context.Context, keep Retention, p records.Partition) (more bool, err error) {
	snap, err := f.Env.Snapshot()
	if err != nil {
		return false, err
	}
	defer snap.Close()
	read := uint64(math.MaxUint64) // by all groups
	if !keep.Hard {
		if read, err = readByAll(snap, p); err != nil {
			return false, err
		}
	}
	var old time.Time
	if keep.Age > 0 {
		old = f.Env.Now().Add(-keep.Age)
	}
	var txn store.Txn
	n, err := records.TrimStream(&txn, snap, p, maxTrim, func(e *Event, left int64) bool {
		return e.Position <= read && (e.Time.Before(old) || keep.Bytes > 0 && left > keep.Bytes)
	})
	if err != nil || n == 0 {
		return false, err
	}
	switch err := f.Committer.Commit(ctx, &txn); {
	case errors.Is(err, store.ErrConflict): // a group was set back, or another did it
		return false, nil
	case err != nil:
		return false, err
	}
	return n == maxTrim, nil
}

// readByAll returns the position up to which all groups have read a partition.
func readByAll(s store.Snapshot, p records.Partition) (uint64, error) {
	groups, err := records.StreamGroups(s, p.Stream)
	if err != nil {
		return 0, err
	}
	read := uint64(math.MaxUint64)
	for _, g := range groups {
		cursor, err := records.PeekCursor(records.View{Reader: s}, g, p.Number)
		if err != nil {
			return 0, err
		}
		read = min(read, cursor)
	}
	return read, nil
}
