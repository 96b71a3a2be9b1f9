package unit_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// modelValue is what a key holds, and which commit wrote it.
type modelValue struct {
	text    string
	version int
}

// modelUnit is a unit beside what the model knows of it.
type modelUnit struct {
	unit *unit.Unit
	// base is what was committed when the unit first read; nil before.
	base map[string]modelValue
	// validated are the keys whose versions the commit depends on.
	validated map[string]bool
	// own is what the unit wrote: nil for a deleted key.
	own map[string]*string
}

func (m *modelUnit) want(key string) *string {
	if own, written := m.own[key]; written {
		return own
	}
	if v, ok := m.base[key]; ok {
		return &v.text
	}
	return nil
}

func (m *modelUnit) open(committed map[string]modelValue) {
	if m.base == nil {
		m.base = maps.Clone(committed)
	}
}

// Random units, interleaved step by step, against a model that is a map: each
// read answers what the snapshot and the unit's own writes say, and a unit commits
// if and only if nothing it validated has changed, so that the units that
// committed, one after another, explain every validated read.
func TestUnitsBehaveAsIfSerial(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := memory.New(nil)
		defer func() { _ = s.Close() }()
		env := &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
		committed := map[string]modelValue{}
		commits, writes := 0, 0
		units := make([]*modelUnit, 3)

		keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		pick := func(t *rapid.T) *modelUnit {
			i := rapid.IntRange(0, len(units)-1).Draw(t, "unit")
			if units[i] == nil {
				units[i] = &modelUnit{unit: unit.New(env), validated: map[string]bool{}, own: map[string]*string{}}
			}
			return units[i]
		}
		read := func(t *rapid.T, m *modelUnit, key string, get func([]byte) ([]byte, error)) {
			value, err := get([]byte(key))
			if err != nil {
				t.Fatal(err)
			}
			want := m.want(key)
			if (value == nil) != (want == nil) || want != nil && string(value) != *want {
				t.Fatalf("key %s reads %q, want %v", key, value, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				m, key := pick(t), keys.Draw(t, "key")
				if _, own := m.own[key]; !own {
					m.open(committed)
					m.validated[key] = true
				}
				read(t, m, key, m.unit.Get)
			},
			"peek": func(t *rapid.T) {
				m, key := pick(t), keys.Draw(t, "key")
				if _, own := m.own[key]; !own {
					m.open(committed)
				}
				read(t, m, key, m.unit.Peek)
			},
			"put": func(t *rapid.T) {
				m, key := pick(t), keys.Draw(t, "key")
				writes++
				text := fmt.Sprint(writes)
				m.own[key] = &text
				if err := m.unit.Put([]byte(key), []byte(text)); err != nil {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				m, key := pick(t), keys.Draw(t, "key")
				m.own[key] = nil
				if err := m.unit.Delete([]byte(key)); err != nil {
					t.Fatal(err)
				}
			},
			"scan": func(t *rapid.T) {
				m := pick(t)
				m.open(committed)
				r := store.Range{Start: []byte(keys.Draw(t, "start")), Reverse: rapid.Bool().Draw(t, "reverse")}
				if rapid.Bool().Draw(t, "bounded") {
					r.End = []byte(keys.Draw(t, "end"))
				}
				want := []string{}
				for _, key := range []string{"a", "b", "c", "d", "e"} {
					inside := key >= string(r.Start) && (len(r.End) == 0 || key < string(r.End))
					if text := m.want(key); inside && text != nil {
						want = append(want, key+"="+*text)
					}
				}
				if r.Reverse {
					slices.Reverse(want)
				}
				got, err := scan(m.unit, r, -1)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("scan of %q to %q, reverse %v: %q, %v, want %q", r.Start, r.End, r.Reverse, got, err, want)
				}
			},
			"commit": func(t *rapid.T) {
				i := rapid.IntRange(0, len(units)-1).Draw(t, "unit")
				m := units[i]
				if m == nil {
					t.Skip("no such unit")
				}
				units[i] = nil
				var txn store.Txn
				if err := m.unit.Seal(&txn); err != nil {
					t.Fatal(err)
				}
				verdicts, err := s.Commit(context.Background(), []*store.Txn{&txn})
				if err != nil {
					t.Fatal(err)
				}
				conflict := false
				for key := range m.validated {
					conflict = conflict || m.base[key].version != committed[key].version
				}
				if errors.Is(verdicts[0], store.ErrConflict) != conflict || !conflict && verdicts[0] != nil {
					t.Fatalf("verdict %v, want a conflict: %v", verdicts[0], conflict)
				}
				if conflict {
					return
				}
				commits++
				for key, text := range m.own {
					if delete(committed, key); text != nil {
						committed[key] = modelValue{*text, commits}
					}
				}
			},
			"discard": func(t *rapid.T) {
				i := rapid.IntRange(0, len(units)-1).Draw(t, "unit")
				if units[i] != nil {
					units[i].unit.Discarded()
				}
				units[i] = nil
			},
			"": func(t *rapid.T) { // what is committed is what the model says
				u := unit.New(env)
				defer u.Discarded()
				want := []string{}
				for _, key := range slices.Sorted(maps.Keys(committed)) {
					want = append(want, key+"="+committed[key].text)
				}
				got, err := scan(u, store.Range{}, -1)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("committed %q, %v, want %q", got, err, want)
				}
			},
		})
		for _, m := range units {
			if m != nil {
				m.unit.Discarded()
			}
		}
	})
}
