package perdure

import (
	"context"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// functions returns the functions of the app as they are managed, those of HTTP first.
func (r *running) functions(requested []*httpapi.Function, events []eventPart) ([]control.Function, error) {
	var all []control.Function
	for _, f := range requested {
		all = append(all, control.Function{Name: f.Name(), Trigger: "http", Source: f.Pattern()})
	}
	for _, part := range events {
		f, own := controlledFunction(part)
		if own == nil {
			continue // it is no function
		}
		f.Policy = controlledPolicy(own.policy)
		names := []string{own.name}
		if _, ok := part.(*windowFunction); ok {
			names = append(names, own.name+windowResults)
		}
		for _, f.Name = range names {
			if err := r.load(&f); err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	return all, nil
}

// windowResults ends the name of what handles the results of a function with windows.
const windowResults = "/results"

// controlledFunction returns what triggers a function, and what all functions have in
// common.
func controlledFunction(part eventPart) (f control.Function, own *eventFunction) {
	switch part := part.(type) {
	case *blobFunction:
		return control.Function{Trigger: "blob", Source: part.blobs.ResourceName() + "/" + part.pattern}, &part.eventFunction
	case *queueFunction:
		return control.Function{Trigger: "queue", Source: part.queue.ResourceName()}, &part.eventFunction
	case *streamFunction:
		return control.Function{Trigger: "stream", Source: part.stream.ResourceName()}, &part.eventFunction
	case *windowFunction:
		return control.Function{Trigger: "window", Source: part.stream.ResourceName()}, &part.eventFunction
	case *changeFunction:
		return control.Function{Trigger: "change", Source: part.table.ResourceName()}, &part.eventFunction
	case *endedFunction:
		return control.Function{Trigger: "ended", Source: part.of}, &part.eventFunction
	case *timerFunction:
		return control.Function{Trigger: "timer", Source: part.schedule}, &part.eventFunction
	}
	return f, nil
}

func controlledPolicy(p delivery.Policy) *control.Policy {
	out := &control.Policy{Attempts: p.Attempts, Concurrency: p.Concurrency}
	if p.Timeout != 0 {
		out.Timeout = p.Timeout.String()
	}
	return out
}

// load fills in what a function has still to do.
func (r *running) load(f *control.Function) error {
	f.DeadLetters = 0
	counts, err := r.dispatcher.CountDeadLetters(f.Name)
	if err != nil {
		return err
	}
	for _, c := range counts {
		f.DeadLetters += c.Count
	}
	snap, err := r.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	if f.Depth, err = records.Depth(snap, f.Name); err != nil {
		return err
	}
	f.Oldest, err = records.Oldest(snap, f.Name, r.clock.Now())
	return err
}

// timers returns the functions that timers trigger as they are managed.
func (r *running) timers(ctx context.Context, events []eventPart) ([]control.Timer, error) {
	var all []control.Timer
	for _, part := range events {
		f, ok := part.(*timerFunction)
		if !ok {
			continue
		}
		timer, err := f.timer()
		if err != nil {
			return nil, err
		}
		one := control.Timer{Function: timer.Name, Schedule: f.schedule, Next: timer.Schedule.Next(r.clock.Now()).UTC()}
		err = r.unit(ctx, func(u *unit.Unit) error {
			rec, err := records.GetTicker(u, timer.Name)
			if rec != nil {
				one.Last = rec.Last.UTC()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
