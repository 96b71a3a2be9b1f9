package audit

import (
	"context"
	"fmt"
	"strconv"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// The indexes are what queries go by: an entry that stands in the chain and not in them would be hidden from who asks.

// indexed is an index with the value that it sorts an entry by.
type indexed struct {
	name string
	all  table.Selection[Record]
	of   func(e *Entry) string
}

func indexes() []indexed {
	return []indexed{
		{"item", entriesByItem.All(), func(e *Entry) string {
			return itemKey(model.ID{Vault: e.Vault, Kind: e.Kind, Name: e.Name}) + timeKey(e.Time)
		}},
		{"actor", entriesByActor.All(), func(e *Entry) string { return actorKey(e.Actor) + timeKey(e.Time) }},
		{"time", entriesByTime.All(), func(e *Entry) string { return timeKey(e.Time) }},
	}
}

// positions are positions of a node that were found, from base on.
type positions struct {
	base, last uint64
	bits       []uint64
}

func newPositions(removed, last uint64) *positions {
	return &positions{base: removed + 1, last: last, bits: make([]uint64, (last-removed+63)/64)}
}

func (p *positions) add(position uint64) {
	if position >= p.base && position <= p.last {
		p.bits[(position-p.base)/64] |= 1 << ((position - p.base) % 64)
	}
}

// missing returns the first position that was not added, from a position on; 0 if none.
func (p *positions) missing(from uint64) uint64 {
	for at := max(from, p.base); at <= p.last; at++ {
		if p.bits[(at-p.base)/64]&(1<<((at-p.base)%64)) == 0 {
			return at
		}
	}
	return 0
}

// verifyIndex reports an entry of the verified chains that an index does not have, or has in a wrong place.
func (l *Log) verifyIndex(ctx context.Context, x indexed, report *Report) error {
	found := map[string]*positions{}
	for _, n := range report.Nodes {
		found[n.Node] = newPositions(n.Removed, n.Last)
	}
	last := ""
	for cursor, done := "", false; !done; {
		err := l.env.Unit(ctx, func(ctx context.Context) error {
			n, next, before := 0, cursor, last
			for row, err := range entries.ScanIndex(ctx, x.all, table.After(cursor), table.Limit(verifyPage)) {
				if err != nil {
					return fmt.Errorf("audit: index %s: %w", x.name, err)
				}
				n++
				next = row.Cursor
				position, err := strconv.ParseUint(row.Key.Row, 10, 64)
				p := found[row.Key.Partition]
				if err != nil || p == nil {
					continue
				}
				value := x.of(&row.Value.Entry)
				if value < before {
					return &TamperError{Node: row.Key.Partition, Position: position, What: "the entry stands in a wrong place of the index by " + x.name}
				}
				before = value
				p.add(position)
			}
			cursor, last, done = next, before, n < verifyPage
			return nil
		})
		if err != nil {
			return err
		}
	}
	return l.env.Unit(ctx, func(ctx context.Context) error {
		for _, n := range report.Nodes {
			begin, err := readBegin(ctx, n.Node) // what retention has removed meanwhile is not missing
			if err != nil {
				return fmt.Errorf("audit: %w", err)
			}
			from := uint64(1)
			if begin != nil {
				from = begin.Position + 1
			}
			if at := found[n.Node].missing(from); at != 0 {
				return &TamperError{Node: n.Node, Position: at, What: "the entry is missing in the index by " + x.name}
			}
		}
		return nil
	})
}
