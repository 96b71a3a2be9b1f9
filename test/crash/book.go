package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// book is all files that were ever sent.
type book struct {
	mu     sync.Mutex
	rng    *rand.Rand
	files  []*file
	byName map[string]*file
}

func newBook(seed uint64) *book {
	return &book{rng: rand.New(rand.NewPCG(seed, 2)), byName: map[string]*file{}}
}

// add invents a file and returns it locked: it is being worked with.
func (b *book) add() *file {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := newFile(b.rng, len(b.files))
	f.mu.Lock()
	b.files = append(b.files, f)
	b.byName[f.name] = f
	return f
}

// all returns the files so far.
func (b *book) all() []*file {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.files[:len(b.files):len(b.files)]
}

// pick returns a known file with which something may happen and that nobody works
// with, locked; nil when it finds none. Most have not ended.
func (b *book) pick(rng *rand.Rand) *file {
	all := b.all()
	for range min(len(all), 20) {
		// The newest are those with which something happens.
		f := all[len(all)-1-rng.IntN(min(len(all), 60))]
		if !f.mu.TryLock() {
			continue
		}
		if f.id != "" && !f.left && (!f.hasEnded() || rng.IntN(8) == 0) {
			return f
		}
		f.mu.Unlock()
	}
	return nil
}

// compare checks a complete list of the program against the book. Nobody works with
// files meanwhile.
func (b *book) compare(rows []row) error {
	listed := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		f := b.byName[r.Name]
		if f == nil {
			return fmt.Errorf("nobody uploaded %q (%s)", r.Name, r.FileID)
		}
		if listed[r.Name] {
			return fmt.Errorf("%s is there twice", r.Name)
		}
		listed[r.Name] = true
		if err := f.observe(r, false); err != nil {
			return err
		}
	}
	for _, f := range b.all() {
		if (f.acked || f.seen != nil) && !listed[f.name] {
			return fmt.Errorf("%s (%s, %s, %d bytes) was acknowledged and is lost", f.name, f.id, f.kind, f.size)
		}
	}
	return nil
}
