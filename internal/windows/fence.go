package windows

import "sync"

// fence says when windows may be closed. Closing makes the batches that run meanwhile
// conflict, so it waits until none runs; or, where there is always one, until some have
// committed, and no one runs that it has made conflict already.
type fence struct {
	mu      sync.Mutex
	running map[int]bool // partitions with a batch
	fenced  map[int]bool // partitions whose last batch conflicted
	commits int          // since the last closing
}

// patience is how many batches commit before windows are closed while others run.
const patience = 8

func newFence() *fence {
	return &fence{running: map[int]bool{}, fenced: map[int]bool{}}
}

// enter notes that a partition's batch runs.
func (f *fence) enter(partition int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[partition] = true
}

// leave notes that it has ended.
func (f *fence) leave(partition int, committed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, partition)
	if committed {
		delete(f.fenced, partition)
		f.commits++
	}
}

// open reports whether windows may be closed now.
func (f *fence) open() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.running) == 0 {
		return true
	}
	for partition := range f.running {
		if f.fenced[partition] {
			return false
		}
	}
	return f.commits >= patience
}

// passed notes that windows were closed.
func (f *fence) passed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits = 0
	for partition := range f.running {
		f.fenced[partition] = true
	}
}
