package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// linkBatch is how many entries are linked in one unit.
const linkBatch = 500

// maxEntry bounds the JSON of an entry, in bytes. Append never makes a larger one.
const maxEntry = 16 << 10

// head is the end of a node's chain.
type head struct {
	Position uint64    `json:"position"`
	Hash     Hash      `json:"hash"`
	Time     time.Time `json:"time"` // of the last entry
}

var heads = table.Of[head]("perdure.vault.audit.heads") // by node

// readHead returns the end of a node's chain.
func readHead(ctx context.Context, node string) (head, error) {
	h, err := heads.Get(ctx, node)
	switch {
	case errors.Is(err, table.ErrNotFound):
		return head{Hash: firstHash(node)}, nil
	case err != nil:
		return head{}, err
	}
	return *h, nil
}

// Sync links all entries that were committed before it was called. It must not be called in a unit of work.
func (l *Log) Sync(ctx context.Context) error {
	if err := l.Open(ctx); err != nil {
		return err
	}
	l.chaining.Lock()
	defer l.chaining.Unlock()
	for {
		n, err := l.link(ctx)
		l.mu.Lock()
		l.fault = err
		l.mu.Unlock()
		if err != nil {
			return fmt.Errorf("audit: entries could not be linked: %w", err)
		}
		if n < linkBatch {
			return nil
		}
	}
}

// link moves a batch of entries from the inbox into the chain, and returns how many.
func (l *Log) link(ctx context.Context) (n int, err error) {
	node := l.opened.Load().node
	from := inbox(node)
	err = l.env.Unit(ctx, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		n = 0
		end, err := readHead(ctx, node) // and nobody else moves it
		if err != nil {
			return err
		}
		var batch []*records.Event
		err = records.ScanEvents(u, from, end.Position+1, func(e *records.Event) bool {
			batch = append(batch, e)
			return len(batch) < linkBatch
		})
		if err != nil && len(batch) == 0 {
			return err // what comes before an unreadable one is linked
		}
		if n = len(batch); n == 0 {
			return nil
		}
		for _, event := range batch {
			record := Record{}
			if err := json.Unmarshal(event.Data, &record.Entry); err != nil || len(event.Data) > maxEntry {
				// It stays in the log as what it is: positions have no gap, and the entries behind it do not wait.
				record.Entry = Entry{Time: event.Time, Op: "unreadable", Result: "damaged"}
			}
			record.Entry.Node, record.Entry.Position = node, event.Position
			if record.Hash, err = end.Hash.next(&record.Entry); err != nil {
				return err
			}
			if err := entries.Put(ctx, entryKey(node, event.Position), &record); err != nil {
				return err
			}
			end = head{Position: event.Position, Hash: record.Hash, Time: record.Entry.Time}
		}
		if err := heads.Put(ctx, node, &end); err != nil {
			return err
		}
		return records.DropEvents(u, from, end.Position+1)
	})
	return n, err
}
