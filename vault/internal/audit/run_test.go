package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
)

// bubble runs a test in time of its own, which passes when everybody waits.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, test)
}

// newBubble is a world whose time is that of the bubble.
func newBubble(t testing.TB, options ...func(*audit.Options)) *world {
	return newWorld(t, append(options, func(o *audit.Options) { o.Clock = clock.System() })...)
}

// until lets time pass until done, a second at a time, and returns how much did.
func until(t testing.TB, what string, done func() bool) time.Duration {
	t.Helper()
	for passed := range 5000 {
		synctest.Wait()
		if done() {
			return time.Duration(passed) * time.Second
		}
		<-time.After(time.Second)
	}
	t.Fatalf("%s: it does not happen", what)
	return 0
}

func TestBackground(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink := newSink()
		w := newBubble(t, func(o *audit.Options) { o.Sinks, o.Entries = []audit.Sink{sink}, 5 })
		w.Env.Now = time.Now
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Stop(context.Background()) }()
		got := func(position uint64) func() bool {
			return func() bool {
				all := sink.positions()
				return len(all) > 0 && all[len(all)-1] == position
			}
		}
		// The first checkpoint comes at once, the next after a minute.
		w.note(t, user("ada"), operation(model.OpGet, "x"))
		until(t, "first checkpoint", got(1))
		w.note(t, user("ada"), operation(model.OpGet, "x"))
		if passed := until(t, "second checkpoint", got(2)); passed < 50*time.Second || passed > 65*time.Second {
			t.Errorf("the second checkpoint came after %v", passed)
		}
		// Many entries are not left without one for as long.
		for range 5 {
			w.note(t, user("ada"), operation(model.OpGet, "x"))
		}
		if passed := until(t, "checkpoint after many entries", got(7)); passed > 2*time.Second {
			t.Errorf("the checkpoint after many entries came after %v", passed)
		}
		// Refusals are written without anybody asking.
		refuse(w, "eve", model.OpGet, "x")
		until(t, "refusal", got(8))
		status, err := w.Status(t.Context())
		if err != nil || status.Position != 8 || status.Unlinked != 0 || status.Checkpoint.Position != 8 || status.Sinks[0].Position != 8 || status.Error != "" {
			t.Errorf("status %+v, %v", status, err)
		}
	})
}

func TestStopBringsTheLast(t *testing.T) {
	t.Parallel()
	sink := newSink()
	w := newWorld(t, func(o *audit.Options) { o.Sinks = []audit.Sink{sink} })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.noteMany(t, 3)
	refuse(w, "eve", model.OpGet, "x")
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := sink.positions()
	if len(all) == 0 || all[len(all)-1] != 4 {
		t.Errorf("checkpoints of %v, want one of position 4", all)
	}
	if _, err := w.Verify(t.Context(), &sink.got[len(all)-1], w.PublicKey()); err != nil {
		t.Error(err)
	}
}

func TestFailingSinkIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink, other := newSink(), newSink()
		sink.setFail(errors.New("no room"))
		w := newBubble(t, func(o *audit.Options) { o.Sinks = []audit.Sink{sink, other} })
		w.Env.Now = time.Now
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.note(t, user("ada"), operation(model.OpGet, "x"))
		failures := func() int {
			status, err := w.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if f := status.Sinks[0]; f.Failures > 0 && f.Error != "no room" {
				t.Errorf("status %+v", f)
			}
			return status.Sinks[0].Failures
		}
		if passed := until(t, "failures", func() bool { return failures() >= 5 }); passed < 15*time.Second || passed > 20*time.Second {
			t.Errorf("five attempts in %v, want pauses of 1, 2, 4 and 8 s", passed)
		}
		if got := other.positions(); len(got) == 0 {
			t.Error("one sink keeps the other from getting anything")
		}
		sink.setFail(nil)
		until(t, "a checkpoint", func() bool { return len(sink.positions()) > 0 })
		if n := failures(); n != 0 {
			t.Errorf("%d failures after all is well", n)
		}
		sink.setFail(errors.New("no room"))
		w.note(t, user("ada"), operation(model.OpGet, "x"))
		if err := w.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("stop hides that the last checkpoint was not kept: %v", err)
		}
	})
}

// A log is verified while it is written and loses its oldest entries.
func TestVerifyWhileWriting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *audit.Options) { o.Retention = 20 * time.Second })
	kept := make(chan *audit.Checkpoint, 1)
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		defer close(stop)
		for range 300 {
			w.note(t, user("ada"), operation(model.OpGet, "x"))
			w.Clock.Advance(time.Second / 2)
			c, err := w.Checkpoint(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-kept:
			default:
			}
			kept <- c
		}
	})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := w.Retire(context.Background()); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			case c := <-kept:
				if _, err := w.Verify(context.Background(), c, w.PublicKey()); err != nil && !errors.Is(err, audit.ErrOldHead) {
					t.Error(err)
					return
				}
			}
		}
	})
	group.Wait()
}

func TestFileSink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "heads")
	sink := audit.File{Path: path}
	send := func() *audit.Checkpoint {
		w.noteMany(t, 1)
		c := w.head(t)
		if err := sink.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	send()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	// A crash cut a line off: the next one stands alone.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"kind":"head","node"`); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	last := send()
	file, err = os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := audit.ReadHead(file, "")
	if err != nil || got.Position != last.Position {
		t.Fatalf("read %+v, %v, want position %d", got, err, last.Position)
	}
	if _, err := w.Verify(t.Context(), got, w.PublicKey()); err != nil {
		t.Error(err)
	}
	if err := (audit.File{Path: filepath.Join(path, "no")}).Send(t.Context(), last); err == nil {
		t.Error("a file that cannot be: no error")
	}
}
