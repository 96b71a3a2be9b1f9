package poison_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/poison"
)

type opener func(path string) (*poison.Journal, error)

// each runs test with the mapping and with the fallback.
func each(t *testing.T, test func(t *testing.T, open opener, path string)) {
	for name, open := range map[string]opener{"mapped": poison.Open, "written": poison.OpenWithoutMapping} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open, filepath.Join(t.TempDir(), "running.journal"))
		})
	}
}

func mustOpen(t *testing.T, open opener, path string) *poison.Journal {
	t.Helper()
	j, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// ids returns the sorted ids of what is left of kind.
func ids(j *poison.Journal, kind poison.Kind) []string {
	var ids []string
	for _, e := range j.Left(kind) {
		ids = append(ids, string(e.ID))
	}
	slices.Sort(ids)
	return ids
}

func TestEntriesAreFoundUntilAcknowledged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open opener, path string) {
		long := strings.Repeat("x", poison.MaxID)
		first := mustOpen(t, open, path) // never closed: as if the process had died
		first.Enter(poison.Delivery, []byte("a"))
		gone := first.Enter(poison.Delivery, []byte("gone"))
		first.Enter(poison.Delivery, []byte(long))
		first.Enter(poison.Activity, nil)
		first.Leave(gone)

		second := mustOpen(t, open, path)
		if got, want := ids(second, poison.Delivery), []string{"a", long}; !slices.Equal(got, want) {
			t.Fatalf("left %q, want %q", got, want)
		}
		if got := second.Left(poison.Activity); len(got) != 1 || len(got[0].ID) != 0 {
			t.Fatalf("left activities %v, want one with an empty id", got)
		}
		for _, e := range second.Left(poison.Delivery) {
			if string(e.ID) == "a" {
				second.Ack(e)
				second.Ack(e) // again: no harm
			}
		}
		second.Enter(poison.Delivery, []byte("b"))

		third := mustOpen(t, open, path)
		if got, want := ids(third, poison.Delivery), []string{"b", long}; !slices.Equal(got, want) {
			t.Errorf("left %q, want %q", got, want)
		}
	})
}

func TestCloseLeavesNothingButUnacknowledged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open opener, path string) {
		mustOpen(t, open, path).Enter(poison.Turn, []byte("suspect"))

		j := mustOpen(t, open, path)
		running := j.Enter(poison.Turn, []byte("still running"))
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		next := mustOpen(t, open, path)
		if got, want := ids(next, poison.Turn), []string{"suspect"}; !slices.Equal(got, want) {
			t.Errorf("left %q, want %q", got, want)
		}
		// What outlasts Close leaves late, and must not touch what came after.
		for range poison.Slots {
			next.Enter(poison.Activity, []byte("new"))
		}
		j.Leave(running)
		if got := len(mustOpen(t, open, path).Left(poison.Activity)); got != poison.Slots-1 {
			t.Errorf("%d entries after a late Leave, want %d", got, poison.Slots-1)
		}
		if s := j.Enter(poison.Turn, nil); s >= 0 {
			t.Error("closed journal took an entry")
		}
	})
}

func TestTornSlotsAreIgnored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open opener, path string) {
		mustOpen(t, open, path).Enter(poison.Delivery, []byte("whole"))
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(content, []byte("whole")) - 16
		for offset := range poison.SlotBytes {
			torn := slices.Clone(content)
			torn[at+offset] ^= 0x10
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			j := mustOpen(t, open, path)
			if got := ids(j, poison.Delivery); len(got) != 0 {
				t.Fatalf("byte %d changed: left %q, want none", offset, got)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestForeignFilesAreOverwritten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open opener, path string) {
		full := mustOpen(t, open, path)
		full.Enter(poison.Delivery, []byte("x"))
		size, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range [][]byte{{}, []byte("short"), bytes.Repeat([]byte{0xff}, int(size.Size())), make([]byte, size.Size()+1)} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			j := mustOpen(t, open, path)
			if got := ids(j, poison.Delivery); len(got) != 0 {
				t.Errorf("left %q, want none", got)
			}
			j.Enter(poison.Delivery, []byte("y"))
			if got := ids(mustOpen(t, open, path), poison.Delivery); !slices.Equal(got, []string{"y"}) {
				t.Errorf("left %q after use, want y", got)
			}
		}
	})
}

func TestOpenFailsWhereThereIsNoFolder(t *testing.T) {
	t.Parallel()
	if _, err := poison.Open(filepath.Join(t.TempDir(), "absent", "running.journal")); err == nil {
		t.Error("no error")
	}
}

func TestFullJournalCounts(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, poison.Open, "")
	slots := map[poison.Slot]bool{}
	for range poison.Slots {
		slots[j.Enter(poison.Turn, []byte("id"))] = true
	}
	if len(slots) != poison.Slots || j.Missed() != 0 {
		t.Fatalf("%d slots given, %d missed", len(slots), j.Missed())
	}
	over := j.Enter(poison.Turn, nil)
	tooLong := j.Enter(poison.Turn, make([]byte, poison.MaxID+1))
	if over >= 0 || tooLong >= 0 || j.Missed() != 2 {
		t.Errorf("slots %d and %d, %d missed; want none and 2", over, tooLong, j.Missed())
	}
	j.Leave(over)
	for s := range slots {
		j.Leave(s)
		if again := j.Enter(poison.Turn, nil); again != s {
			t.Fatalf("slot %d given, want the only free one, %d", again, s)
		}
		break
	}
}

func TestConcurrentEntries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open opener, path string) {
		j := mustOpen(t, open, path)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 500 {
					s := j.Enter(poison.Activity, fmt.Appendf(nil, "%d/%d", g, i))
					if i%100 != 0 {
						j.Leave(s)
					}
				}
			})
		}
		wg.Wait()
		if got := len(mustOpen(t, open, path).Left(poison.Activity)); got != 8*5 {
			t.Errorf("%d left, want %d", got, 8*5)
		}
	})
}

func TestAlone(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, poison.Open, "")
	release, ok := j.Alone(func() { t.Error("retry called for who was let in") })
	if !ok {
		t.Fatal("nobody runs, but not let in")
	}
	asked := make(chan int, 2)
	for i := range 2 {
		if _, ok := j.Alone(func() { asked <- i }); ok {
			t.Fatal("two suspects at a time")
		}
	}
	release()
	for want := range 2 {
		if got := <-asked; got != want {
			t.Errorf("waiter %d called, want %d", got, want)
		}
	}
	again, ok := j.Alone(nil)
	if !ok {
		t.Fatal("not let in after the release")
	}
	release() // a second time: must not let another in beside
	if _, ok := j.Alone(func() {}); ok {
		t.Error("released twice, let in twice")
	}
	again()
}

func BenchmarkEnterLeave(b *testing.B) {
	id := []byte("0123456789abcdef0123456789abcdef")
	bench := func(name string, open func(path string) (*poison.Journal, error)) {
		b.Run(name, func(b *testing.B) {
			j, err := open(filepath.Join(b.TempDir(), "running.journal"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					j.Leave(j.Enter(poison.Delivery, id))
				}
			})
			if j.Missed() != 0 {
				b.Errorf("%d missed", j.Missed())
			}
		})
	}
	bench("mapped", poison.Open)
	bench("written", poison.OpenWithoutMapping)
}
