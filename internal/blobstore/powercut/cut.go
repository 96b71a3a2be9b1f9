package powercut

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Log is a recorded sequence of steps.
type Log struct{ steps []step }

// Cut is one state in which a power cut may leave the folder. It is valid until
// the loop over Log.Cuts asks for the next.
type Cut struct {
	// After is the number of steps that had happened.
	After int
	// Step describes the last of them.
	Step string
	// Variant says what was done with changes that were not durable.
	Variant string
	// Marks are those recorded before the cut, in order.
	Marks []any

	root   *node
	choice choice
}

// String names the cut for test messages.
func (c Cut) String() string {
	return fmt.Sprintf("step %d (%s), %s", c.After, c.Step, c.Variant)
}

// choice decides what becomes of changes that were not durable.
type choice struct {
	name  string
	entry func() bool        // whether an entry change reached the disk
	bytes func() unsyncedEnd // what became of a file's last bytes
}

// unsyncedEnd is what became of the bytes after a file's last sync.
type unsyncedEnd int

const (
	lost   unsyncedEnd = iota // the file ends at its last sync
	torn                      // half of them are there
	zeroed                    // the length is right, the bytes are zero
	kept                      // all are there
)

// AllDurable is the Variant of a cut that takes nothing: there is no other.
const AllDurable = "all durable"

// Variants is the number of cuts after a step where something is not durable. With
// the first of them, nothing of that is kept.
const Variants = 5 + randomVariants

const randomVariants = 3

func choices(seed uint64) []choice {
	always := func(b bool) func() bool { return func() bool { return b } }
	end := func(e unsyncedEnd) func() unsyncedEnd { return func() unsyncedEnd { return e } }
	all := []choice{
		{"nothing unsynced kept", always(false), end(lost)},
		{"names kept, bytes lost", always(true), end(lost)},
		{"names kept, bytes torn", always(true), end(torn)},
		{"names kept, bytes zeroed", always(true), end(zeroed)},
		{"everything kept", always(true), end(kept)},
	}
	for i := range uint64(randomVariants) {
		rnd := rand.New(rand.NewPCG(seed, i))
		all = append(all, choice{
			name:  fmt.Sprintf("some kept (seed %d, %d)", seed, i),
			entry: func() bool { return rnd.IntN(2) == 0 },
			bytes: func() unsyncedEnd { return unsyncedEnd(rnd.IntN(int(kept) + 1)) },
		})
	}
	return all
}

// Cuts plays the log back and yields, before the first step and after each one,
// the states a power cut could leave. Where everything is durable that is one.
func (l Log) Cuts() iter.Seq[Cut] {
	return func(yield func(Cut) bool) {
		root := newFolder()
		files := map[int]*node{}
		var marks []any
		for i := range len(l.steps) + 1 {
			c := Cut{After: i, Step: "start", root: root}
			if i > 0 {
				s := l.steps[i-1]
				c.Step = fmt.Sprintf("%s %s", s.kind, s.path)
				if s.kind == mark {
					c.Step = fmt.Sprintf("mark %v", s.mark)
					marks = append(marks, s.mark)
				}
				root.play(s, files)
			}
			c.Marks = slices.Clip(marks)
			for _, c.choice = range choices(uint64(i)) {
				c.Variant = c.choice.name
				clean := root.clean()
				if clean {
					c.Variant = AllDurable
				}
				if !yield(c) {
					return
				}
				if clean {
					break
				}
			}
		}
	}
}

// WriteTo makes the state's files and folders in dir, which must exist.
func (c Cut) WriteTo(dir string) error { return c.root.writeTo(dir, c.choice) }

// node is a file or folder. A file is only ever written at its end.
type node struct {
	data   []byte
	synced int // this much of data is durable

	entries map[string]*node // nil for a file: what a running program sees
	durable map[string]*node // what a power cut leaves for certain
	changes []change         // from durable to entries, in order
}

// change is one change of a folder's entries.
type change struct {
	removed string // unless empty, this name goes
	added   string // unless empty, this name stands for node
	node    *node
}

func newFolder() *node {
	return &node{entries: map[string]*node{}, durable: map[string]*node{}}
}

func (c change) apply(entries map[string]*node) {
	if c.removed != "" {
		delete(entries, c.removed)
	}
	if c.added != "" {
		entries[c.added] = c.node
	}
}

func (n *node) change(c change) {
	c.apply(n.entries)
	n.changes = append(n.changes, c)
}

// find returns the folder at a relative path.
func (n *node) find(path string) *node {
	if path == "." {
		return n
	}
	return n.find(filepath.Dir(path)).entries[filepath.Base(path)]
}

func (n *node) play(s step, files map[int]*node) {
	name := filepath.Base(s.path)
	parent := func() *node { return n.find(filepath.Dir(s.path)) }
	switch s.kind {
	case mkdir:
		parent().change(change{added: name, node: newFolder()})
	case create:
		files[s.file] = &node{}
		parent().change(change{added: name, node: files[s.file]})
	case write:
		files[s.file].data = append(files[s.file].data, s.data...)
	case syncFile:
		files[s.file].synced = len(files[s.file].data)
	case rename:
		p := parent()
		p.change(change{removed: name, added: filepath.Base(s.to), node: p.entries[name]})
	case remove:
		parent().change(change{removed: name})
	case syncDir:
		dir := n.find(s.path)
		dir.durable, dir.changes = maps.Clone(dir.entries), nil
	}
}

// clean reports whether a power cut would take nothing.
func (n *node) clean() bool {
	if n.entries == nil {
		return n.synced == len(n.data)
	}
	if len(n.changes) > 0 {
		return false
	}
	for _, child := range n.durable {
		if !child.clean() {
			return false
		}
	}
	return true
}

func (n *node) writeTo(path string, c choice) error {
	if n.entries == nil {
		return os.WriteFile(path, n.left(c.bytes()), 0o600)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	entries := maps.Clone(n.durable)
	for _, change := range n.changes {
		if c.entry() {
			change.apply(entries)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if err := entries[name].writeTo(filepath.Join(path, name), c); err != nil {
			return err
		}
	}
	return nil
}

// left returns the bytes of a file after a power cut.
func (n *node) left(end unsyncedEnd) []byte {
	data := slices.Clone(n.data)
	switch unsynced := data[n.synced:]; end {
	case lost:
		return data[:n.synced]
	case torn:
		return data[:n.synced+len(unsynced)/2]
	case zeroed:
		clear(unsynced)
	}
	return data
}
