package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Client manages instances from outside a unit of work: from main, a test, a
// command. Get one from App.Durable. Inside a unit its methods that wait fail with
// ErrInsideUnit.
type Client struct{ e *engine.Engine }

// NewClient returns a client of an engine. It is for package perdure; programs call
// App.Durable.
func NewClient(e *engine.Engine) *Client { return &Client{e} }

// State says where an instance stands.
type State string

// The states of an instance.
const (
	// Running: it works or waits.
	Running State = "Running"
	// Suspended: it was told to pause; what arrives is kept.
	Suspended State = "Suspended"
	// Stalled: it cannot go on until it is repaired; Reason says why.
	Stalled State = "Stalled"
	// Completed: its code returned a result.
	Completed State = "Completed"
	// Failed: its code returned an error.
	Failed State = "Failed"
	// Canceled: it was asked to end and did.
	Canceled State = "Canceled"
	// Terminated: it was ended without being asked.
	Terminated State = "Terminated"
)

// Ended reports whether an instance in this state does nothing any more.
func (s State) Ended() bool {
	return s == Completed || s == Failed || s == Canceled || s == Terminated
}

// Instance is what is known of an instance.
type Instance struct {
	ID      string
	Name    string
	State   State
	Created time.Time
	// Ended is zero while it has not ended.
	Ended time.Time
	// Input is set by Get alone.
	Input  json.RawMessage
	Output json.RawMessage
	// Err is why it failed, was canceled or terminated.
	Err error
	// Reason says why it is suspended, stalled or terminated.
	Reason string
	// Status is the custom status.
	Status json.RawMessage
	Tags   map[string]string
}

func instanceOf(rec *records.Instance) *Instance {
	return &Instance{
		ID: rec.ID, Name: rec.Name, State: State(rec.State.String()), Created: rec.Created, Ended: rec.Ended,
		Output: rec.Output, Err: asError("", rec.Failure), Reason: rec.Reason, Status: rec.Status, Tags: rec.Tags,
	}
}

// outside refuses to wait inside a unit of work.
func outside(ctx context.Context) error {
	if unit.Inside(ctx) {
		return ErrInsideUnit
	}
	return nil
}

// StartWith starts an instance and returns its id once that is durable.
func (o *Orchestration[In, Out]) StartWith(ctx context.Context, c *Client, in In, opts ...StartOption) (string, error) {
	if err := outside(ctx); err != nil {
		return "", err
	}
	s, err := o.request(in, opts)
	if err != nil {
		return "", err
	}
	return c.e.StartInstance(ctx, s)
}

// WaitWith waits for the instance called id and returns its output; the error of one
// that did not complete is an *Error.
func (o *Orchestration[In, Out]) WaitWith(ctx context.Context, c *Client, id string) (Out, error) {
	var zero Out
	in, err := c.Wait(ctx, id)
	if err != nil {
		return zero, err
	}
	return o.output(in)
}

// output decodes the output of an instance that has ended.
func (o *Orchestration[In, Out]) output(in *Instance) (Out, error) {
	var zero Out
	if in.Name != o.name {
		return zero, fmt.Errorf("%w: instance %q is of orchestration %q, not %q", ErrInvalid, in.ID, in.Name, o.name)
	}
	if in.State != Completed {
		return zero, fmt.Errorf("instance %q: %s: %w", in.ID, in.State, in.Err)
	}
	out, err := decode[Out](in.Output)
	if err != nil {
		return zero, decodeError(fmt.Sprintf("output of instance %q", in.ID), err)
	}
	return out, nil
}

// RunWith starts an instance and waits for its output.
func (o *Orchestration[In, Out]) RunWith(ctx context.Context, c *Client, in In, opts ...StartOption) (Out, error) {
	var zero Out
	if err := outside(ctx); err != nil {
		return zero, err
	}
	s, err := o.request(in, opts)
	if err != nil {
		return zero, err
	}
	rec, err := c.e.RunInstance(ctx, s)
	if err != nil {
		return zero, err
	}
	return o.output(instanceOf(rec))
}

// RaiseWith raises the event for the instance called id and returns once it is
// durable. It fails as Raise does.
func (e *Event[T]) RaiseWith(ctx context.Context, c *Client, id string, payload T, opts ...RaiseOption) error {
	if err := outside(ctx); err != nil {
		return err
	}
	r, err := e.request(id, payload, opts)
	if err != nil {
		return err
	}
	return c.e.Raise(ctx, r)
}

// Get returns what is known of the instance called id: ErrNotFound without one.
func (c *Client) Get(_ context.Context, id string) (*Instance, error) {
	rec, input, err := c.e.Get(id, true)
	if err != nil {
		return nil, err
	}
	in := instanceOf(rec)
	in.Input = input
	return in, nil
}

// Wait waits until the instance called id has ended.
func (c *Client) Wait(ctx context.Context, id string) (*Instance, error) {
	if err := outside(ctx); err != nil {
		return nil, err
	}
	rec, err := c.e.Wait(ctx, id)
	if err != nil {
		return nil, err
	}
	return instanceOf(rec), nil
}

// Suspend keeps an instance from running until Resume. What arrives meanwhile is
// kept; running activities go on.
func (c *Client) Suspend(ctx context.Context, id, reason string) error {
	if err := outside(ctx); err != nil {
		return err
	}
	return c.e.Suspend(ctx, id, reason)
}

// Resume lets a suspended or stalled instance go on.
func (c *Client) Resume(ctx context.Context, id string) error {
	if err := outside(ctx); err != nil {
		return err
	}
	return c.e.Resume(ctx, id)
}

// Terminate ends an instance at once; its code and clean-up do not run.
func (c *Client) Terminate(ctx context.Context, id, reason string) error {
	if err := outside(ctx); err != nil {
		return err
	}
	return c.e.Terminate(ctx, id, reason)
}

// Cancel asks an instance to end: its waits fail with ErrCanceled, its activities and
// children are canceled, its registered clean-up runs. If it has not ended after
// deadline it is terminated; zero lets it take as long as it needs.
func (c *Client) Cancel(ctx context.Context, id, reason string, deadline time.Duration) error {
	if err := outside(ctx); err != nil {
		return err
	}
	return c.e.Cancel(ctx, id, reason, deadline)
}

// Purge removes every trace of an instance that has ended: ErrNotEnded otherwise.
func (c *Client) Purge(ctx context.Context, id string) error {
	if err := outside(ctx); err != nil {
		return err
	}
	return c.e.Purge(ctx, id)
}

// Complete ends an activity that returned ErrPending, with its result.
func (c *Client) Complete(ctx context.Context, token string, result any) error {
	if err := outside(ctx); err != nil {
		return err
	}
	out, err := encodeResult(result)
	if err != nil {
		return err
	}
	return c.e.CompleteActivity(ctx, token, out, nil)
}

// Fail ends an activity that returned ErrPending, with an error.
func (c *Client) Fail(ctx context.Context, token string, cause error) error {
	if err := outside(ctx); err != nil {
		return err
	}
	return c.e.CompleteActivity(ctx, token, nil, engine.FailureOf(cause))
}

// Query selects instances for List. Zero fields select everything.
type Query struct {
	States []State
	// Name is the orchestration's.
	Name string
	// IDPrefix begins the instance id.
	IDPrefix string
	// Tags must all be there.
	Tags map[string]string
	// From and To bound the creation time: [From, To).
	From, To time.Time
	// Limit bounds a page; default 50, at most 1,000.
	Limit int
	// Cursor is Page.Next of the page before.
	Cursor string
}

// Page is a part of a list.
type Page struct {
	Instances []*Instance
	// Next is the cursor of the next page; empty at the end.
	Next string
}

// List returns instances, newest first within each state. Pages are stable: an
// instance that does not change its state meanwhile is on exactly one of them.
func (c *Client) List(_ context.Context, q Query) (Page, error) {
	eq := engine.Query{
		Name: q.Name, IDPrefix: q.IDPrefix, Tags: q.Tags, From: q.From, To: q.To, Limit: q.Limit, Cursor: q.Cursor,
	}
	for _, s := range q.States {
		state, err := parseState(s)
		if err != nil {
			return Page{}, err
		}
		eq.States = append(eq.States, state)
	}
	found, next, err := c.e.List(eq)
	if err != nil {
		return Page{}, err
	}
	page := Page{Next: next, Instances: make([]*Instance, len(found))}
	for i, rec := range found {
		page.Instances[i] = instanceOf(rec)
	}
	return page, nil
}

// Counts returns how many instances are in each state.
func (c *Client) Counts(context.Context) (map[State]int, error) {
	found, err := c.e.Counts()
	if err != nil {
		return nil, err
	}
	counts := make(map[State]int, len(found))
	for s, n := range found {
		counts[State(s.String())] = n
	}
	return counts, nil
}

func parseState(s State) (records.State, error) {
	for _, state := range engine.AllStates {
		if state.String() == string(s) {
			return state, nil
		}
	}
	return 0, fmt.Errorf("%w: state %q", ErrInvalid, s)
}
