package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
)

func (w *world) flush(t testing.TB, all bool) []audit.Entry {
	t.Helper()
	if err := w.Flush(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	return w.all(t, audit.Filter{Result: audit.Refused})
}

func refuse(w *world, subject string, op model.Op, name string) {
	by := user(subject)
	w.Refused(&by, operation(op, name))
}

// The refusals of a minute are two entries at most: of the first seconds, and of the rest.
func TestRefusalsAreGathered(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // it begins at second 5 of a minute
	for i := range 100 {
		refuse(w, "eve", model.OpGet, fmt.Sprintf("n%d", i%20))
	}
	refuse(w, "eve", model.OpSet, "n1")
	refuse(w, "bob", model.OpGet, "n1")
	got := w.flush(t, false)
	if len(got) != 3 {
		t.Fatalf("entries %+v, want 3", got)
	}
	if e := got[1]; e.Actor != "eve" || e.Op != model.OpGet || e.Count != 100 || e.Name != "" || len(e.Names) != 8 ||
		e.Names[0] != audit.NameDigest(operation("", "N0").ID) || e.Vault != "default" || e.IP != "192.0.2.1" || e.Version != "" || e.Request != "" {
		t.Errorf("entry %+v", e)
	}
	for range 5 {
		w.Clock.Advance(10 * time.Second)
		refuse(w, "eve", model.OpGet, "n1")
		if got := w.flush(t, false); len(got) != 3 {
			t.Fatalf("written again within the minute: %+v", got)
		}
	}
	w.Clock.Advance(10 * time.Second)
	got = w.flush(t, false)
	if len(got) != 4 || got[3].Count != 5 {
		t.Errorf("entries %+v, want the rest of the minute", got)
	}
	if n := w.RefusalBuckets(); n != 0 {
		t.Errorf("%d counts are left", n)
	}
}

// However many names, operations and actors are tried, what is kept and written has a bound.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	total := 0
	for i := range 100 {
		refuse(w, "eve", model.Op(fmt.Sprintf("op%d", i)), "n")
		total++
	}
	if n := w.RefusalBuckets(); n != 17 {
		t.Errorf("one actor fills %d counts, want 17", n)
	}
	for i := range 5000 {
		refuse(w, fmt.Sprintf("eve%d", i), model.OpGet, "n")
		total++
	}
	if n := w.RefusalBuckets(); n != 1025 {
		t.Errorf("many actors fill %d counts, want 1025", n)
	}
	sum := 0
	for _, e := range w.flush(t, true) {
		sum += e.Count
	}
	if sum != total {
		t.Errorf("%d refusals were written, want %d", sum, total)
	}
}

// What cannot be written now is written later.
func TestRefusalsWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unit, down := w.Env.Unit, errors.New("down")
	w.Env.Unit = func(context.Context, func(context.Context) error) error { return down }
	refuse(w, "eve", model.OpGet, "a")
	if err := w.Flush(t.Context(), true); !errors.Is(err, down) {
		t.Fatal(err)
	}
	refuse(w, "eve", model.OpGet, "b")
	w.Clock.Advance(time.Minute)
	w.Env.Unit = unit
	got := w.flush(t, false)
	if len(got) != 1 || got[0].Count != 2 || len(got[0].Names) != 2 {
		t.Errorf("entries %+v, want one of both", got)
	}
}

// Over a day nobody fills the log by being refused: what is beyond the bound is counted with others.
func TestRefusalsOfADayAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const minutes = 520
	written := func() (own, sum int) {
		for _, e := range w.flush(t, true) { // all there are
			sum += e.Count
			if e.Actor == "eve" {
				own++
			}
		}
		return own, sum
	}
	for range minutes {
		refuse(w, "eve", model.OpGet, "n")
		w.Clock.Advance(time.Minute)
	}
	if own, sum := written(); own != 500 || sum != minutes {
		t.Errorf("%d entries of her own for %d refusals of %d, want 500", own, sum, minutes)
	}
	w.Clock.Advance(24 * time.Hour)
	refuse(w, "eve", model.OpGet, "n")
	if own, _ := written(); own != 501 {
		t.Errorf("on the next day %d entries, want 501", own)
	}
}
