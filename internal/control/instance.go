package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/problem"
)

// Instances are the orchestration instances of an app.
type Instances interface {
	List(ctx context.Context, q durable.Query) (durable.Page, error)
	Counts(ctx context.Context) (map[durable.State]int, error)
	Get(ctx context.Context, id string) (*durable.Instance, error)
	History(id string) ([]history.Turn, error)
	Start(ctx context.Context, s Start) (id string, err error)
	Raise(ctx context.Context, id, event string, payload json.RawMessage, keepFor time.Duration) error
	Suspend(ctx context.Context, id, reason string) error
	Resume(ctx context.Context, id string) error
	Terminate(ctx context.Context, id, reason string) error
	Cancel(ctx context.Context, id, reason string, deadline time.Duration) error
	Purge(ctx context.Context, id string) error
}

// Instance is an orchestration instance.
type Instance struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	State   durable.State     `json:"state"`
	Created time.Time         `json:"created"`
	Ended   time.Time         `json:"ended,omitzero"`
	Reason  string            `json:"reason,omitempty"`
	Error   string            `json:"error,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	// Input, Output and Status are left out of lists.
	Input  json.RawMessage `json:"input,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
	Status json.RawMessage `json:"status,omitempty"`
}

// Start asks for a new instance.
type Start struct {
	// Name is the orchestration's.
	Name string `json:"name"`
	// ID, unless empty, is the new instance's. An instance that has it and was started
	// with the same input answers the start.
	ID    string            `json:"id,omitempty"`
	Input json.RawMessage   `json:"input,omitempty"`
	Tags  map[string]string `json:"tags,omitempty"`
	// At, unless zero, is when it begins.
	At time.Time `json:"at,omitzero"`
}

// Started names an instance that was started.
type Started struct {
	ID string `json:"id"`
}

// Control is why an instance is suspended, terminated or canceled.
type Control struct {
	Reason string `json:"reason,omitempty"`
	// Deadline is when an instance that is canceled and has not ended is terminated:
	// a duration such as "30s".
	Deadline string `json:"deadline,omitempty"`
}

// Event is one thing that happened to an instance.
type Event struct {
	// Turn numbers the turns from 0.
	Turn int       `json:"turn"`
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	// Call numbers the calls an instance makes; a call and its answer have the same.
	Call     uint32          `json:"call,omitempty"`
	Name     string          `json:"name,omitempty"`
	ID       string          `json:"id,omitempty"`
	Due      time.Time       `json:"due,omitzero"`
	Data     json.RawMessage `json:"data,omitempty"`
	Error    string          `json:"error,omitempty"`
	Attempts uint32          `json:"attempts,omitempty"`
}

func (s *server) routeInstances() {
	s.handle("GET counts", func(r *http.Request) (any, error) {
		counts, err := s.Instances.Counts(r.Context())
		return Counts{counts}, err
	})
	s.handle("GET instances", s.listInstances)
	s.handle("POST instances", s.startInstance)
	s.handle("GET instances/{id}", s.getInstance)
	s.handle("GET instances/{id}/history", s.getHistory)
	s.handle("POST instances/{id}/events/{event}", s.raiseEvent)
	s.handle("POST instances/{id}/suspend", s.control(func(r *http.Request, id string, c Control, _ time.Duration) error {
		return s.Instances.Suspend(r.Context(), id, c.Reason)
	}))
	s.handle("POST instances/{id}/resume", s.control(func(r *http.Request, id string, _ Control, _ time.Duration) error {
		return s.Instances.Resume(r.Context(), id)
	}))
	s.handle("POST instances/{id}/terminate", s.control(func(r *http.Request, id string, c Control, _ time.Duration) error {
		return s.Instances.Terminate(r.Context(), id, c.Reason)
	}))
	s.handle("POST instances/{id}/cancel", s.control(func(r *http.Request, id string, c Control, deadline time.Duration) error {
		return s.Instances.Cancel(r.Context(), id, c.Reason, deadline)
	}))
	s.handle("DELETE instances/{id}", func(r *http.Request) (any, error) {
		return nil, s.Instances.Purge(r.Context(), named(r, "id"))
	})
}

func (s *server) listInstances(r *http.Request) (any, error) {
	in := readQuery(r)
	q := durable.Query{
		Name: in.text("name"), IDPrefix: in.text("prefix"), From: in.time("from"), To: in.time("to"),
		Limit: in.limit(), Cursor: in.text("cursor"),
	}
	for _, state := range in.all("state") {
		q.States = append(q.States, durable.State(state))
	}
	for _, tag := range in.all("tag") {
		name, value, ok := strings.Cut(tag, "=")
		if !ok {
			in.fault("tag", "want name=value")
		}
		if q.Tags == nil {
			q.Tags = map[string]string{}
		}
		q.Tags[name] = value
	}
	if err := in.done(); err != nil {
		return nil, err
	}
	found, err := s.Instances.List(r.Context(), q)
	if err != nil {
		return nil, err
	}
	page := Page[Instance]{Next: found.Next, Items: make([]Instance, len(found.Instances))}
	for i, one := range found.Instances {
		page.Items[i] = instanceOf(one)
		page.Items[i].Output, page.Items[i].Status = nil, nil
	}
	return page, nil
}

func instanceOf(i *durable.Instance) Instance {
	out := Instance{
		ID: i.ID, Name: i.Name, State: i.State, Created: i.Created, Ended: i.Ended, Reason: i.Reason, Tags: i.Tags,
		Input: i.Input, Output: i.Output, Status: i.Status,
	}
	if i.Err != nil {
		out.Error = i.Err.Error()
	}
	return out
}

func (s *server) getInstance(r *http.Request) (any, error) {
	found, err := s.Instances.Get(r.Context(), named(r, "id"))
	if err != nil {
		return nil, err
	}
	return instanceOf(found), nil
}

// getHistory answers whole turns from one on, until the page is full.
func (s *server) getHistory(r *http.Request) (any, error) {
	q := readQuery(r)
	from, limit := q.number("cursor", 1<<31-1), q.limit()
	if err := q.done(); err != nil {
		return nil, err
	}
	turns, err := s.Instances.History(named(r, "id"))
	if err != nil {
		return nil, err
	}
	page, size := Page[Event]{Items: []Event{}}, 0
	for n := from; n < len(turns); n++ {
		if len(page.Items) >= limit || size >= maxPageBytes {
			page.Next = fmt.Sprint(n)
			break
		}
		for _, e := range turns[n].Events {
			page.Items = append(page.Items, eventOf(n, turns[n].Time, e))
			size += len(e.Data)
		}
	}
	return page, nil
}

func eventOf(turn int, at int64, e history.Event) Event {
	out := Event{Turn: turn, Time: time.Unix(0, at).UTC(), Kind: e.Kind.String(), Call: e.Seq, Name: e.Name, ID: e.ID}
	if e.Kind == history.TimerCreated {
		out.Due = time.Unix(0, e.Time).UTC()
	}
	if json.Valid(e.Data) {
		out.Data = e.Data
	}
	if e.Failure != nil {
		out.Error, out.Attempts = e.Failure.Message, e.Failure.Attempts
		if out.Error == "" {
			out.Error = e.Failure.Type
		}
	}
	return out
}

func (s *server) startInstance(r *http.Request) (any, error) {
	var start Start
	if err := readJSON(r, maxBody, false, &start); err != nil {
		return nil, err
	}
	if start.Name == "" {
		return nil, problem.Invalid(problem.Fault{In: "body", Name: "name", Detail: "the name of an orchestration is needed"})
	}
	if len(start.Input) == 0 {
		start.Input = json.RawMessage("null")
	}
	id, err := s.Instances.Start(r.Context(), start)
	if err != nil {
		return nil, err
	}
	return created{Started{id}}, nil
}

func (s *server) raiseEvent(r *http.Request) (any, error) {
	q := readQuery(r)
	keepFor := q.duration("keepFor")
	if err := q.done(); err != nil {
		return nil, err
	}
	payload, err := readPayload(r)
	if err != nil {
		return nil, err
	}
	return nil, s.Instances.Raise(r.Context(), named(r, "id"), named(r, "event"), payload, keepFor)
}

// control answers a request that changes whether an instance runs.
func (s *server) control(do func(r *http.Request, id string, c Control, deadline time.Duration) error) answer {
	return func(r *http.Request) (any, error) {
		var (
			c        Control
			deadline time.Duration
		)
		err := readJSON(r, maxSmallBody, true, &c)
		if err == nil && c.Deadline != "" {
			if deadline, err = time.ParseDuration(c.Deadline); err != nil || deadline < 0 {
				err = problem.Invalid(problem.Fault{In: "body", Name: "deadline", Detail: "want a duration such as 30s"})
			}
		}
		if err != nil {
			return nil, err
		}
		return nil, do(r, named(r, "id"), c, deadline)
	}
}
