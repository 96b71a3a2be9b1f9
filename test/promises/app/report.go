package main

import (
	"context"
	"iter"

	"github.com/perdure/perdure/table"
)

// Report is everything that took effect.
type Report struct {
	// Seen is what was handled, by place and key.
	Seen map[string]map[string][]int `json:"seen"`
	// Counts is how often, by effect and event.
	Counts map[string]map[string]int `json:"counts"`
	// Ticks are the runs of each timer, in order.
	Ticks map[string][]Run `json:"ticks"`
}

type reportOut struct {
	Report Report `body:""`
}

func report(ctx context.Context, _ *nothing) (*reportOut, error) {
	r := Report{Seen: map[string]map[string][]int{}, Counts: map[string]map[string]int{}, Ticks: map[string][]Run{}}
	err := each(Seen.ScanAll(ctx), func(k table.Key, o *Order) { put(r.Seen, k, o.Seqs) })
	if err != nil {
		return nil, err
	}
	if err := each(Counts.ScanAll(ctx), func(k table.Key, c *Count) { put(r.Counts, k, c.N) }); err != nil {
		return nil, err
	}
	err = each(Ticks.ScanAll(ctx), func(k table.Key, run *Run) { r.Ticks[k.Partition] = append(r.Ticks[k.Partition], *run) })
	return &reportOut{r}, err
}

// each calls f for every row.
func each[T any](rows iter.Seq2[table.Row[T], error], f func(table.Key, *T)) error {
	for row, err := range rows {
		if err != nil {
			return err
		}
		f(row.Key, row.Value)
	}
	return nil
}

// put sets a value by partition and row.
func put[V any](to map[string]map[string]V, k table.Key, v V) {
	if to[k.Partition] == nil {
		to[k.Partition] = map[string]V{}
	}
	to[k.Partition][k.Row] = v
}
