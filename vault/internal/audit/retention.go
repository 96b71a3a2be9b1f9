package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/table"
)

// retireBatch is how many entries are removed in one unit.
const retireBatch = 500

// begins are the signed beginnings of chains that have lost their oldest entries, by node.
var begins = table.Of[Checkpoint]("perdure.vault.audit.begins")

// readBegin returns the beginning of a node's chain; nil when it is the first entry.
func readBegin(ctx context.Context, node string) (*Checkpoint, error) {
	c, err := begins.Get(ctx, node)
	if errors.Is(err, table.ErrNotFound) {
		return nil, nil
	}
	return c, err
}

// Retire removes entries of all nodes that are older than Options.Retention. A signed checkpoint of the last one stays as
// the beginning of the chain, written in the same unit. It must not be called in a unit of work.
func (l *Log) Retire(ctx context.Context) error {
	if err := l.Open(ctx); err != nil {
		return err
	}
	all, err := l.allNodes(ctx)
	for _, n := range all {
		for more := true; err == nil && more; {
			more, err = l.retire(ctx, n.ID)
		}
	}
	if err != nil {
		return fmt.Errorf("audit: retention: %w", err)
	}
	return nil
}

func (l *Log) retire(ctx context.Context, node string) (more bool, err error) {
	err = l.env.Unit(ctx, func(ctx context.Context) error {
		more = false
		before := l.env.Now().Add(-l.options.Retention)
		var old []*Record
		for row, err := range entries.Scan(ctx, node, table.Limit(retireBatch)) {
			if err != nil {
				return err
			}
			if !row.Value.Entry.Time.Before(before) {
				break
			}
			old = append(old, row.Value)
		}
		if len(old) == 0 {
			return nil
		}
		more = len(old) == retireBatch
		for _, r := range old {
			if err := entries.Delete(ctx, entryKey(node, r.Entry.Position)); err != nil {
				return err
			}
		}
		last := old[len(old)-1]
		return begins.Put(ctx, node, l.sign(beginKind, node, last.Entry.Position, last.Hash))
	})
	return more, err
}

// allNodes returns the nodes that have ever written to the store.
func (l *Log) allNodes(ctx context.Context) (all []*node, err error) {
	err = l.env.Unit(ctx, func(ctx context.Context) error {
		all = nil
		for row, err := range nodes.ScanAll(ctx) {
			if err != nil {
				return err
			}
			all = append(all, row.Value)
		}
		return nil
	})
	return all, err
}
