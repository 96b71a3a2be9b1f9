package windows_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/internal/windows"
	"github.com/perdure/perdure/window"
)

// visit is the event of the tests.
type visit struct {
	ID  int
	Who string
	At  int64 // seconds after start
}

func (v visit) time() time.Time { return start.Add(time.Duration(v.At) * time.Second) }

var start = time.Date(2026, 5, 4, 3, 2, 0, 0, time.UTC)

type (
	result   = window.Result[string, int]
	function = windows.Function[visit, string, int]
	config   = windows.Config[visit, string, int]
)

// tester is what a test and a check of rapid have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// world is a store with a stream and a function that counts its events.
type world struct {
	t         tester
	clock     *clock.Manual
	store     store.Store
	committer *store.Committer
	env       *unit.Env
	config    config
	f         *function
	// lose, if there, says of a commit that it is lost, or that its answer is.
	lose atomic.Pointer[func() (before, after bool)]
	// conflicts counts units that ran again.
	conflicts atomic.Int64
	events    int // appended
}

const (
	functionName = "count"
	streamName   = "visits"
	partitions   = 3
)

var errLost = errors.New("lost")

// Commit implements unit.Committer.
func (w *world) Commit(ctx context.Context, txn *store.Txn) error {
	var before, after bool
	if lose := w.lose.Load(); lose != nil {
		before, after = (*lose)()
	}
	if before {
		return errLost
	}
	err := w.committer.Commit(ctx, txn)
	if errors.Is(err, store.ErrConflict) {
		w.conflicts.Add(1)
	}
	if after && err == nil {
		return store.ErrOutcomeUnknown
	}
	return err
}

func newWorld(t tester, w window.Windows, change ...func(*config)) *world {
	s := memory.New(nil)
	world := &world{
		t: t, clock: clock.NewManual(start), store: s,
		committer: store.NewCommitter(s, store.CommitterOptions{}),
	}
	world.env = &unit.Env{Snapshot: s.Snapshot, Now: world.clock.Now}
	world.config = config{
		Name: functionName, Stream: streamName, Partitions: partitions, Windows: w,
		Key: func(v visit) string { return v.Who }, Aggregate: window.Count[visit],
		Handle: keep, Env: world.env, Committer: world, Clock: world.clock, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&world.config)
	}
	world.begin()
	return world
}

// begin starts the function.
func (w *world) begin() {
	w.t.Helper()
	f, err := windows.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.f = f
	if err := f.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// end stops everything.
func (w *world) end() {
	if err := w.f.Stop(context.Background()); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	w.committer.Close()
	if err := w.store.Close(); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

// crash replaces the function by one that knows only what is stored.
func (w *world) crash() {
	w.t.Helper()
	lose := w.lose.Swap(nil)
	if err := w.f.Stop(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.begin()
	w.lose.Store(lose)
}

// resultSpace is where keep stores results: it belongs to nobody.
const resultSpace = 0xF0

// keep stores a result in the unit that closes its window. It fails if there is one of
// that window and revision.
func keep(ctx context.Context, r result) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	key := fmt.Appendf([]byte{resultSpace}, "%s %019d %06d", r.Key, r.Start.UnixNano(), r.Revision)
	if old, err := u.Get(key); err != nil || old != nil {
		return fmt.Errorf("a second result %s: %s, %w", key[1:], old, err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return u.Put(key, data)
}

// results returns what keep stored: all revisions, in order.
func (w *world) results() (all []result) {
	w.t.Helper()
	w.scan(resultSpace, func(it store.Item) {
		var r result
		if err := json.Unmarshal(it.Value, &r); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, r)
	})
	slices.SortStableFunc(all, func(a, b result) int {
		return cmp.Or(a.End.Compare(b.End), a.Start.Compare(b.Start), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Revision, b.Revision))
	})
	return all
}

// latest returns the latest results: those that hold.
func (w *world) latest() (all []result) {
	last := map[string]result{}
	for _, r := range w.results() {
		id := fmt.Sprint(r.Key, r.Start)
		old, known := last[id]
		if known && old.Revision > r.Revision {
			continue
		}
		last[id] = r
	}
	for _, r := range last {
		if !r.Withdrawn {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b result) int {
		return cmp.Or(a.End.Compare(b.End), a.Start.Compare(b.Start), cmp.Compare(a.Key, b.Key))
	})
	return all
}

func (w *world) scan(space byte, visit func(store.Item)) {
	w.t.Helper()
	snap, err := w.store.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	err = snap.Scan(store.Range{Start: []byte{space}, End: []byte{space + 1}}, func(it store.Item) bool {
		visit(it)
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// stored counts what is stored of open windows.
func (w *world) stored() (n int) {
	for space := byte(0x7A); space <= 0x7D; space++ {
		w.scan(space, func(store.Item) { n++ })
	}
	return n
}

// openCounts returns what the panes of a function that counts have counted.
func (w *world) openCounts() (counts []int) {
	w.t.Helper()
	w.scan(0x7A, func(it store.Item) {
		state := window.Count[visit]()
		if err := state.UnmarshalBinary(it.Value[17:]); err != nil { // behind format, end and changes
			w.t.Fatal(err)
		}
		counts = append(counts, state.Result())
	})
	return counts
}

// append adds events to a partition.
func (w *world) append(partition int, visits ...visit) {
	w.t.Helper()
	var events []*records.Event
	for _, v := range visits {
		w.events++
		v.ID = w.events
		data, err := json.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, &records.Event{Partition: partition, Time: w.clock.Now(), Data: data})
	}
	err := unit.Run(context.Background(), w.env, w.committer, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return records.AppendEvents(u, streamName, events...)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// feed hands the function the next events of a partition, as its consumer does, and
// returns how many there were.
func (w *world) feed(partition, limit int) (n int, err error) {
	return w.feedWhile(partition, limit, w.f, nil)
}

// feedAside is feed by a function that does not know of the one that closes windows, as in
// another process. Meanwhile is called when the first run is about to commit.
func (w *world) feedAside(partition, limit int, meanwhile func()) (n int, err error) {
	w.t.Helper()
	aside, err := windows.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	defer w.f.Look()
	return w.feedWhile(partition, limit, aside, meanwhile)
}

func (w *world) feedWhile(partition, limit int, f *function, meanwhile func()) (n int, err error) {
	group := records.Group{Stream: streamName, Function: functionName}
	err = unit.Run(context.Background(), w.env, w, 20, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		cursor, _, err := records.GetCursor(u, group, partition)
		if err != nil {
			return err
		}
		var events []*records.Event
		err = records.ScanEvents(u, records.Partition{Stream: streamName, Number: partition}, cursor+1, func(e *records.Event) bool {
			events = append(events, e)
			return len(events) < limit
		})
		if n = len(events); err != nil || n == 0 {
			return err
		}
		if err := f.Batch(ctx, partition, events); err != nil {
			return err
		}
		if meanwhile != nil {
			meanwhile()
			meanwhile = nil
		}
		return records.PutCursor(u, group, partition, events[n-1].Position)
	})
	return n, err
}

// feedAll feeds all there is, and waits until what can be closed is closed.
func (w *world) feedAll() {
	w.t.Helper()
	for p := range partitions {
		for {
			n, err := w.feed(p, 1000)
			if err != nil {
				w.t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
	}
	w.settle()
}

func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := w.f.Idle(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.clock.Advance(d)
	w.settle()
}

func (w *world) late() int {
	w.t.Helper()
	n, err := w.f.LateEvents()
	if err != nil {
		w.t.Fatal(err)
	}
	return int(n)
}

// want checks the results: key, start and end in seconds, value, revision, and what they
// are, F final, W withdrawn, or - early.
func want(t tester, what string, got []result, want ...string) {
	t.Helper()
	texts := make([]string, len(got))
	for i, r := range got {
		kind := "-"
		switch {
		case r.Withdrawn:
			kind = "W"
		case r.Final:
			kind = "F"
		}
		texts[i] = fmt.Sprintf("%s %g-%g=%d r%d%s", r.Key, r.Start.Sub(start).Seconds(), r.End.Sub(start).Seconds(), r.Value, r.Revision, kind)
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%s: %q, want %q", what, texts, want)
	}
}
