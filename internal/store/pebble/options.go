package pebble

import (
	"log/slog"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configures Open. The zero value, and nil, mean the defaults.
type Options struct {
	// FS is the file system; default the operating system's.
	FS vfs.FS
	// Logger receives Pebble's messages; default none. Pebble's chatter about
	// files goes to the debug level.
	Logger *slog.Logger
	// Now tells the time for leases; default time.Now.
	Now func() time.Time
	// OnFatal is called once, on a goroutine of its own, when the disk or the
	// engine failed in a way after which nothing may be written any more. The
	// program should stop: whether the last group is durable is known only
	// after the store was opened again.
	OnFatal func(error)
	// MemTableSize is the number of bytes gathered in memory before they are
	// written as a sorted file; default 64 MiB. Up to two such tables exist.
	MemTableSize int
	// CacheSize is the number of bytes of the cache of uncompressed blocks;
	// default 64 MiB.
	CacheSize int
}

// withDefaults returns a filled copy; o may be nil.
func (o *Options) withDefaults() Options {
	var filled Options
	if o != nil {
		filled = *o
	}
	if filled.FS == nil {
		filled.FS = vfs.Default
	}
	if filled.Logger == nil {
		filled.Logger = slog.New(slog.DiscardHandler)
	}
	if filled.Now == nil {
		filled.Now = time.Now
	}
	if filled.MemTableSize == 0 {
		filled.MemTableSize = 64 << 20
	}
	if filled.CacheSize == 0 {
		filled.CacheSize = 64 << 20
	}
	return filled
}

// engineOptions tunes Pebble for many tiny commits, each of them synced.
func (s *Store) engineOptions() *engine.Options {
	o := &engine.Options{
		FS:     s.fence,
		Logger: engineLogger{s},
		Merger: counterMerger,

		// An explicit version: Pebble's default may change between releases.
		FormatMajorVersion: engine.FormatTableFormatV6,

		CacheSize:    int64(s.opts.CacheSize),
		MemTableSize: uint64(s.opts.MemTableSize),
		// One table is filled while the other one is flushed; more would only
		// cost memory, since two cores flush faster than one committer fills.
		MemTableStopWritesThreshold: 2,

		// Compact level 0 when four memtables have come together, not at each:
		// writing every table twice at once costs more than filters let reads
		// of four cost.
		L0CompactionThreshold:     4,
		L0CompactionFileThreshold: 64,
		L0StopWritesThreshold:     24,
		LBaseMaxBytes:             256 << 20,

		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 2 },
		FlushSplitBytes:            4 << 20,
		// Purges give their disk space back without waiting for a full table.
		FlushDelayDeleteRange: 10 * time.Second,
		WALBytesPerSync:       0, // every commit syncs
		BytesPerSync:          512 << 10,
		MaxOpenFiles:          1000,
		EventListener:         s.listener(),
	}
	o.TargetFileSizes[0] = 8 << 20
	for i := range o.Levels {
		o.Levels[i] = engine.LevelOptions{
			BlockSize:      16 << 10,
			IndexBlockSize: 64 << 10,
			FilterPolicy:   bloom.FilterPolicy(10),
		}
	}
	return o
}
