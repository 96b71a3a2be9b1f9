package engine

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/records"
)

// Query selects instances.
type Query struct {
	// States, unless empty, are the states that count.
	States []records.State
	// Name, unless empty, is the orchestration.
	Name string
	// IDPrefix, unless empty, begins the instance id.
	IDPrefix string
	// Tags must all be there.
	Tags map[string]string
	// From and To, unless zero, bound the creation time: [From, To).
	From, To time.Time
	// Limit bounds the page; default 50, at most 1,000.
	Limit int
	// Cursor goes on after an earlier page.
	Cursor string
}

func (q *Query) matches(rec *records.Instance) bool {
	if q.Name != "" && rec.Name != q.Name || !strings.HasPrefix(rec.ID, q.IDPrefix) ||
		!q.From.IsZero() && rec.Created.Before(q.From) || !q.To.IsZero() && !rec.Created.Before(q.To) {
		return false
	}
	for k, v := range q.Tags {
		if got, ok := rec.Tags[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// AllStates is every state, in the order in which List shows them.
var AllStates = []records.State{
	records.Running, records.Suspended, records.Stalled,
	records.Completed, records.Failed, records.Canceled, records.Terminated,
}

// List returns a page of instances, newest first within a state, and the cursor
// of the next page, empty at the end. An instance that changes its state between
// two pages may be seen twice or not at all; others are seen once.
func (e *Engine) List(q Query) (page []*records.Instance, next string, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 1000)
	states := q.States
	if len(states) == 0 {
		states = AllStates
	}
	at, cursor, err := decodeCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, "", err
	}
	defer snap.Close()
	for _, s := range states {
		if at != 0 && s != at {
			continue // an earlier page showed it
		}
		var last []byte
		err := records.ListInstances(snap, s, cursor, func(_ records.InstanceKey, rec *records.Instance, c []byte) bool {
			if q.matches(rec) {
				if len(page) == limit {
					next = encodeCursor(s, last)
					return false
				}
				page = append(page, rec)
			}
			last = c
			return true
		})
		if err != nil || next != "" {
			return page, next, err
		}
		at, cursor = 0, nil
		if len(page) == limit {
			if rest := after(states, s); rest != 0 {
				return page, encodeCursor(rest, nil), nil
			}
			return page, "", nil
		}
	}
	return page, "", nil
}

// after returns the state that follows s in states, or 0.
func after(states []records.State, s records.State) records.State {
	for i, one := range states {
		if one == s && i+1 < len(states) {
			return states[i+1]
		}
	}
	return 0
}

func encodeCursor(s records.State, at []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{byte(s)}, at...))
}

func decodeCursor(cursor string) (records.State, []byte, error) {
	if cursor == "" {
		return 0, nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) != 1 && len(b) != 1+8+8 {
		return 0, nil, fmt.Errorf("%w: cursor", ErrInvalid)
	}
	s := records.State(b[0])
	if len(b) == 1 {
		return s, nil, nil
	}
	return s, b[1:], nil
}

// Counts returns how many instances are in each state.
func (e *Engine) Counts() (map[records.State]int, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	counts := map[records.State]int{}
	for _, s := range AllStates {
		n, err := records.CountInstances(snap, s)
		if err != nil {
			return nil, err
		}
		counts[s] = n
	}
	return counts, nil
}
