// Package collector removes the bytes of blobs that no name stands for any more.
package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// Objects is what the collector needs of the place where objects are.
type Objects interface {
	// Delete removes an object for good; removing an absent one is no error.
	Delete(ctx context.Context, key string) error
	// List calls visit for each object until it returns an error. It leaves out
	// those that a unit of work under way in this process may still name.
	List(ctx context.Context, visit func(key string, size int64, modTime time.Time) error) error
	// Tidy removes what broken-off creations left before the time.
	Tidy(ctx context.Context, before time.Time) error
}

// Committer commits a transaction and waits until it is durable.
type Committer interface {
	Commit(ctx context.Context, txn *store.Txn) error
}

// Config says what to collect and when. Store, Committer and Objects are needed.
type Config struct {
	Store     store.Store
	Committer Committer
	Objects   Objects
	// Clock is the app's; the system's when nil.
	Clock clock.Clock
	// Hold is how long an object stays after it lost its name. Zero suits a
	// driver whose open handles outlive Delete; readers that open an object
	// again and again need the time the longest of them takes.
	Hold time.Duration
	// Grace is how old an object must be that no commit has named, before it
	// counts as left behind by a crash; an hour when zero. It must be longer
	// than any unit of work that another process may have under way.
	Grace time.Duration
	// Sweep is the time between two searches for such objects, each of which
	// lists them all; an hour when zero. The first is at the start.
	Sweep time.Duration
	// Log takes what goes wrong; slog.Default when nil.
	Log *slog.Logger
}

// retryAfter is how soon Run tries again what failed, and looks for garbage that
// was put on hold.
const retryAfter = 10 * time.Second

// batch is how many objects are dealt with between two looks at the store.
const batch = 100

// Collector removes objects. An object goes first and what is known of it last,
// so a crash in between is made good by the next run.
type Collector struct{ Config }

// New returns a collector.
func New(c Config) *Collector {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.Grace == 0 {
		c.Grace = time.Hour
	}
	if c.Sweep == 0 {
		c.Sweep = time.Hour
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Collector{c}
}

// Stats says what a collection removed.
type Stats struct {
	// Garbage counts objects that had lost their names.
	Garbage int
	// Orphans counts objects that never had one.
	Orphans int
}

// Run collects until ctx ends: garbage as soon as there is some, orphans at the
// start and then once per Config.Sweep. It returns nil, or the error that makes
// going on useless, because the store is closed.
func (c *Collector) Run(ctx context.Context) error {
	changes, stop := records.WatchBlobGarbage(c.Store)
	defer stop()
	var nextSweep time.Time
	for ctx.Err() == nil {
		now := c.Clock.Now()
		_, err := c.CollectGarbage(ctx, now)
		if !now.Before(nextSweep) {
			_, sweepErr := c.CollectOrphans(ctx, now)
			err = errors.Join(err, sweepErr)
			nextSweep = now.Add(c.Sweep)
		}
		wait := nextSweep.Sub(now)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrOutcomeUnknown):
			return err
		case err != nil:
			c.Log.ErrorContext(ctx, "collecting blobs failed", "error", err)
			wait = min(wait, retryAfter)
		case c.Hold > 0:
			wait = min(wait, retryAfter)
		}
		timer := c.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changes:
		case <-timer.C():
		}
		timer.Stop()
	}
	return nil
}

// Collect removes what is due at now. Errors about single objects do not keep it
// from the others.
func (c *Collector) Collect(ctx context.Context, now time.Time) (Stats, error) {
	garbage, err := c.CollectGarbage(ctx, now)
	orphans, sweepErr := c.CollectOrphans(ctx, now)
	return Stats{garbage, orphans}, errors.Join(err, sweepErr)
}

// CollectGarbage removes the objects that had lost their names by now less
// Config.Hold, and returns their number.
func (c *Collector) CollectGarbage(ctx context.Context, now time.Time) (removed int, err error) {
	var last *records.BlobGarbage
	var failures []error
	for {
		due, err := c.garbage(now.Add(-c.Hold), last)
		if err != nil {
			return removed, errors.Join(append(failures, err)...)
		}
		if len(due) == 0 {
			return removed, errors.Join(failures...)
		}
		last = &due[len(due)-1]
		var txn store.Txn
		gone := 0
		for _, g := range due {
			if err := c.Objects.Delete(ctx, g.Object); err != nil {
				failures = append(failures, fmt.Errorf("delete object %s: %w", g.Object, err))
				continue
			}
			failpoint.Hit(failpoint.CollectorRemoved)
			records.DropBlobGarbage(&txn, g)
			gone++
		}
		if txn.Empty() {
			continue
		}
		if err := c.Committer.Commit(ctx, &txn); err != nil {
			return removed, errors.Join(append(failures, fmt.Errorf("forget objects: %w", err))...)
		}
		removed += gone
	}
}

// garbage returns the next batch of objects to remove.
func (c *Collector) garbage(until time.Time, after *records.BlobGarbage) (due []records.BlobGarbage, err error) {
	snap, err := c.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	err = records.ScanBlobGarbage(snap, until, after, func(g records.BlobGarbage) bool {
		due = append(due, g)
		return len(due) < batch
	})
	return due, err
}

// CollectOrphans removes the objects, and the remains of objects, that no commit
// has named, if they are older than Config.Grace at now. It returns the number of
// objects.
func (c *Collector) CollectOrphans(ctx context.Context, now time.Time) (removed int, err error) {
	before := now.Add(-c.Grace)
	tidyErr := c.Objects.Tidy(ctx, before) // whole objects do not wait for its success
	if tidyErr != nil {
		tidyErr = fmt.Errorf("tidy: %w", tidyErr)
	}
	var old []string
	remove := func() error {
		n, err := c.removeUnknown(ctx, old)
		removed += n
		old = old[:0]
		return err
	}
	err = c.Objects.List(ctx, func(key string, _ int64, modTime time.Time) error {
		if !modTime.Before(before) {
			return nil
		}
		if old = append(old, key); len(old) < batch {
			return nil
		}
		return remove()
	})
	if err == nil {
		err = remove()
	}
	if err != nil {
		err = fmt.Errorf("sweep objects: %w", err)
	}
	return removed, errors.Join(tidyErr, err)
}

// removeUnknown removes those of the objects that no commit has named. They were
// listed, so no unit of this process was going to name them; the snapshot is
// taken after that, so it shows what units that had ended by then have named.
func (c *Collector) removeUnknown(ctx context.Context, objects []string) (removed int, err error) {
	if len(objects) == 0 {
		return 0, nil
	}
	snap, err := c.Store.Snapshot()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for _, object := range objects {
		state, _, err := records.ReadObject(snap, object)
		if err != nil {
			return removed, err
		}
		if state != records.ObjectUnknown {
			continue
		}
		if err := c.Objects.Delete(ctx, object); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
