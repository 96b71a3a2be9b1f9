package promises_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// places are where each event is handled in the order of its key, and effects what else
// each event causes once.
var (
	places  = []string{"queue", "stream", "change"}
	effects = []string{"activity", "ended"}
)

// report is what the app shows of everything that took effect.
type report struct {
	Seen   map[string]map[string][]int `json:"seen"`   // by place and key
	Counts map[string]map[string]int   `json:"counts"` // by effect and event
	Ticks  map[string][]tick           `json:"ticks"`  // by timer
}

type tick struct {
	Scheduled, Last time.Time
	N               int
}

func (w *world) report() (r report) {
	w.t.Helper()
	w.must(json.Unmarshal(w.get("/report"), &r))
	return r
}

// expected returns a copy of how many events of each key were sent.
func (w *world) expected() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.sent)
}

// missing says which events have not yet taken effect everywhere; keys that are not named
// do not count.
func (w *world) missing(r report, keys ...string) string {
	var missing []string
	for key, n := range w.expected() {
		if !slices.Contains(keys, key) {
			continue
		}
		for _, place := range places {
			if lost := without(r.Seen[place][key], n); len(lost) > 0 {
				missing = append(missing, fmt.Sprintf("%s of %s: %v", key, place, lost))
			}
		}
		for _, effect := range effects {
			for seq := 1; seq <= n; seq++ {
				if event := fmt.Sprintf("%s-%d", key, seq); r.Counts[effect][event] == 0 {
					missing = append(missing, event+" of "+effect)
				}
			}
		}
	}
	slices.Sort(missing)
	return strings.Join(missing, "; ")
}

// without returns which of the numbers from 1 to n are not in seqs.
func without(seqs []int, n int) (lost []int) {
	for seq := 1; seq <= n; seq++ {
		if !slices.Contains(seqs, seq) {
			lost = append(lost, seq)
		}
	}
	return lost
}

// keys are all keys that were sent.
func (w *world) keys() []string { return slices.Sorted(maps.Keys(w.expected())) }

// allHandled waits until everything that was sent took effect, and the app rests.
func (w *world) allHandled() {
	w.t.Helper()
	w.until(func() string {
		if m := w.missing(w.report(), w.keys()...); m != "" {
			return "lost: " + m
		}
		return w.unrest()
	})
}

// page is a list of the command.
type page[T any] struct {
	Items []T `json:"items"`
}

// unrest says what the app has still to do, timers left aside.
func (w *world) unrest() string {
	w.t.Helper()
	var functions page[struct {
		Name, Trigger      string
		Depth, DeadLetters int64
	}]
	w.perdure(&functions, "ls", "functions")
	for _, f := range functions.Items {
		if f.Trigger != "timer" && f.Depth > 0 {
			return fmt.Sprintf("%s has %d events to handle", f.Name, f.Depth)
		}
		if f.DeadLetters > 0 {
			return fmt.Sprintf("%s has %d dead letters", f.Name, f.DeadLetters)
		}
	}
	var streams page[struct {
		Name   string
		Groups []struct {
			Name string
			Lag  uint64
		}
	}]
	w.perdure(&streams, "ls", "streams")
	for _, s := range streams.Items {
		for _, g := range s.Groups {
			if g.Lag > 0 {
				return fmt.Sprintf("%s has %d events of %s to read", g.Name, g.Lag, s.Name)
			}
		}
	}
	if n := w.instances()["Running"]; n > 0 {
		return fmt.Sprintf("%d instances run", n)
	}
	return ""
}

// instances counts them by state.
func (w *world) instances() map[string]int {
	w.t.Helper()
	var overview struct {
		Instances map[string]int `json:"instances"`
	}
	w.perdure(&overview, "ls")
	return overview.Instances
}

// wantOnce checks that nothing took effect twice: in the tables as the command shows
// them, and in the instances, one of which each event starts.
func (w *world) wantOnce() {
	w.t.Helper()
	var orders page[struct {
		Partition, Row string
		Value          struct{ Seqs []int }
	}]
	w.perdure(&orders, "table", "scan", "seen", "--limit", "0")
	for _, row := range orders.Items {
		once := slices.Compact(slices.Sorted(slices.Values(row.Value.Seqs)))
		if len(once) != len(row.Value.Seqs) {
			w.t.Errorf("doubled: %s of %s in %v", row.Row, row.Partition, row.Value.Seqs)
		}
	}
	var counts page[struct {
		Partition, Row string
		Value          struct{ N int }
	}]
	w.perdure(&counts, "table", "scan", "counts", "--limit", "0")
	for _, row := range counts.Items {
		if row.Value.N != 1 {
			w.t.Errorf("%s of %s took effect %d times", row.Row, row.Partition, row.Value.N)
		}
	}
	events := 0
	for _, n := range w.expected() {
		events += n
	}
	if len(counts.Items) != len(effects)*events {
		w.t.Errorf("%d effects of %d events", len(counts.Items), events)
	}
	for state, n := range w.instances() {
		if state == "Completed" && n != events || state != "Completed" && n != 0 {
			w.t.Errorf("%d instances are %s, of %d events", n, state, events)
		}
	}
}

// wantOrder checks that each key was handled in its order, in all places.
func (w *world) wantOrder() {
	w.t.Helper()
	r := w.report()
	for _, place := range places {
		for key, seqs := range r.Seen[place] {
			if !slices.IsSorted(seqs) {
				w.t.Errorf("out of order: %s of %s: %v", key, place, seqs)
			}
		}
	}
}

// wantTicks checks that a timer that makes up for all ticks had one run for each second
// from its first tick to its last.
func (w *world) wantTicks() {
	w.t.Helper()
	var ticks []tick
	w.until(func() string {
		if ticks = w.report().Ticks["all"]; len(ticks) < 3 {
			return fmt.Sprintf("%d ticks", len(ticks))
		}
		return ""
	})
	for i, tick := range ticks {
		if want := ticks[0].Scheduled.Add(time.Duration(i) * time.Second); !tick.Scheduled.Equal(want) {
			w.t.Fatalf("lost: the tick of %v; the next is %v", want, tick.Scheduled)
		}
		if tick.N != 1 {
			w.t.Errorf("doubled: the tick of %v ran %d times", tick.Scheduled, tick.N)
		}
	}
}
