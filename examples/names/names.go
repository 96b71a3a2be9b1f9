package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/window"
)

const (
	maxBatch = 1000 // names of one batch
	maxName  = 100  // bytes of a name, which becomes a key
)

// Name is a name that somebody has.
type Name string

// Self is the name as a key to count by.
func (n Name) Self() string { return strings.ToLower(string(n)) }

// Letter is its first letter as one.
func (n Name) Letter() string {
	for _, letter := range n.Self() {
		return string(letter)
	}
	return ""
}

// Batch are names that came together.
type Batch struct {
	Names []Name `json:"names"`
}

// Count is how often a name or letter came in one window.
type Count struct {
	Of    string    `json:"of"` // name or letter
	Key   string    `json:"key"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Count int       `json:"count"`
}

var (
	NewNames = queue.Of[Batch]("newnames")
	RawNames = blob.Container("raw-names")
	Names    = stream.Of[Name]("names", stream.KeyBy(Name.Self), stream.Retain(time.Hour, 0))
	ByEnd    = table.Index("byEnd", func(c *Count) time.Time { return c.End })
	Counts   = table.Of("aggregates", ByEnd)
)

type nothing struct{}

type batchOut struct {
	Batch *Batch `bind:"newnames"`
}

// makeNames sends a batch of random names.
func (s settings) makeNames(context.Context, *nothing) (*batchOut, error) {
	if s.each == 0 {
		return nil, nil
	}
	batch := &Batch{}
	for range s.each {
		batch.Names = append(batch.Names, known[rand.IntN(len(known))])
	}
	return &batchOut{batch}, nil
}

type namesIn struct {
	Batch Batch `body:",strict"`
}

type namesOut struct {
	Status int    `status:"202"`
	Batch  *Batch `bind:"newnames"`
}

// addNames sends the names of a request.
func addNames(_ context.Context, in *namesIn) (*namesOut, error) {
	if n := len(in.Batch.Names); n == 0 || n > maxBatch {
		return nil, perdure.NewProblem(422, "names: want 1 to 1000 of them")
	}
	for _, name := range in.Batch.Names {
		if name == "" || len(name) > maxName {
			return nil, perdure.NewProblem(422, "names: want 1 to 100 bytes in each")
		}
	}
	return &namesOut{Batch: &in.Batch}, nil
}

type saveIn struct {
	Batch Batch `body:""`
}

type saveOut struct {
	Raw   Batch  `bind:"raw-names/{queue.id}.json"`
	Names []Name `bind:"names"`
}

// saveNames keeps a batch as it came and appends its names to the stream.
func saveNames(_ context.Context, in *saveIn) (*saveOut, error) {
	return &saveOut{Raw: in.Batch, Names: in.Batch.Names}, nil
}

// keep writes the counts of windows to the table.
func keep(of string) func(context.Context, window.Result[string, int]) error {
	return window.ToTable(Counts, func(r window.Result[string, int]) (string, *Count) {
		key := table.Key{Partition: of, Row: r.Start.UTC().Format(time.RFC3339) + " " + r.Key}
		return key.String(), &Count{Of: of, Key: r.Key, Start: r.Start, End: r.End, Count: r.Value}
	})
}

// deleteOld deletes counts that are too old, a thousand at a time.
func (s settings) deleteOld(ctx context.Context, _ *nothing) (*nothing, error) {
	old := ByEnd.Below(perdure.Now(ctx).Add(-s.keep))
	for row, err := range Counts.ScanIndex(ctx, old, table.Limit(1000)) {
		if err != nil {
			return nil, err
		}
		if err := Counts.Delete(ctx, row.Key.String()); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
