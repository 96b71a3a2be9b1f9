package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
)

// TestSuspectsRunAlone kills a dispatcher, as far as the journal can tell, while
// it runs six deliveries of two functions.
func TestSuspectsRunAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "running.journal")
	running := make(chan struct{})
	hang := func(ctx context.Context, _ *delivery.Delivery) error {
		running <- struct{}{}
		select {}
	}
	never := delivery.Policy{Timeout: -1}
	withJournal := func(c *delivery.Config) { c.Journal = journal(t, path) }
	w.start(withJournal,
		delivery.Function{Name: "f", Topics: []string{"t"}, Policy: never, Handle: hang},
		delivery.Function{Name: "g", Topics: []string{"t"}, Policy: never, Handle: hang},
	)
	w.publish("t", "1", "2", "3")
	for range 6 {
		<-running
	}

	var suspects, most, innocents atomic.Int64
	release := make(chan struct{})
	work := func(ctx context.Context, d *delivery.Delivery) error {
		if d.ProcessDeaths == 0 {
			innocents.Add(1)
			return handle(ctx, d)
		}
		now := suspects.Add(1)
		defer suspects.Add(-1)
		most.Store(max(most.Load(), now))
		<-release
		return handle(ctx, d)
	}
	w.start(withJournal,
		delivery.Function{Name: "f", Topics: []string{"t"}, Policy: never, Handle: work},
		delivery.Function{Name: "g", Topics: []string{"t"}, Policy: never, Handle: work},
	)
	w.publish("t", "4")
	for range 6 {
		release <- struct{}{}
	}
	w.settle()
	w.expect("suspects at a time", most.Load(), 1)
	w.expect("others", innocents.Load(), 2)
	for _, e := range []string{"1", "2", "3", "4"} {
		w.expect("handled "+e, w.handled(e), 2)
	}
}

// Suspects that wait for each other are found anew by each search of the store.
func TestSuspectsAreKnownOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "running.journal")
	running := make(chan struct{})
	never := delivery.Policy{Timeout: -1}
	withJournal := func(c *delivery.Config) { c.Journal = journal(t, path) }
	w.start(withJournal, delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: never,
		Handle: func(context.Context, *delivery.Delivery) error {
			running <- struct{}{}
			select {}
		},
	})
	const suspects, searches = 5, 20
	w.publish("t", "1", "2", "3", "4", "5")
	for range suspects {
		<-running
	}

	release, innocent := make(chan struct{}), make(chan struct{})
	w.start(withJournal, delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: never,
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			if d.ProcessDeaths > 0 {
				<-release
			} else {
				innocent <- struct{}{}
			}
			return handle(ctx, d)
		},
	})
	for i := range searches {
		w.clock.Advance(time.Minute)
		w.publish("t", fmt.Sprint("innocent", i))
		<-innocent
	}
	if n := w.InMemory("f"); n > 3*suspects { // those that wait, and those that were just found
		t.Errorf("memory knows of %d deliveries, want those of %d suspects", n, suspects)
	}
	close(release)
	w.settle()
	for i := range suspects {
		w.expect("handled", w.handled(fmt.Sprint(i+1)), 1)
	}
}

// The environment of a child process that runs functions on the store in a
// folder.
const envFolder = "DELIVERY_TEST_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envFolder); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// open opens the store in a folder with what units need.
func open(dir string) (env *unit.Env, c *store.Committer, done func() error, err error) {
	s, err := pebble.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	c = store.NewCommitter(s, store.CommitterOptions{})
	done = func() error {
		c.Close()
		return s.Close()
	}
	return &unit.Env{Snapshot: s.Snapshot, Now: time.Now}, c, done, nil
}

// serve handles what is stored until there is nothing left. The event "poison"
// ends the process, the event "slow" runs beside it when it does so first.
func serve(dir string) error {
	env, committer, done, err := open(dir)
	if err != nil {
		return err
	}
	j, err := openJournal(dir)
	if err != nil {
		return err
	}
	d, err := delivery.New(delivery.Config{Env: env, Committer: committer, Journal: j, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	slow := make(chan struct{})
	err = d.Register(delivery.Function{Name: "f", Topics: []string{"t"}, Handle: func(ctx context.Context, d *delivery.Delivery) error {
		first := d.ProcessDeaths == 0
		switch string(d.Event) {
		case "slow":
			if first {
				close(slow)
				<-ctx.Done()
			}
		case "poison":
			if first {
				<-slow
			}
			fmt.Println("dying")
			os.Exit(3)
		}
		return handle(ctx, d)
	}})
	if err != nil {
		return err
	}
	if err := d.Start(context.Background()); err != nil {
		return err
	}
	if err := d.Idle(context.Background()); err != nil {
		return err
	}
	return errors.Join(d.Stop(context.Background()), done(), j.Close())
}

func TestEventThatKillsTheProcessBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env, committer, done, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = unit.Run(t.Context(), env, committer, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		for i, event := range []string{"before", "slow", "poison", "after"} {
			d := &delivery.Delivery{Function: "f", ID: delivery.ID{byte(i)}, Topic: "t", Event: []byte(event)}
			if err := records.PutDelivery(u, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, done()); err != nil {
		t.Fatal(err)
	}

	deaths := 0
	for {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), envFolder+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err == nil {
			break
		}
		if !strings.Contains(string(out), "dying") {
			t.Fatalf("child ended with %v", err)
		}
		if deaths++; deaths > 3 {
			break
		}
	}
	if deaths != 3 {
		t.Errorf("the process died %d times, want 3", deaths)
	}

	w := newWorld(t)
	env, committer, done, err = open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.env, w.committer = env, committer
	if w.Dispatcher, err = delivery.New(delivery.Config{Env: env, Committer: committer}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []string{"before", "slow", "after"} {
		w.expect("handled "+e, w.handled(e), 1)
	}
	letters := w.letters("f")
	if len(letters) != 1 || string(letters[0].Event) != "poison" || letters[0].Cause != records.ProcessDied ||
		letters[0].Reason != "the process died 3 times while it ran" || letters[0].Attempts != 0 {
		t.Errorf("letters %+v", letters)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
}
