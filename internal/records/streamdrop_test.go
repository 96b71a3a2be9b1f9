package records_test

import (
	"slices"
	"testing"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The owner of a stream takes away what it has read; positions go on, and so does the count of bytes.
func TestDropEvents(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	drop := func(before uint64) {
		t.Helper()
		b.must(t, func(u *unit.Unit) error { return records.DropEvents(u, namesLog, before) })
	}
	b.appendTo(t, namesLog, "a", "b", "c", "d")
	drop(3)
	if got := b.events(t, namesLog, 1); !slices.Equal(got, []string{"3:c", "4:d"}) {
		t.Errorf("left: %q", got)
	}
	drop(2) // what is gone already
	drop(5)
	b.appendTo(t, namesLog, "e")
	if got := b.events(t, namesLog, 1); !slices.Equal(got, []string{"5:e"}) {
		t.Errorf("left: %q", got)
	}
	b.view(t, func(v records.View) error {
		state, err := records.GetStreamState(v, namesLog)
		one := len(records.EncodeEvent(event(namesLog, "e", "e")))
		if err == nil && (state.First != 5 || state.Last != 5 || state.Bytes != int64(one)) {
			t.Errorf("state %+v, want position 5 with %d bytes", state, one)
		}
		return err
	})
}
