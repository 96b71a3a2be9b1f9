package control

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/records"
)

// maxLooked is how many dead letters are looked at for one page.
const maxLooked = 1000

// DeadLetters are the events that an app gave up. A cursor stands for the place of a
// dead letter. *delivery.Dispatcher is one.
type DeadLetters interface {
	DeadLetters(function, cursor string, limit int) (letters []delivery.DeadLetter, next string, err error)
	DeadLetter(ctx context.Context, function string, id delivery.ID) (*delivery.DeadLetter, error)
	EditDeadLetter(ctx context.Context, function string, id delivery.ID, event []byte) error
	Resend(ctx context.Context, function string, id delivery.ID) error
	Drop(ctx context.Context, function string, id delivery.ID) error
	Groups(ctx context.Context, function string) ([]delivery.Group, error)
	ResendAll(ctx context.Context, s delivery.Selection) (int, error)
	DropAll(ctx context.Context, s delivery.Selection) (int, error)
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
	// Edited, unless zero, is when the event was changed last. Original is the one that
	// came, as masked as the event; null if it was not JSON.
	Edited   time.Time       `json:"edited,omitzero"`
	Original json.RawMessage `json:"original,omitempty"`
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
	// Reason is as in delivery.ReasonOf.
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	// Oldest and Newest are when the first and the last of them were given up.
	Oldest time.Time `json:"oldest"`
	Newest time.Time `json:"newest"`
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
}

// Handled says to how many dead letters it was done.
type Handled struct {
	Count int `json:"count"`
}

func (s *server) routeDeadLetters() {
	s.handle("GET deadletters", s.listDeadLetters)
	s.handle("GET deadletters/groups", s.groupDeadLetters)
	s.handle("POST deadletters/resend", s.handleSelected(s.DeadLetters.ResendAll))
	s.handle("POST deadletters/drop", s.handleSelected(s.DeadLetters.DropAll))
	s.handle("GET deadletters/{function}/{id}", s.getDeadLetter)
	s.handle("PUT deadletters/{function}/{id}/event", s.editDeadLetter)
	s.handle("POST deadletters/{function}/{id}/resend", s.handleOne(s.DeadLetters.Resend))
	s.handle("DELETE deadletters/{function}/{id}", s.handleOne(s.DeadLetters.Drop))
}

// listDeadLetters answers a page of dead letters, oldest arrival first. It may be short,
// even empty, and not the last one: when few of those that were looked at fit.
func (s *server) listDeadLetters(r *http.Request) (any, error) {
	q := readQuery(r)
	function, cause, reason := q.text("function"), q.text("cause"), q.text("reason")
	cursor, limit := q.text("cursor"), q.limit()
	if _, err := base64.RawURLEncoding.DecodeString(cursor); err != nil {
		q.fault("cursor", "it was not given by this list")
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	page := Page[DeadLetter]{Items: []DeadLetter{}, Next: cursor}
	for looked := 0; looked < maxLooked && len(page.Items) < limit; {
		// No more than still fit, so that the end of what is read is the cursor.
		letters, next, err := s.DeadLetters.DeadLetters(function, page.Next, limit-len(page.Items))
		if err != nil {
			return nil, err
		}
		for i := range letters {
			l := &letters[i]
			if (cause == "" || cause == l.Cause.String()) && (reason == "" || reason == delivery.ReasonOf(l)) {
				page.Items = append(page.Items, deadLetterOf(l))
			}
		}
		looked += len(letters)
		if page.Next = next; next == "" {
			break
		}
	}
	return page, nil
}

func deadLetterOf(l *delivery.DeadLetter) DeadLetter {
	return DeadLetter{
		Function: l.Function, ID: l.ID.String(), Cause: l.Cause.String(), Reason: cmp.Or(l.LastError(), l.Reason),
		Enqueued: l.EnqueuedAt, Dead: l.DeadAt, Attempts: l.Attempts, ProcessDeaths: l.ProcessDeaths,
	}
}

func (s *server) groupDeadLetters(r *http.Request) (any, error) {
	q := readQuery(r)
	function := q.text("function")
	if err := q.done(); err != nil {
		return nil, err
	}
	groups, err := s.DeadLetters.Groups(r.Context(), function)
	if err != nil {
		return nil, err
	}
	page := Page[DeadLetterGroup]{Items: make([]DeadLetterGroup, len(groups))}
	for i, g := range groups {
		page.Items[i] = DeadLetterGroup{
			Function: g.Function, Cause: g.Cause.String(), Reason: g.Reason, Count: g.Count, Oldest: g.First, Newest: g.Last,
		}
	}
	return page, nil
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
	out.Topic, out.Edited = l.Topic, l.EditedAt
	for _, f := range l.Failures {
		out.Failures = append(out.Failures, FailedAttempt(f))
	}
	shown := Mask
	if reveal {
		shown, out.Headers = asJSON, l.Headers
	}
	if out.Event = shown(l.Event); out.Event == nil {
		out.EventBytes = l.Event
	}
	if !l.EditedAt.IsZero() {
		out.Original = shown(l.Original)
	}
	return out, nil
}

// asJSON returns data if it is JSON.
func asJSON(data []byte) json.RawMessage {
	if json.Valid(data) {
		return data
	}
	return nil
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

// handleSelected does the same with many dead letters.
func (s *server) handleSelected(do func(context.Context, delivery.Selection) (int, error)) answer {
	return func(r *http.Request) (any, error) {
		var q Selection
		if err := readJSON(r, maxSmallBody, false, &q); err != nil {
			return nil, err
		}
		if q.Function == "" && q.Cause == "" && q.Reason == "" && !q.All {
			return nil, badBody("choose by function, cause or reason, or set all to true")
		}
		n, err := do(r.Context(), delivery.Selection{Function: q.Function, Cause: q.Cause, Reason: q.Reason})
		return Handled{n}, err
	}
}
