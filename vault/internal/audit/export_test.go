package audit

import (
	"context"
	"slices"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// The rows, for tests that tamper with them. They work in the unit of ctx.

// GetRecord reads the row of a position.
func GetRecord(ctx context.Context, node string, position uint64) (*Record, error) {
	return entries.Get(ctx, entryKey(node, position))
}

// PutRecord writes the row of a position.
func PutRecord(ctx context.Context, node string, position uint64, r *Record) error {
	return entries.Put(ctx, entryKey(node, position), r)
}

// DeleteRecord removes the row of a position.
func DeleteRecord(ctx context.Context, node string, position uint64) error {
	return entries.Delete(ctx, entryKey(node, position))
}

// Next is the link of an entry.
func (h Hash) Next(e *Entry) (Hash, error) { return h.next(e) }

// FirstHash is the beginning of a node's chain.
func FirstHash(node string) Hash { return firstHash(node) }

// HideFromIndexes writes the row of a position with other entries in the indexes than it should have: none, or those that change leaves.
func HideFromIndexes(ctx context.Context, node string, position uint64, change func([]records.IndexEntry) []records.IndexEntry) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	key, err := table.ParseKey(entryKey(node, position))
	if err != nil {
		return err
	}
	k := records.RowKey{Table: "perdure.vault.audit", Partition: key.Partition, Row: key.Row}
	old, err := records.GetRow(u, k)
	if err != nil {
		return err
	}
	row := *old
	row.Entries = change(slices.Clone(old.Entries))
	return records.PutRow(u, k, old, &row)
}

// PutHead makes the end of a chain fit.
func PutHead(ctx context.Context, node string, position uint64, hash Hash) error {
	return heads.Put(ctx, node, &head{Position: position, Hash: hash})
}

// PutBegin writes the beginning of a chain.
func PutBegin(ctx context.Context, node string, c *Checkpoint) error { return begins.Put(ctx, node, c) }

// DeleteNode forgets a node.
func DeleteNode(ctx context.Context) error { return nodes.Delete(ctx, onlyNode) }

// DropInbox removes entries that are not linked, before a position.
func DropInbox(ctx context.Context, node string, before uint64) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	return records.DropEvents(u, inbox(node), before)
}

// AppendRaw appends to the inbox what is no entry.
func AppendRaw(ctx context.Context, node string, data []byte) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	return records.AppendEvents(u, inbox(node).Stream, &records.Event{Data: data})
}

// Inbox counts the entries that wait for their links.
func Inbox(ctx context.Context, node string) (n int, err error) {
	u, err := unit.From(ctx)
	if err != nil {
		return 0, err
	}
	err = records.ScanEvents(u, inbox(node), 1, func(*records.Event) bool { n++; return true })
	return n, err
}

// Flush writes refusals.
func (l *Log) Flush(ctx context.Context, all bool) error { return l.flush(ctx, all) }

// RefusalBuckets counts what is kept of refusals.
func (l *Log) RefusalBuckets() int {
	l.refusals.mu.Lock()
	defer l.refusals.mu.Unlock()
	return len(l.refusals.buckets)
}

// The batches, so that tests go over their ends.
const (
	LinkBatch   = linkBatch
	VerifyPage  = verifyPage
	RetireBatch = retireBatch
)
