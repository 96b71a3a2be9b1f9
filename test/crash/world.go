package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
)

// The load.
const (
	clients = 6
	// uploadsPerStart bounds the files that one start is sent, so that the end, when
	// each is followed to its own, comes in time.
	uploadsPerStart = 8
	// underLoad is how long a process that is to die at a point may miss it.
	underLoad = 3 * time.Second
)

// world is the program under test, its folder and everything that is known about it.
type world struct {
	settings
	listen   string // one address for all starts: what was issued there stays good
	data     string
	binaries []string
	book     *book

	starts  int
	killed  int
	hits    map[string]int // kills by moment or point
	missed  int            // points that were not reached
	readyIn []time.Duration
	folder  folderStats
}

// play plays the plan, then follows every file to its end and looks into the folder.
func (w *world) play(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(w.seed, 3))
	for _, r := range plan(rng, w.kills, w.point) {
		for i, k := range r.kills {
			if err := w.life(ctx, rand.New(rand.NewPCG(w.seed, uint64(100+w.killed))), r, k, i == 0); err != nil {
				return fmt.Errorf("in the process that is to die (%v): %w", k, err)
			}
			if w.killed++; w.killed%10 == 0 {
				fmt.Printf("%d kills, %d files\n", w.killed, len(w.book.all()))
			}
		}
	}
	if err := w.finish(ctx); err != nil {
		return err
	}
	for _, p := range failpoint.All() {
		if w.point == "" && w.hits[string(p)] == 0 && w.kills >= 5*len(failpoint.All()) {
			return fmt.Errorf("no process died at %s: the test has a hole", p)
		}
	}
	return nil
}

// launch starts the program.
func (w *world) launch(k kill, r round) (*server, error) {
	w.starts++
	return launch(w.binaries[w.starts%len(w.binaries)], w.listen, w.data, k, r)
}

// awaitReady waits until s answers, and reports false when it died before.
func (w *world) awaitReady(ctx context.Context, s *server) (bool, error) {
	ready, err := s.ready(ctx)
	if ready {
		w.readyIn = append(w.readyIn, time.Since(s.started))
	}
	return ready, err
}

// life is one process from its start to its violent end.
func (w *world) life(ctx context.Context, rng *rand.Rand, r round, k kill, calm bool) error {
	s, err := w.launch(k, r)
	if err != nil {
		return err
	}
	err = w.live(ctx, s, rng, k, calm)
	missed := errors.Is(err, errKilled)
	if errors.Is(err, errDown) {
		err = nil // whether it should be is said by kill
	}
	if err != nil {
		return w.explain(s, err)
	}
	if err := s.kill(); err != nil {
		return err
	}
	name := k.String()
	if k.when == atPoint {
		if name = string(k.point); missed {
			w.missed++
			name = atRandomly
		}
	}
	w.hits[name]++
	return nil
}

// explain ends a program and keeps what it wrote and, if it lived, what its goroutines
// did.
func (w *world) explain(s *server, err error) error {
	s.dump()
	log := filepath.Join(filepath.Dir(w.data), "program.log")
	if writeErr := os.WriteFile(log, []byte(s.output.text()), 0o600); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	return fmt.Errorf("%w\nwhat the program wrote: %s", err, log)
}

var atRandomly = kill{when: atRandom}.String()

// live lets a process work until it is to be killed, or dies: errDown.
func (w *world) live(ctx context.Context, s *server, rng *rand.Rand, k kill, calm bool) error {
	if k.when == early {
		usual := 300 * time.Millisecond
		if n := len(w.readyIn); n > 0 {
			usual = w.readyIn[n-1]
		}
		wait(ctx, time.Duration(rng.Int64N(int64(usual))))
		return nil
	}
	ready, err := w.awaitReady(ctx, s)
	if !ready || err != nil {
		return err
	}
	c, err := newClient(s)
	if err != nil {
		return err
	}
	defer c.close()
	if err := w.check(ctx, c); err != nil {
		return err
	}
	if calm {
		if err := w.rest(ctx, c); err != nil {
			return err
		}
	}
	switch k.when {
	case atRest:
		return nil
	case atRandom:
		return w.load(ctx, c, rng, time.Duration(100+rng.IntN(900))*time.Millisecond)
	default:
		return w.load(ctx, c, rng, underLoad)
	}
}

// check compares what the program knows with what it has acknowledged, reads again what
// has changed, and repeats uploads that got no answer if that is safe.
func (w *world) check(ctx context.Context, c *client) error {
	rows, err := c.list(ctx)
	if err != nil {
		return err
	}
	before := map[*file]*row{}
	for _, f := range w.book.all() {
		before[f] = f.full
	}
	if err := w.book.compare(rows); err != nil {
		return err
	}
	for _, f := range w.book.all() {
		if f.key != "" && !f.acked {
			if err := c.upload(ctx, f); err != nil {
				return err
			}
		}
		if f.seen == nil || before[f] != nil && before[f].State == f.seen.State {
			continue
		}
		if _, err := c.get(ctx, f); err != nil {
			return err
		}
		if err := c.download(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// rest waits until the program has done all that it can do without people.
func (w *world) rest(ctx context.Context, c *client) error {
	// A file of its own, so that all that was stored before it has had its turn.
	f := w.book.add()
	f.left = false
	err := c.upload(ctx, f)
	if err == nil {
		err = c.decide(ctx, f, forUpload, verdict{Approved: true})
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = w.settle(ctx, c, func(r *row) bool { return r.State == analyzing })
	return err
}

// settle waits until no file is in a state that passes by itself, and returns the list
// that shows it.
func (w *world) settle(ctx context.Context, c *client, busy func(*row) bool) ([]row, error) {
	for deadline := time.Now().Add(patience); ; wait(ctx, 50*time.Millisecond) {
		rows, err := c.list(ctx)
		if err == nil {
			err = w.book.compare(rows)
		}
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(rows, func(r row) bool { return busy(&r) })
		if i < 0 {
			return rows, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s (%s) is stuck: %s", rows[i].Name, rows[i].FileID, rows[i].State)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// load lets clients work with the program until it dies or the time is over. The
// process is killed while they do.
func (w *world) load(ctx context.Context, c *client, rng *rand.Rand, d time.Duration) error {
	over := make(chan struct{})
	uploads := make(chan struct{}, uploadsPerStart)
	for range uploadsPerStart {
		uploads <- struct{}{}
	}
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for range clients {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 4))
		all.Go(func() {
			if err := w.work(ctx, c, rng, uploads, over); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	select {
	case <-c.server.exited:
	case <-ctx.Done():
	case <-time.After(d):
	}
	lived := !c.server.dead()
	_ = c.server.process.Process.Kill() // while requests are under way; the end is judged by kill
	<-c.server.exited
	close(over)
	all.Wait()
	for _, err := range errs {
		if !errors.Is(err, errDown) {
			return err
		}
	}
	if lived {
		return errKilled
	}
	return ctx.Err()
}

// errKilled: the process lived until its time was over.
var errKilled = fmt.Errorf("%w: killed at random", errDown)

// work is one client.
func (w *world) work(ctx context.Context, c *client, rng *rand.Rand, uploads <-chan struct{}, over <-chan struct{}) error {
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rng.IntN(10)) * time.Millisecond):
		}
		var f *file
		if rng.IntN(3) == 0 {
			select {
			case <-uploads:
				f = w.book.add()
			default:
			}
		}
		fresh := f != nil
		if f == nil {
			f = w.book.pick(rng)
		}
		if f == nil {
			continue
		}
		err := w.step(ctx, c, rng, f, fresh)
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// step does one thing with a file.
func (w *world) step(ctx context.Context, c *client, rng *rand.Rand, f *file, fresh bool) error {
	yes, no := verdict{Approved: true}, verdict{Comment: "no " + f.name}
	if fresh {
		if err := c.upload(ctx, f); err != nil {
			return err
		}
		switch n := rng.IntN(4); {
		case n == 0 && f.key != "":
			return c.upload(ctx, f)
		case n == 1 && !f.left:
			return c.decide(ctx, f, forUpload, yes) // before the trigger ran
		}
		return nil
	}
	r, err := c.get(ctx, f)
	if err != nil {
		return err
	}
	s := forDownload
	if r.State == awaitingUpload {
		s = forUpload
	}
	switch n := rng.IntN(20); {
	case rank[r.State] == ended || n == 0:
		return c.download(ctx, f)
	case n < 2:
		return c.decide(ctx, f, s, yes, no) // two people at the same time
	case n < 4:
		return c.decide(ctx, f, s, yes, yes)
	case n < 6:
		return c.decide(ctx, f, s, no)
	case n < 8 && s == forDownload:
		return c.decide(ctx, f, forUpload, *r.UploadDecision) // again
	default:
		return c.decide(ctx, f, s, yes)
	}
}

// finish follows every file to its end, checks all of it, stops the program and looks
// into its folder.
func (w *world) finish(ctx context.Context) error {
	s, err := w.launch(kill{}, round{wait: 72 * time.Hour, idle: 5})
	if err != nil {
		return err
	}
	if err := w.end(ctx, s); err != nil {
		return fmt.Errorf("at the end: %w", w.explain(s, err))
	}
	if err := s.stop(); err != nil {
		return err
	}
	w.folder, err = w.book.lookInto(ctx, w.data)
	return err
}

func (w *world) end(ctx context.Context, s *server) error {
	ready, err := w.awaitReady(ctx, s)
	if !ready || err != nil {
		return errors.Join(err, errDown)
	}
	c, err := newClient(s)
	if err != nil {
		return err
	}
	defer c.close()
	if err := w.check(ctx, c); err != nil {
		return err
	}
	for _, s := range []stage{forUpload, forDownload} {
		if _, err := w.settle(ctx, c, func(r *row) bool { return r.State == analyzing }); err != nil {
			return err
		}
		for i, f := range w.book.all() {
			if f.seen == nil || f.hasEnded() || rank[f.seen.State] > rank[awaitingUpload] && s == forUpload {
				continue
			}
			if err := c.decide(ctx, f, s, verdict{Approved: i%4 != 0, Comment: "at last"}); err != nil {
				return err
			}
		}
	}
	rows, err := w.settle(ctx, c, func(r *row) bool { return rank[r.State] < ended })
	if err != nil {
		return err
	}
	if known := slices.DeleteFunc(slices.Clone(w.book.all()), func(f *file) bool { return f.seen == nil }); len(known) != len(rows) {
		return fmt.Errorf("%d files are listed, %d are known", len(rows), len(known))
	}
	for _, f := range w.book.all() {
		if f.seen == nil {
			continue // it was never acknowledged, and is not there
		}
		if _, err := c.get(ctx, f); err != nil {
			return err
		}
		if err := c.download(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// wait waits, at most until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// report says what was done.
func (w *world) report(took time.Duration) {
	states := map[string]int{}
	for _, f := range w.book.all() {
		if f.seen == nil {
			states["never acknowledged"]++
		} else {
			states[f.seen.State]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.hits)) {
		fmt.Printf("  killed %-22s %3d\n", name, w.hits[name])
	}
	fmt.Printf("  %d points were not reached in time; those processes were killed at random\n", w.missed)
	for _, state := range slices.Sorted(maps.Keys(states)) {
		fmt.Printf("  %-29s %3d files\n", state, states[state])
	}
	if n := len(w.readyIn); n > 0 {
		slices.Sort(w.readyIn)
		fmt.Printf("  ready after a restart in %v (median), %v (longest)\n",
			w.readyIn[n/2].Round(time.Millisecond), w.readyIn[n-1].Round(time.Millisecond))
	}
	fmt.Printf("  at the end %d instances and %d objects, after a collection of %d orphans\n",
		w.folder.Instances, w.folder.Objects, w.folder.Collected.Orphans)
	fmt.Printf("  %d starts in %v\n", w.starts, took.Round(time.Second))
}
