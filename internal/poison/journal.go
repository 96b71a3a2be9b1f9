// Package poison remembers what is running, so that after a crash it is known
// what may have caused it.
//
// The journal is a small memory-mapped file. Entering and leaving are stores into
// the mapping: no system call, no sync. The kernel keeps them when the process is
// killed, exits or fails; after a power cut they may be lost or old, which is why
// an entry is a suspicion and never a verdict: whoever opens the journal charges
// each entry found with one process death, runs the suspects one at a time
// (Alone), and gives up on the one that keeps dying.
package poison

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
)

// Slots is how many entries the journal holds at a time.
const Slots = 4096

// MaxID is the greatest length of an entry's id, in bytes.
const MaxID = idWords * 8

// Kind says what an entry's id names. Numbers are never given a second meaning.
type Kind byte

// The kinds of entry.
const (
	Turn     Kind = 1 // a turn of an orchestration
	Activity Kind = 2 // a run of an activity
	Delivery Kind = 3 // a run of an event function
	Stream   Kind = 4 // a run of an event function on an event of a stream
)

// Entry is something that was running when a process died.
type Entry struct {
	Kind Kind
	ID   []byte
	slot Slot
}

// Slot is a place in the journal, from Enter to Leave.
type Slot int32

// none is the slot of what is not journalled.
const none Slot = -1

// Journal is the set of what is running. It is safe for concurrent use.
type Journal struct {
	words  []uint64           // the file as words
	flush  func(from, to int) // writes words [from, to) through; nil when stores are enough
	taken  [Slots / 64]bitmap // which slots are in use
	missed atomic.Int64       // entries that found no slot
	closed atomic.Bool
	done   func() error

	mu   sync.Mutex
	left []Entry

	alone turnstile
}

// bitmap is 64 slots, on a cache line of its own so that cores do not share one.
type bitmap struct {
	atomic.Uint64
	_ [56]byte
}

// Open opens the journal in the file at path, or makes it. What the previous
// process left is answered by Left. A file that is not a journal of this format
// is overwritten: its suspicions are not worth failing for. An empty path keeps
// the journal in memory, where it does not outlive the process. The caller makes
// sure that no other process has it open.
func Open(path string) (*Journal, error) {
	j := &Journal{done: func() error { return nil }}
	if path == "" {
		j.words = make([]uint64, fileWords)
		return j, nil
	}
	if err := allocate(path); err != nil {
		return nil, fmt.Errorf("poison: journal %q: %w", path, err)
	}
	if err := j.attach(path); err != nil {
		return nil, fmt.Errorf("poison: journal %q: %w", path, err)
	}
	j.recover()
	return j, nil
}

// allocate makes sure that the file has its full size on the disk: a store into
// a mapped page that has no room there would kill the process.
func allocate(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() == fileWords*8:
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, fileWords*8)); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// recover collects the entries in the file and empties slots that hold none.
func (j *Journal) recover() {
	if j.words[0] != magic {
		clear(j.words)
		j.words[0] = magic
		j.written(0, len(j.words))
		return
	}
	for s := range Slot(Slots) {
		kind, id, ok := readSlot(j.slot(s))
		if ok {
			j.left = append(j.left, Entry{Kind: kind, ID: id, slot: s})
			j.taken[s/64].Or(1 << (s % 64))
		} else {
			j.clear(s)
		}
	}
}

// Left returns the entries of kind that earlier processes left and that were not
// acknowledged. They stay in the journal, and count again if this process dies,
// until Ack.
func (j *Journal) Left(kind Kind) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var entries []Entry
	for _, e := range j.left {
		if e.Kind == kind {
			entries = append(entries, e)
		}
	}
	return entries
}

// Ack removes an entry that Left answered, once its charge is durable.
func (j *Journal) Ack(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, l := range j.left {
		if l.slot == e.slot {
			j.left = append(j.left[:i:i], j.left[i+1:]...)
			j.Leave(e.slot)
			return
		}
	}
}

// Enter notes that what id names is about to run. When the journal is full, or id
// is longer than MaxID, it goes unnoticed and is counted.
func (j *Journal) Enter(kind Kind, id []byte) Slot {
	if len(id) > MaxID || j.closed.Load() {
		j.missed.Add(1)
		return none
	}
	s := j.take()
	if s == none {
		j.missed.Add(1)
		return none
	}
	writeSlot(j.slot(s), kind, id)
	j.written(j.bounds(s))
	return s
}

// Leave notes that it has ended. The slot must not be used again.
func (j *Journal) Leave(s Slot) {
	if s == none || j.closed.Load() { // Close has emptied it; it may be another's now
		return
	}
	j.clear(s)
	j.taken[s/64].And(^(uint64(1) << (s % 64)))
}

// Missed returns how many runs went unnoticed.
func (j *Journal) Missed() int64 { return j.missed.Load() }

// Close empties the journal, except for entries not yet acknowledged: what still
// runs in a process that ends in order is no suspect. Runs that outlast Close may
// still leave.
func (j *Journal) Close() error {
	if j.closed.Swap(true) {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	keep := map[Slot]bool{}
	for _, e := range j.left {
		keep[e.slot] = true
	}
	for s := range Slot(Slots) {
		if !keep[s] {
			j.clear(s)
		}
	}
	return j.done()
}

// take claims a free slot. It begins anywhere, so that cores seldom meet.
func (j *Journal) take() Slot {
	first := rand.Uint32()
	for i := range uint32(len(j.taken)) {
		n := (first + i) % uint32(len(j.taken))
		word := &j.taken[n]
		for old := word.Load(); old != ^uint64(0); old = word.Load() {
			bit := bits.TrailingZeros64(^old)
			if word.CompareAndSwap(old, old|1<<bit) {
				return Slot(n)*64 + Slot(bit)
			}
		}
	}
	return none
}

func (j *Journal) bounds(s Slot) (from, to int) {
	from = headerWords + int(s)*slotWords
	return from, from + slotWords
}

func (j *Journal) slot(s Slot) *[slotWords]uint64 {
	from, to := j.bounds(s)
	return (*[slotWords]uint64)(j.words[from:to])
}

// clear empties a slot.
func (j *Journal) clear(s Slot) {
	if clearSlot(j.slot(s)) {
		from, _ := j.bounds(s)
		j.written(from, from+1)
	}
}

func (j *Journal) written(from, to int) {
	if j.flush != nil {
		j.flush(from, to)
	}
}
