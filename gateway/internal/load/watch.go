package load

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// DefaultInterval is how often files are looked at.
const DefaultInterval = 500 * time.Millisecond

// patience is how many looks in a row may find files changing before they are read all the same.
const patience = 4

// Watcher reads a configuration again when its files change. Poll and Reload may be called while it runs.
type Watcher struct {
	Source Source
	// Changed gets the new configuration. It is called by Run and Poll.
	Changed func(Result)
	// Failed gets the problems of one that has an error: the old one stays. It may be nil.
	Failed func(Result)
	// Clock says when to look; nil is the system's.
	Clock clock.Clock
	// Interval is the time between two looks, DefaultInterval unless it is positive.
	Interval time.Duration

	mu     sync.Mutex
	begun  bool
	looked []file // by the last look
	loaded []file // when the configuration was read
	digest [32]byte
	busy   int // looks in a row that found files changing
}

// Begin reads the configuration for the first time. Changes are those since then.
func (w *Watcher) Begin() Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = true
	w.looked, _ = w.Source.find()
	w.loaded = w.looked
	result := w.Source.Load()
	w.digest = result.Digest
	return result
}

// Run looks at the files until ctx is done, which it waits for. Begin has been called before, or is now,
// and its result passed on.
func (w *Watcher) Run(ctx context.Context) {
	w.mu.Lock()
	begun := w.begun
	w.mu.Unlock()
	if !begun {
		w.pass(w.Begin())
	}
	c, interval := w.Clock, w.Interval
	if c == nil {
		c = clock.System()
	}
	if interval <= 0 {
		interval = DefaultInterval
	}
	timer := c.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
			w.Poll()
			timer.Reset(interval)
		}
	}
}

// Poll looks at the files once. What has changed is read as soon as two looks in a row find the same, so that
// a file is not read while it is written.
func (w *Watcher) Poll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	files, _ := w.Source.find()
	settled := slices.Equal(files, w.looked)
	w.looked = files
	switch {
	case slices.Equal(files, w.loaded):
		w.busy = 0
		return
	case !settled:
		if w.busy++; w.busy < patience {
			return
		}
	}
	w.reload()
}

// Reload reads the files now, and passes the result on if their contents have changed. It reports whether they have.
func (w *Watcher) Reload() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reload()
}

func (w *Watcher) reload() bool {
	w.begun, w.busy = true, 0
	w.loaded, _ = w.Source.find()
	result := w.Source.Load()
	if result.Digest == w.digest {
		return false
	}
	w.digest = result.Digest
	w.pass(result)
	return true
}

func (w *Watcher) pass(result Result) {
	switch {
	case result.Config != nil:
		w.Changed(result)
	case w.Failed != nil:
		w.Failed(result)
	}
}
