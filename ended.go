package perdure

import (
	"context"
	"encoding/json"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
)

// Ended is the event of an instance that has ended.
type Ended struct {
	// InstanceID is the instance's id, and Name the orchestration's.
	InstanceID string `json:"instanceId"`
	Name       string `json:"name"`
	// State is durable.Completed, durable.Failed, durable.Canceled or
	// durable.Terminated.
	State durable.State `json:"state"`
	// Result is what a completed instance returned.
	Result json.RawMessage `json:"result,omitempty"`
	// Failure says why another one has ended.
	Failure string `json:"failure,omitempty"`
	// Tags are the instance's.
	Tags map[string]string `json:"tags,omitempty"`
	// Created and Ended are when it was started and when it ended.
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended"`
}

// NamedOrchestration says whose instances a function hears of: a durable.Orchestration,
// an OrchestrationName, or AnyOrchestration.
type NamedOrchestration interface{ Name() string }

// OrchestrationName names an orchestration that is declared elsewhere.
type OrchestrationName string

// Name returns the name.
func (n OrchestrationName) Name() string { return string(n) }

// AnyOrchestration stands for all orchestrations of an app.
const AnyOrchestration OrchestrationName = "*"

// OnEnded runs fn for each instance of an orchestration that has ended: completed, failed,
// canceled or terminated. The event is stored in the very commit that ends the instance.
// In may take it, an Ended, by a field tagged body. Keys may use {orchestration.name},
// {orchestration.id} and {orchestration.state}. Each event is handled in one unit of work.
func OnEnded[In, Out any](of NamedOrchestration, fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	return &endedFunction{eventFunction: newEventFunction("ended/"+of.Name(), fn, opts...), of: of.Name()}
}

// endedFunction is a function that is triggered by the end of instances.
type endedFunction struct {
	eventFunction
	of string
}

// endedMetadata are the names that expressions may use.
var endedMetadata = []string{"orchestration.name", "orchestration.id", "orchestration.state"}

func (f *endedFunction) resources() []resource.Resource { return nil }

func (f *endedFunction) register(r *running, env binding.Env) error {
	plan, err := f.compile(env, nil, endedMetadata)
	if err != nil {
		return err
	}
	return r.dispatcher.Register(delivery.Function{
		Name: f.name, Topics: []string{endedTopic(f.of)}, Policy: f.policy,
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			var ended Ended
			if err := json.Unmarshal(d.Event, &ended); err != nil {
				return Permanent(err)
			}
			return plan.handle(ctx, d, nil, map[string]string{
				"orchestration.name": ended.Name, "orchestration.id": ended.InstanceID, "orchestration.state": string(ended.State),
			})
		},
	})
}

// endedTopic is what the ends of an orchestration's instances are published as.
func endedTopic(orchestration string) string {
	if orchestration == AnyOrchestration.Name() {
		return "ended"
	}
	return "ended/" + orchestration
}

// publishEnds returns what publishes the ends of instances that the parts want to hear
// of; nil when none does, so that nothing is done for it.
func (r *running) publishEnds(p *parts) func(*unit.Unit, *records.Instance) error {
	wanted := map[string]bool{}
	for _, part := range p.events {
		if f, ok := part.(*endedFunction); ok {
			wanted[f.of] = true
		}
	}
	if len(wanted) == 0 && r.config.Identity == nil {
		return nil
	}
	return func(u *unit.Unit, rec *records.Instance) error {
		if err := r.endLeases(u, rec.ID); err != nil {
			return err
		}
		all := AnyOrchestration.Name()
		if !wanted[rec.Name] && !wanted[all] {
			return nil
		}
		ended := Ended{
			InstanceID: rec.ID, Name: rec.Name, State: durable.State(rec.State.String()), Result: rec.Output,
			Tags: rec.Tags, Created: rec.Created, Ended: rec.Ended,
		}
		if rec.Failure != nil {
			ended.Failure = rec.Failure.Message
		}
		event, err := json.Marshal(ended)
		if err != nil {
			return err
		}
		for _, of := range []string{rec.Name, all} {
			if err := r.dispatcher.Publish(u, endedTopic(of), event); err != nil {
				return err
			}
		}
		return nil
	}
}
