// Package powerloss takes the power from a whole program: from its store and its blobs
// at the same moment. It is for tests.
//
// A Disk takes the place of the file systems that Perdure uses. While a program works
// on it, it takes a Cut before and after every sync: what the disk would hold had the
// power gone then. Restore makes a cut the machine's state, and the program can be
// started on it.
//
// The journal of what is running is not part of it: no sync ever makes it durable, so
// after a power cut it is empty here.
package powerloss

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/powercut"
)

// Disk is the file systems of one program: Pebble's crashable one in memory for the
// store, and the folder root, recorded step by step, for everything else.
type Disk struct {
	root  string
	store *vfs.MemFS
	files *powercut.Recorder

	// frozen is held for writing while a cut is taken: then no step happens in root.
	// The store may go on; what its clone holds is one moment.
	frozen sync.RWMutex

	mu       sync.Mutex
	promises int
	cuts     []cut
}

// cut is the store's part of a moment; the steps in root are marked with its number.
type cut struct {
	store    *vfs.MemFS
	promises int
}

// NewDisk returns a disk with nothing on it and puts it in the place of the machine's:
// programs that are started from now on in this process use it. Root must be an empty
// folder, and the data folder of the program lies in it. Stop the program, then call
// Unplug. Nothing else in the process may use a store meanwhile.
func NewDisk(root string) *Disk {
	d := &Disk{root: root, store: vfs.NewCrashableMem(), files: powercut.Record(machine.files, root)}
	vfs.Default, blobstore.OS = &storeFS{d.store, d.cut}, &filesFS{FS: d.files, disk: d}
	return d
}

// machine is the real file systems.
var machine = struct {
	store vfs.FS
	files blobstore.FS
}{vfs.Default, blobstore.OS}

// Unplug gives the machine its own file systems back. It may be called twice.
func (d *Disk) Unplug() { vfs.Default, blobstore.OS = machine.store, machine.files }

// Promise notes that the program has acknowledged something. Cuts know how many
// promises came before them.
func (d *Disk) Promise() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.promises++
}

// cut takes a cut. What is promised after it is begun may be in it or not.
func (d *Disk) cut() {
	d.frozen.Lock()
	defer d.frozen.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := cut{promises: d.promises}
	number := len(d.cuts)
	cfg := vfs.CrashCloneCfg{}
	if number%2 == 1 {
		cfg = vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(number), 1))}
	}
	c.store = d.store.CrashClone(cfg)
	d.files.Mark(number)
	d.cuts = append(d.cuts, c)
}

// Cut is what a power cut left.
type Cut struct {
	// Number counts the cuts of a disk from 0.
	Number int
	// Promises is how many promises had been made.
	Promises int
	// Unsynced says what became of changes that were not synced.
	Unsynced string

	root  string
	store *vfs.MemFS
	files powercut.Cut
}

// String names the cut for test messages.
func (c Cut) String() string {
	return fmt.Sprintf("cut %d after %d promises, %s", c.Number, c.Promises, c.Unsynced)
}

// Len is the number of cuts taken so far.
func (d *Disk) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.cuts)
}

// Cuts yields up to most cuts, evenly spread over all. With every other one all
// unsynced changes are lost; with the rest some are kept, in changing ways. A cut is
// valid until the loop asks for the next.
func (d *Disk) Cuts(most int) iter.Seq[Cut] {
	return func(yield func(Cut) bool) {
		last, variant := -1, 0
		for files := range d.files.Log().Cuts() {
			if !strings.HasPrefix(files.Step, "mark ") {
				continue
			}
			n := files.Marks[len(files.Marks)-1].(int)
			if variant++; n != last {
				last, variant = n, 0
			}
			taken := (n+1)*most/len(d.cuts) > n*most/len(d.cuts)
			if taken && (files.Variant == powercut.AllDurable || variant == n%2*(n/2%powercut.Variants)) &&
				!yield(Cut{n, d.cuts[n].promises, files.Variant, d.root, d.cuts[n].store, files}) {
				return
			}
		}
	}
}

// Restore makes the cut the state of the machine's disk, in the place of whatever is
// there.
func (c Cut) Restore() error {
	if err := os.RemoveAll(c.root); err != nil {
		return err
	}
	if err := os.Mkdir(c.root, 0o700); err != nil {
		return err
	}
	vfs.Default, blobstore.OS = c.store, machine.files
	return c.files.WriteTo(c.root)
}
