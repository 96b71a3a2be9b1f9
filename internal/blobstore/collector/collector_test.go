package collector_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/collector"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// world is a store and a folder of objects.
type world struct {
	t         *testing.T
	store     *memory.Store
	committer *store.Committer
	root      string
	dir       *blobstore.Dir
	env       *unit.Env
	now       time.Time // of units; the folder's files have the machine's time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: memory.New(nil), root: t.TempDir(), now: time.Now()}
	w.committer = store.NewCommitter(w.store, store.CommitterOptions{})
	w.env = &unit.Env{Snapshot: w.store.Snapshot, Now: func() time.Time { return w.now }}
	w.reopen()
	t.Cleanup(func() {
		w.committer.Close()
		if err := errors.Join(w.dir.Close(), w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// reopen opens the folder as a new process would: nothing is pending.
func (w *world) reopen() {
	w.t.Helper()
	if w.dir != nil {
		if err := w.dir.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	dir, err := blobstore.OpenDir(w.root, blobstore.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.dir = dir
}

func (w *world) create() string {
	w.t.Helper()
	key, _, err := w.dir.Create(w.t.Context(), strings.NewReader("x"), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *world) unit(f func(u *unit.Unit) error) {
	w.t.Helper()
	err := unit.Run(w.t.Context(), w.env, w.committer, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return f(u)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func blobKey(name string) records.BlobKey { return records.BlobKey{Container: "files", Name: name} }

// put writes a blob and returns its object.
func (w *world) put(name string) string {
	w.t.Helper()
	object := w.create()
	w.unit(func(u *unit.Unit) error {
		return records.PutBlob(u, blobKey(name), &records.Blob{Object: object}, u.Now())
	})
	w.dir.Settle(object)
	return object
}

func (w *world) remove(name string) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) error {
		_, err := records.DeleteBlob(u, blobKey(name), u.Now())
		return err
	})
}

func (w *world) has(object string) bool {
	w.t.Helper()
	r, err := w.dir.Open(w.t.Context(), object)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Close() == nil
}

// known returns what the store still knows of objects that lost their names.
func (w *world) known(objects ...string) (n int) {
	w.t.Helper()
	snap, err := w.store.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range objects {
		if state, _, err := records.ReadObject(snap, o); err != nil || state != records.ObjectUnknown {
			n++
		}
	}
	err = records.ScanBlobGarbage(snap, w.now.Add(1000*time.Hour), nil, func(records.BlobGarbage) bool {
		n++
		return true
	})
	if err := errors.Join(err, snap.Close()); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) config() collector.Config {
	return collector.Config{Store: w.store, Committer: w.committer, Objects: w.dir}
}

func TestGarbageGoesAtOnceAndMappedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replaced, current := w.put("a"), w.put("a")
	deleted := w.put("b")
	w.remove("b")
	stats, err := collector.New(w.config()).Collect(t.Context(), w.now)
	if err != nil || stats != (collector.Stats{Garbage: 2}) {
		t.Errorf("got %+v, %v", stats, err)
	}
	if w.has(replaced) || w.has(deleted) || !w.has(current) {
		t.Errorf("replaced %v, deleted %v, current %v", w.has(replaced), w.has(deleted), w.has(current))
	}
	if n := w.known(replaced, deleted); n != 0 {
		t.Errorf("%d records left of what was removed", n)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	object := w.put("a")
	w.remove("a")
	config := w.config()
	config.Hold = 24 * time.Hour // longer than the grace of unnamed objects
	c := collector.New(config)
	for _, tc := range []struct {
		after time.Duration
		has   bool
	}{{0, true}, {config.Hold - 1, true}, {config.Hold, false}} {
		if _, err := c.Collect(t.Context(), w.now.Add(tc.after)); err != nil {
			t.Fatal(err)
		}
		if w.has(object) != tc.has {
			t.Errorf("%v after the delete the object is there: %v", tc.after, w.has(object))
		}
	}
}

func TestManyMoreThanABatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Objects of which the bytes are gone already: what is counted is records.
	w.unit(func(u *unit.Unit) error {
		for i := range 250 {
			object := strings.Repeat("0", 29) + string(rune('a'+i%6)) + string(rune('0'+i/6%10)) + string(rune('0'+i/60))
			err := records.PutBlob(u, blobKey("a"), &records.Blob{Object: object}, u.Now())
			if err != nil {
				return err
			}
		}
		return nil
	})
	stats, err := collector.New(w.config()).Collect(t.Context(), w.now)
	if err != nil || stats.Garbage != 249 || w.known() != 0 {
		t.Errorf("got %+v, %v; %d records left", stats, err, w.known())
	}
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mapped, crashed := w.put("a"), w.create()
	var broken string
	_, _, err := w.dir.Create(t.Context(), readerFunc(func([]byte) (int, error) {
		matches, err := filepath.Glob(filepath.Join(w.root, "*", "*.tmp"))
		if err != nil || len(matches) != 1 {
			t.Fatalf("temporary files %v, %v", matches, err)
		}
		broken = filepath.Join(filepath.Dir(matches[0]), filepath.Base(filepath.Dir(matches[0]))+strings.Repeat("0", 30)+".tmp")
		f, err := blobstore.OS.Create(broken) // what a crash leaves
		return 0, errors.Join(err, f.Close(), io.EOF)
	}), 0)
	if broken == "" {
		t.Fatal(err)
	}
	w.reopen()
	pending := w.create() // its unit has not ended
	c := collector.New(w.config())
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{0, 0}, {50 * time.Minute, 0}, {2 * time.Hour, 1}, {2 * time.Hour, 0}} {
		stats, err := c.Collect(t.Context(), time.Now().Add(tc.after))
		if err != nil || stats != (collector.Stats{Orphans: tc.want}) {
			t.Errorf("after %v: %+v, %v", tc.after, stats, err)
		}
	}
	if w.has(crashed) || !w.has(mapped) || !w.has(pending) {
		t.Errorf("crashed %v, mapped %v, pending %v", w.has(crashed), w.has(mapped), w.has(pending))
	}
	if _, err := blobstore.OS.Stat(broken); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remains of a broken-off creation: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// An object that gets its name between being listed and being looked up stays:
// this is the moment in which the order of the two matters.
func TestObjectNamedDuringTheSweepStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	object := w.create()
	config := w.config()
	config.Objects = listHook{w.dir, func(visit func(string)) {
		// The unit commits and settles after the list was begun.
		w.unit(func(u *unit.Unit) error {
			return records.PutBlob(u, blobKey("a"), &records.Blob{Object: object}, u.Now())
		})
		w.dir.Settle(object)
		visit(object)
	}}
	stats, err := collector.New(config).Collect(t.Context(), time.Now().Add(2*time.Hour))
	if err != nil || stats.Orphans != 0 || !w.has(object) {
		t.Errorf("got %+v, %v; object is there: %v", stats, err, w.has(object))
	}
}

type listHook struct {
	*blobstore.Dir
	list func(visit func(string))
}

func (l listHook) List(_ context.Context, visit func(string, int64, time.Time) error) (err error) {
	l.list(func(key string) { err = errors.Join(err, visit(key, 1, time.Time{})) })
	return err
}

var errFault = errors.New("injected fault")

// faults lets a number of operations pass and fails those after, as a crash would.
type faults struct {
	collector.Objects
	collector.Committer
	left int
}

func (f *faults) pass() error {
	if f.left--; f.left < 0 {
		return errFault
	}
	return nil
}

func (f *faults) Delete(ctx context.Context, key string) error {
	if err := f.pass(); err != nil {
		return err
	}
	return f.Objects.Delete(ctx, key)
}

func (f *faults) Commit(ctx context.Context, txn *store.Txn) error {
	if err := f.pass(); err != nil {
		return err
	}
	return f.Committer.Commit(ctx, txn)
}

func TestCrashAtEachOperation(t *testing.T) {
	t.Parallel()
	for i, failed := 0, true; failed; i++ {
		w := newWorld(t)
		old, current, deleted, orphan := w.put("a"), w.put("a"), w.put("b"), w.create()
		w.remove("b")
		w.reopen()
		f := &faults{w.dir, w.committer, i}
		config := w.config()
		config.Objects, config.Committer = f, f
		later := time.Now().Add(2 * time.Hour)
		_, err := collector.New(config).Collect(t.Context(), later)
		if failed = err != nil; failed && !errors.Is(err, errFault) {
			t.Fatal(err)
		}
		if !w.has(current) {
			t.Fatalf("crash at operation %d removed a blob", i)
		}
		w.reopen()
		if _, err := collector.New(w.config()).Collect(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		for what, object := range map[string]string{"replaced": old, "deleted": deleted, "orphaned": orphan} {
			if w.has(object) || w.known(object) != 0 {
				t.Errorf("crash at operation %d leaks the %s object", i, what)
			}
		}
		if !w.has(current) {
			t.Errorf("crash at operation %d: the blob is gone", i)
		}
		if !failed && i != 4 {
			t.Errorf("%d operations, want 4: three deletes and a commit", i)
		}
	}
}

func TestOneStubbornObjectDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stubborn, other := w.put("a"), w.put("b")
	w.remove("a")
	w.now = w.now.Add(time.Second)
	w.remove("b")
	config := w.config()
	config.Objects = stubbornObjects{w.dir, stubborn}
	removed, err := collector.New(config).CollectGarbage(t.Context(), w.now)
	if !errors.Is(err, errFault) || removed != 1 || w.has(other) || !w.has(stubborn) {
		t.Errorf("removed %d, %v", removed, err)
	}
	if w.known(stubborn) != 2 {
		t.Error("the stubborn object is forgotten")
	}
}

type stubbornObjects struct {
	*blobstore.Dir
	stubborn string
}

func (o stubbornObjects) Delete(ctx context.Context, key string) error {
	if key == o.stubborn {
		return errFault
	}
	return o.Dir.Delete(ctx, key)
}

// untidy is a place whose remains cannot be removed.
type untidy struct{ *blobstore.Dir }

func (untidy) Tidy(context.Context, time.Time) error { return errFault }

func TestOrphansDoNotWaitForTidiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crashed := w.create()
	w.reopen()
	config := w.config()
	config.Objects = untidy{w.dir}
	removed, err := collector.New(config).CollectOrphans(t.Context(), time.Now().Add(2*time.Hour))
	if removed != 1 || !errors.Is(err, errFault) || w.has(crashed) {
		t.Errorf("%d removed, %v", removed, err)
	}
}

// signalling tells when objects are deleted and when a sweep begins.
type signalling struct {
	*blobstore.Dir
	deleted, swept chan string
}

func (s signalling) Delete(ctx context.Context, key string) error {
	err := s.Dir.Delete(ctx, key)
	s.deleted <- key
	return err
}

func (s signalling) Tidy(ctx context.Context, before time.Time) error {
	s.swept <- "sweep"
	return s.Dir.Tidy(ctx, before)
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	manual := clock.NewManual(w.now)
	signals := signalling{w.dir, make(chan string), make(chan string)}
	config := w.config()
	config.Objects, config.Clock = signals, manual
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := collector.New(config).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-signals.swept // at the start
	object := w.put("a")
	w.remove("a")
	if got := <-signals.deleted; got != object { // at once
		t.Errorf("deleted %s, want %s", got, object)
	}
	orphan := w.create()
	w.dir.Settle(orphan) // as in a new process
	for got := ""; got != orphan; {
		select {
		case <-signals.swept:
		case got = <-signals.deleted:
			if got != orphan {
				t.Fatalf("deleted %s, want %s", got, orphan)
			}
		case <-time.After(time.Millisecond): // Run may not have set its timer yet
			manual.Advance(time.Hour)
		}
	}
	cancel()
	wg.Wait()
}

func TestRunEndsWithTheStore(t *testing.T) {
	t.Parallel()
	s := memory.New(nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	config := w.config()
	config.Store = s
	if err := collector.New(config).Run(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v, want %v", err, store.ErrClosed)
	}
}
