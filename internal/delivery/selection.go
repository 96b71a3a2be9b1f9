package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// ErrBadEvent: a dead letter's event cannot be replaced by what is not JSON, or is too
// large.
var ErrBadEvent = errors.New("perdure: not an event")

// The bounds of what is done with many dead letters.
const (
	// MaxEvent bounds the event that a dead letter is given, in bytes.
	MaxEvent = 8 << 20
	// MaxGroups is how many groups are told apart.
	MaxGroups = 1000
	// maxReason bounds the text that stands for a group, in bytes.
	maxReason = 200
	// selectBatch is how many dead letters are sent again or dropped in one unit, and
	// selectBytes after how many bytes of events a unit has enough.
	selectBatch = 100
	selectBytes = 4 << 20
)

// The parts of a reason that differ between failures of one kind.
var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	digits = regexp.MustCompile(`[0-9]+`)
)

// ReasonOf returns why an event was given up, without what is the event's own: the latest
// error, what is quoted replaced by "…", numbers by #.
func ReasonOf(l *DeadLetter) string {
	text := cmp.Or(l.LastError(), l.Reason)
	text = digits.ReplaceAllString(quoted.ReplaceAllString(text, `"…"`), "#")
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}

// Selection chooses dead letters. Empty fields choose all.
type Selection struct {
	Function string
	// Cause is the name of a cause.
	Cause string
	// Reason is what ReasonOf returns, as groups have it.
	Reason string
}

func (s *Selection) matches(l *DeadLetter) bool {
	return (s.Cause == "" || s.Cause == l.Cause.String()) && (s.Reason == "" || s.Reason == ReasonOf(l))
}

// Group is how many events a function gave up for one cause and reason.
type Group struct {
	Function string
	Cause    records.Cause
	// Reason is what ReasonOf returns for each of them; empty for those of a function
	// and cause that are beyond MaxGroups.
	Reason string
	Count  int64
	// First and Last are when the first and the last of them were given up.
	First, Last time.Time
}

// Groups returns the dead letters of a function, of all when it is empty, counted by
// function, cause and reason; the greatest group first.
func (d *Dispatcher) Groups(ctx context.Context, function string) ([]Group, error) {
	snap, err := d.env.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	type key struct {
		function string
		cause    records.Cause
		reason   string
	}
	groups := map[key]*Group{}
	err = records.ListDeadLetters(snap, function, nil, func(l *DeadLetter, _ []byte) bool {
		k := key{l.Function, l.Cause, ReasonOf(l)}
		if groups[k] == nil && len(groups) >= MaxGroups {
			k.reason = ""
		}
		g := groups[k]
		if g == nil {
			g = &Group{Function: k.function, Cause: k.cause, Reason: k.reason, First: l.DeadAt, Last: l.DeadAt}
			groups[k] = g
		}
		g.Count++
		if l.DeadAt.Before(g.First) {
			g.First = l.DeadAt
		}
		if l.DeadAt.After(g.Last) {
			g.Last = l.DeadAt
		}
		return ctx.Err() == nil
	})
	if err := errors.Join(err, context.Cause(ctx)); err != nil {
		return nil, err
	}
	all := make([]Group, 0, len(groups))
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Function, b.Function),
			cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Reason, b.Reason))
	})
	return all, nil
}

// EditDeadLetter replaces the event of a dead letter by another JSON; the one that came
// stays noted. It fails with ErrNoDeadLetter and ErrBadEvent.
func (d *Dispatcher) EditDeadLetter(ctx context.Context, function string, id ID, event []byte) error {
	switch {
	case len(event) > MaxEvent:
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadEvent, len(event), MaxEvent)
	case !json.Valid(event):
		return fmt.Errorf("%w: want JSON", ErrBadEvent)
	}
	return d.withDeadLetter(ctx, function, id, func(u *unit.Unit, l *DeadLetter) error {
		l.Edit(u.Now(), slices.Clone(event))
		return records.ReplaceDeadLetter(u, l)
	})
}

// ResendAll sends the chosen dead letters again that are there when it begins: function by
// function, in the order of arrival. It does so in several units, and returns how many
// it has sent also with an error.
func (d *Dispatcher) ResendAll(ctx context.Context, s Selection) (int, error) {
	return d.forAll(ctx, s, d.resend)
}

// DropAll removes the chosen dead letters for good that are there when it begins, and
// returns how many.
func (d *Dispatcher) DropAll(ctx context.Context, s Selection) (int, error) {
	return d.forAll(ctx, s, d.drop)
}

// forAll does something with each of the chosen dead letters, several in a unit.
func (d *Dispatcher) forAll(ctx context.Context, s Selection, do func(*unit.Unit, *DeadLetter) error) (done int, err error) {
	began := d.clock.Now()
	var cursor []byte
	for more := true; more; {
		n := 0
		last := cursor
		err := unit.Run(ctx, d.env, d.committer, maxConflicts, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			var chosen []*DeadLetter
			chosen, last, more, err = choose(u, s, cursor, began)
			n = 0
			for _, l := range chosen {
				if err != nil {
					break
				}
				// Read again, so that it is validated.
				if l, err = records.GetDeadLetter(u, l.Function, l.ID); err == nil && l != nil {
					err = do(u, l)
					n++
				}
			}
			return err
		})
		if err != nil {
			return done, err
		}
		cursor = last
		done += n
	}
	return done, nil
}

// choose returns the next dead letters of a selection, those that were given up after
// began left out, and the cursor behind them.
func choose(u *unit.Unit, s Selection, cursor []byte, began time.Time) (chosen []*DeadLetter, last []byte, more bool, err error) {
	const maxLook = 10 * selectBatch
	looked, size := 0, 0
	last = cursor
	err = records.ListDeadLetters(u, s.Function, cursor, func(l *DeadLetter, at []byte) bool {
		last = at
		looked++
		if s.matches(l) && !l.DeadAt.After(began) {
			chosen = append(chosen, l)
			size += len(l.Event)
		}
		more = len(chosen) >= selectBatch || size >= selectBytes || looked >= maxLook
		return !more
	})
	return chosen, last, more, err
}
