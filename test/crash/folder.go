package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/collector"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
)

// folderStats says what was in the folder at the end.
type folderStats struct {
	Instances int
	Objects   int // after collection
	Collected collector.Stats
}

// lookInto opens the folder of the stopped program and checks what clients cannot see:
// one ended instance for each file, with a result that agrees with the row; no event,
// delivery or dead letter left; and, after a collection, no object that nothing names.
func (b *book) lookInto(ctx context.Context, data string) (stats folderStats, err error) {
	s, err := pebble.Open(filepath.Join(data, "store"), nil)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	snap, err := s.Snapshot()
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	if stats.Instances, err = b.compareInstances(snap); err != nil {
		return stats, err
	}
	if err := nothingLeft(snap); err != nil {
		return stats, err
	}
	blobs := filepath.Join(data, "blobs")
	if stats.Collected, err = collect(ctx, s, blobs); err != nil {
		return stats, err
	}
	named, err := b.namedObjects(s)
	if err != nil {
		return stats, err
	}
	stats.Objects, err = compareObjects(blobs, named)
	return stats, err
}

// compareInstances checks that each file has exactly one instance, and each instance a
// file.
func (b *book) compareInstances(r store.Reader) (int, error) {
	instances := map[string]*records.Instance{}
	var failed error
	for state := records.Running; state <= records.Terminated; state++ {
		err := records.ListInstances(r, state, nil, func(_ records.InstanceKey, in *records.Instance, _ []byte) bool {
			switch {
			case instances[in.ID] != nil:
				failed = fmt.Errorf("instance %s is there twice", in.ID)
			case in.State != records.Completed:
				failed = fmt.Errorf("instance %s is %s: %s", in.ID, in.State, in.Reason)
			}
			instances[in.ID] = in
			return failed == nil
		})
		if err = errors.Join(err, failed); err != nil {
			return 0, err
		}
	}
	files := 0
	for _, f := range b.all() {
		if f.seen == nil {
			continue
		}
		files++
		in := instances[f.id]
		if in == nil {
			return 0, fmt.Errorf("%s (%s) has no instance", f.name, f.id)
		}
		var result string
		if err := json.Unmarshal(in.Output, &result); err != nil || result != f.seen.State {
			return 0, fmt.Errorf("%s (%s) is %s, its instance has the result %s", f.name, f.id, f.seen.State, in.Output)
		}
	}
	if len(instances) != files {
		return 0, fmt.Errorf("%d files have %d instances", files, len(instances))
	}
	return files, nil
}

// nothingLeft checks that no work and no dead letter is stored.
func nothingLeft(r store.Reader) error {
	functions, err := records.DeliveryFunctions(r)
	if err != nil {
		return err
	}
	if len(functions) > 0 {
		return fmt.Errorf("deliveries are left, of %q", functions)
	}
	for _, function := range []string{"startProcess", "raised-events"} {
		err = errors.Join(err, records.ListDeadLetters(r, function, nil, func(l *records.DeadLetter, _ []byte) bool {
			err = fmt.Errorf("dead letter of %s: %s", function, l.Reason)
			return false
		}))
	}
	return errors.Join(err,
		records.BusyInstances(r, func(k records.InstanceKey) bool {
			err = fmt.Errorf("instance %d is still busy", k)
			return false
		}),
		records.KeptIDs(r, func(id string, _ time.Time) bool {
			err = fmt.Errorf("an event for %s is still kept", id)
			return false
		}), err)
}

// collect removes what nothing names, as the program would hours later.
func collect(ctx context.Context, s store.Store, blobs string) (stats collector.Stats, err error) {
	dir, err := blobstore.OpenDir(blobs, blobstore.Options{})
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	committer := store.NewCommitter(s, store.CommitterOptions{})
	defer committer.Close()
	c := collector.New(collector.Config{Store: s, Committer: committer, Objects: dir})
	return c.Collect(ctx, time.Now().Add(2*c.Grace))
}

// namedObjects returns the objects that blobs name, and checks that available files
// have theirs and that nobody else has.
func (b *book) namedObjects(s store.Store) (map[string]bool, error) {
	u := unit.New(&unit.Env{Snapshot: s.Snapshot, Now: time.Now})
	defer u.Discarded()
	byID := map[string]*file{}
	left := 0 // available files whose blob was not met
	for _, f := range b.all() {
		if f.seen == nil {
			continue
		}
		byID[f.id] = f
		if f.seen.State == available {
			left++
		}
	}
	named := map[string]bool{}
	for _, container := range []string{"files", "thumbnails"} {
		var failed error
		err := records.ScanBlobs(u, records.BlobScan{Container: container}, func(name string, blob *records.Blob) bool {
			f := byID[name]
			switch {
			case f == nil:
				failed = fmt.Errorf("container %s: %s belongs to no file", container, name)
			case f.seen.State != available:
				failed = fmt.Errorf("container %s: the bytes of %s (%s) can be reached, it is %s", container, f.name, name, f.seen.State)
			case named[blob.Object]:
				failed = fmt.Errorf("container %s: object %s has two names", container, blob.Object)
			case container == "files":
				left--
			}
			named[blob.Object] = true
			return failed == nil
		})
		if err = errors.Join(err, failed); err != nil {
			return nil, err
		}
	}
	if left != 0 {
		return nil, fmt.Errorf("%d available files have no bytes", left)
	}
	return named, nil
}

var objectName = regexp.MustCompile(`^[0-9a-f]{32}$`)

// compareObjects checks that the folder of the blobs holds the named objects and
// nothing else.
func compareObjects(blobs string, named map[string]bool) (int, error) {
	found := 0
	err := filepath.WalkDir(blobs, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir(), name == "lock":
			return nil
		case !objectName.MatchString(name):
			return fmt.Errorf("a file that is no object is left: %s", path)
		case !named[name]:
			return fmt.Errorf("an object that nothing names is left: %s", path)
		}
		found++
		return nil
	})
	if err == nil && found != len(named) {
		err = fmt.Errorf("%d objects are named, %d are there", len(named), found)
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("the blobs are gone: %w", err)
	}
	return found, err
}
