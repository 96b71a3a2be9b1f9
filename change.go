package perdure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/table"
)

// What is kept of a table's changes besides those that a function has still to handle:
// enough for a browser that was away for a moment.
const (
	feedAge   = 30 * time.Minute
	feedBytes = 64 << 20 // of each partition of the feed
)

// changeFunction is a function that is triggered by changes of rows.
type changeFunction struct {
	eventFunction
	table  resource.Resource
	change reflect.Type // table.Change of the table's rows
}

// OnChange runs fn for each change of a row of a table: that it was inserted, updated or
// deleted, by its expiry too. In is the table.Change, or has a field of that type tagged
// body. Keys may use {row.table}, {row.partition}, {row.key}, which is the row's name in
// its partition, and {row.kind}: insert, update or delete. Each change is handled in one
// unit of work, which commits after the one that made the change.
//
// The changes of one partition of the table are handled in the order of their commits,
// those of different ones side by side. One that is given up holds its partition, or the
// row alone if that is in none. A function begins with the changes that are made after
// it was first added; several functions for one table each need a FunctionName.
func OnChange[In, Out, T any](t *table.Table[T], fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	return &changeFunction{newEventFunction("table/"+t.ResourceName(), fn, opts...), t, reflect.TypeFor[table.Change[T]]()}
}

// rowMetadata are the names that expressions may use.
var rowMetadata = []string{"row.table", "row.partition", "row.key", "row.kind"}

func (f *changeFunction) resources() []resource.Resource { return []resource.Resource{f.table} }

func (f *changeFunction) register(r *running, env binding.Env) error {
	plan, err := f.compile(env, nil, rowMetadata)
	if err != nil {
		return err
	}
	if body := plan.input.Body; body != nil && body.Type != f.change && body.Type != reflect.PointerTo(f.change) {
		return fmt.Errorf("function %s: the body is a %v: changes of table %q are of type %v", f.name, body.Type, f.table.ResourceName(), f.change)
	}
	r.listenTo(f.table)
	err = r.feeder.Register(consumer.Group{
		Function: f.name, Stream: records.FeedStream(f.table.ResourceName()), Partitions: records.FeedPartitions,
		From: records.PlaceNow(), Policy: f.policy,
		Handle: func(ctx context.Context, e *consumer.Event) error {
			var c records.Change
			if err := json.Unmarshal(e.Data, &c); err != nil {
				return Permanent(fmt.Errorf("change of table %q: %w", f.table.ResourceName(), err))
			}
			req := binding.NewEvent(nil, map[string]string{
				"row.table": f.table.ResourceName(), "row.partition": c.Key.Partition, "row.key": c.Key.Row, "row.kind": string(c.Kind),
			}, e.Data)
			return plan.run(ctx, req.From(fmt.Sprintf("%s/%d/%d", f.name, e.Partition, e.Position), e.Headers))
		},
	})
	if errors.Is(err, delivery.ErrBadFunction) {
		return fmt.Errorf("%w; functions on one table need a FunctionName each", err)
	}
	return err
}

// listenTo has the changes of a table noted.
func (r *running) listenTo(t resource.Resource) {
	name := t.ResourceName()
	if r.env.Feeds[name] {
		return
	}
	if r.env.Feeds == nil {
		r.env.Feeds = map[string]bool{}
	}
	r.env.Feeds[name] = true
	r.feeder.Retain(consumer.Retention{Stream: records.FeedStream(name), Age: feedAge, Bytes: feedBytes})
}
