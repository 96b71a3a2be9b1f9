package control

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/records"
)

// The bounds of what is done with many dead letters in one request.
const (
	// maxSelected is how many dead letters are looked at.
	maxSelected = 1000
	// maxGrouped is how many dead letters are grouped.
	maxGrouped = 10_000
	// maxReason bounds the text that stands for a group, in bytes.
	maxReason = 200
)

// DeadLetters are the events that an app gave up. A cursor stands for the place of a
// dead letter.
type DeadLetters interface {
	DeadLetters(function, cursor string, limit int) (letters []delivery.DeadLetter, next string, err error)
	DeadLetter(ctx context.Context, function string, id delivery.ID) (*delivery.DeadLetter, error)
	EditDeadLetter(ctx context.Context, function string, id delivery.ID, event []byte) error
	Resend(ctx context.Context, function string, id delivery.ID) error
	Drop(ctx context.Context, function string, id delivery.ID) error
}

// DeadLetter is an event that was given up.
type DeadLetter struct {
	Function string    `json:"function"`
	ID       string    `json:"id"`
	Cause    string    `json:"cause"`
	Reason   string    `json:"reason,omitempty"`
	Enqueued time.Time `json:"enqueued"`
	Dead     time.Time `json:"dead"`
	Attempts int       `json:"attempts"`
	// ProcessDeaths is how often the process died while it was handled.
	ProcessDeaths int `json:"processDeaths,omitempty"`
	// What follows is left out of lists.
	Topic    string          `json:"topic,omitempty"`
	Failures []FailedAttempt `json:"failures,omitempty"`
	// Headers are shown when the event is.
	Headers map[string]string `json:"headers,omitempty"`
	// Event is masked unless it was to be revealed.
	Event json.RawMessage `json:"event,omitempty"`
	// EventBytes is an event that is not JSON, if it was to be revealed.
	EventBytes []byte `json:"eventBytes,omitempty"`
}

// FailedAttempt is an attempt that failed.
type FailedAttempt struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// DeadLetterGroup is how many events a function gave up for one cause and reason.
type DeadLetterGroup struct {
	Function string `json:"function"`
	Cause    string `json:"cause"`
	// Reason is as in ReasonOf.
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	// Oldest and Newest are when the first and the last of them were given up.
	Oldest time.Time `json:"oldest"`
	Newest time.Time `json:"newest"`
}

// DeadLetterGroups are all groups of an app, the greatest first.
type DeadLetterGroups struct {
	Items []DeadLetterGroup `json:"items"`
	// Partial is true when there were more dead letters than were looked at.
	Partial bool `json:"partial,omitempty"`
}

// Selection chooses dead letters.
type Selection struct {
	// Function, Cause and Reason must all fit; one that is empty fits all.
	Function string `json:"function,omitempty"`
	Cause    string `json:"cause,omitempty"`
	// Reason is a group's.
	Reason string `json:"reason,omitempty"`
	// All must be true to choose every dead letter there is.
	All bool `json:"all,omitempty"`
	// Cursor goes on where an earlier request has ended.
	Cursor string `json:"cursor,omitempty"`
}

// Handled says what became of a Selection.
type Handled struct {
	Count int `json:"count"`
	// Next is the cursor for the rest; empty when all was looked at.
	Next string `json:"next,omitempty"`
}

func (s *server) routeDeadLetters() {
	s.handle("GET deadletters", s.listDeadLetters)
	s.handle("GET deadletters/groups", s.groupDeadLetters)
	s.handle("POST deadletters/resend", s.handleSelected(s.DeadLetters.Resend))
	s.handle("POST deadletters/drop", s.handleSelected(s.DeadLetters.Drop))
	s.handle("GET deadletters/{function}/{id}", s.getDeadLetter)
	s.handle("PUT deadletters/{function}/{id}/event", s.editDeadLetter)
	s.handle("POST deadletters/{function}/{id}/resend", s.handleOne(s.DeadLetters.Resend))
	s.handle("DELETE deadletters/{function}/{id}", s.handleOne(s.DeadLetters.Drop))
}

func (s *server) listDeadLetters(r *http.Request) (any, error) {
	q := readQuery(r)
	selection := Selection{
		Function: q.text("function"), Cause: q.text("cause"), Reason: q.text("reason"), Cursor: q.text("cursor"),
	}
	limit := q.limit()
	if err := q.done(); err != nil {
		return nil, err
	}
	page := Page[DeadLetter]{Items: []DeadLetter{}}
	next, err := s.eachDeadLetter(r.Context(), selection, limit, maxSelected, func(l *delivery.DeadLetter) (bool, error) {
		page.Items = append(page.Items, deadLetterOf(l))
		return true, nil
	})
	page.Next = next
	return page, err
}

// eachDeadLetter visits the dead letters of a selection, oldest arrival first, until most
// were taken or looked at as many. Visit says whether it took one. It returns the cursor
// of the rest, empty at the end.
func (s *server) eachDeadLetter(
	ctx context.Context, q Selection, most, look int, visit func(*delivery.DeadLetter) (bool, error),
) (next string, err error) {
	cursor := q.Cursor
	if _, err := base64.RawURLEncoding.DecodeString(cursor); err != nil {
		return "", problem.Invalid(problem.Fault{In: "query", Name: "cursor", Detail: "it was not given by this list"})
	}
	for taken := 0; ; {
		// A page that is no longer than what may still be taken: its end is the cursor.
		letters, next, err := s.DeadLetters.DeadLetters(q.Function, cursor, min(most-taken, look))
		if err != nil {
			return "", err
		}
		for i := range letters {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			if !q.matches(&letters[i]) {
				continue
			}
			took, err := visit(&letters[i])
			if err != nil {
				return "", err
			}
			if took {
				taken++
			}
		}
		look -= len(letters)
		if next == "" || taken >= most || look <= 0 {
			return next, nil
		}
		cursor = next
	}
}

func (q *Selection) matches(l *delivery.DeadLetter) bool {
	return (q.Cause == "" || q.Cause == l.Cause.String()) && (q.Reason == "" || q.Reason == ReasonOf(l))
}

// The parts of a reason that differ between failures of one kind.
var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	digits = regexp.MustCompile(`[0-9]+`)
)

// ReasonOf returns why an event was given up, without what is the event's own: the latest
// error, what is quoted replaced by "…", numbers by #.
func ReasonOf(l *delivery.DeadLetter) string {
	text := cmp.Or(l.LastError(), l.Reason)
	text = digits.ReplaceAllString(quoted.ReplaceAllString(text, `"…"`), "#")
	if len(text) > maxReason {
		cut := maxReason
		for cut > 0 && text[cut]&0xC0 == 0x80 { // not inside a character
			cut--
		}
		text = text[:cut]
	}
	return text
}

func deadLetterOf(l *delivery.DeadLetter) DeadLetter {
	return DeadLetter{
		Function: l.Function, ID: l.ID.String(), Cause: l.Cause.String(), Reason: cmp.Or(l.LastError(), l.Reason),
		Enqueued: l.EnqueuedAt, Dead: l.DeadAt, Attempts: l.Attempts, ProcessDeaths: l.ProcessDeaths,
	}
}

func (s *server) groupDeadLetters(r *http.Request) (any, error) {
	q := readQuery(r)
	selection := Selection{Function: q.text("function")}
	if err := q.done(); err != nil {
		return nil, err
	}
	type key struct{ function, cause, reason string }
	groups := map[key]*DeadLetterGroup{}
	next, err := s.eachDeadLetter(r.Context(), selection, maxGrouped, maxGrouped, func(l *delivery.DeadLetter) (bool, error) {
		k := key{l.Function, l.Cause.String(), ReasonOf(l)}
		g := groups[k]
		if g == nil {
			g = &DeadLetterGroup{Function: k.function, Cause: k.cause, Reason: k.reason, Oldest: l.DeadAt, Newest: l.DeadAt}
			groups[k] = g
		}
		g.Count++
		if l.DeadAt.Before(g.Oldest) {
			g.Oldest = l.DeadAt
		}
		if l.DeadAt.After(g.Newest) {
			g.Newest = l.DeadAt
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	out := DeadLetterGroups{Items: make([]DeadLetterGroup, 0, len(groups)), Partial: next != ""}
	for _, g := range groups {
		out.Items = append(out.Items, *g)
	}
	slices.SortFunc(out.Items, func(a, b DeadLetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Function, b.Function),
			cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Reason, b.Reason))
	})
	return out, nil
}

// deadLetterID reads the id in a path.
func deadLetterID(r *http.Request) (function string, id delivery.ID, err error) {
	id, err = records.ParseDeliveryID(named(r, "id"))
	if err != nil {
		err = problem.Invalid(problem.Fault{In: "path", Name: "id", Detail: "want 26 digits and letters from 0 to v"})
	}
	return named(r, "function"), id, err
}

func (s *server) getDeadLetter(r *http.Request) (any, error) {
	q := readQuery(r)
	reveal := q.flag("reveal")
	if err := q.done(); err != nil {
		return nil, err
	}
	function, id, err := deadLetterID(r)
	if err != nil {
		return nil, err
	}
	l, err := s.DeadLetters.DeadLetter(r.Context(), function, id)
	if err != nil {
		return nil, err
	}
	out := deadLetterOf(l)
	out.Topic = l.Topic
	for _, f := range l.Failures {
		out.Failures = append(out.Failures, FailedAttempt(f))
	}
	switch {
	case !reveal:
		out.Event = Mask(l.Event)
	case json.Valid(l.Event):
		out.Event, out.Headers = l.Event, l.Headers
	default:
		out.EventBytes, out.Headers = l.Event, l.Headers
	}
	return out, nil
}

func (s *server) editDeadLetter(r *http.Request) (any, error) {
	function, id, err := deadLetterID(r)
	if err != nil {
		return nil, err
	}
	event, err := readPayload(r)
	if err != nil {
		return nil, err
	}
	return nil, s.DeadLetters.EditDeadLetter(r.Context(), function, id, event)
}

func (s *server) handleOne(do func(context.Context, string, delivery.ID) error) answer {
	return func(r *http.Request) (any, error) {
		function, id, err := deadLetterID(r)
		if err != nil {
			return nil, err
		}
		return nil, do(r.Context(), function, id)
	}
}

// handleSelected does the same with many dead letters, one after another in the order of
// their arrival. What others have handled meanwhile is passed over.
func (s *server) handleSelected(do func(context.Context, string, delivery.ID) error) answer {
	return func(r *http.Request) (any, error) {
		var q Selection
		if err := readJSON(r, maxSmallBody, false, &q); err != nil {
			return nil, err
		}
		if q.Function == "" && q.Cause == "" && q.Reason == "" && !q.All {
			return nil, badBody("choose by function, cause or reason, or set all to true")
		}
		var done Handled
		next, err := s.eachDeadLetter(r.Context(), q, maxSelected, maxSelected, func(l *delivery.DeadLetter) (bool, error) {
			err := do(r.Context(), l.Function, l.ID)
			if errors.Is(err, delivery.ErrNoDeadLetter) {
				return false, nil
			}
			if err == nil {
				done.Count++
			}
			return err == nil, err
		})
		done.Next = next
		return done, err
	}
}
