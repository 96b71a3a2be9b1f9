package table

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// ScanOption says how to scan.
type ScanOption func(*scan)

type scan struct {
	prefix  string
	after   string
	reverse bool
	stable  bool
	limit   int
	where   any // func(*T) bool
}

// Prefix limits a scan of a partition to the rows whose names begin with prefix.
func Prefix(prefix string) ScanOption { return func(s *scan) { s.prefix = prefix } }

// After begins behind the row that has this cursor, whether that row still exists
// or not. An empty cursor begins at the start. Use it with the same scan.
func After(cursor string) ScanOption { return func(s *scan) { s.after = cursor } }

// Reverse scans backwards.
func Reverse() ScanOption { return func(s *scan) { s.reverse = true } }

// Limit ends the scan after n rows.
func Limit(n int) ScanOption { return func(s *scan) { s.limit = n } }

// Where yields only the rows for which keep returns true. The others are read all the
// same: what is asked for often is worth an index. Keep must not change the row. Limit
// and Page count the rows that are yielded.
func Where[T any](keep func(*T) bool) ScanOption { return func(s *scan) { s.where = keep } }

// Stable makes the commit depend on the scan: if it would find something else by
// then, the unit conflicts and runs again. A scan of a partition depends on every
// row of the partition, by one counter. A scan of an index depends on which rows
// have which values in the index, over all partitions, and on the rows it yields.
func Stable() ScanOption { return func(s *scan) { s.stable = true } }

// Scan yields the rows of a partition in the order of their names: the committed
// ones, overlaid with what the unit has written when the loop begins. The loop may
// use the unit; what it writes does not change what it sees. The scan is not
// validated unless Stable is given. It ends after the first error.
func (t *Table[T]) Scan(ctx context.Context, partition string, options ...ScanOption) iter.Seq2[Row[T], error] {
	return t.scanRows(ctx, &partition, options)
}

// ScanAll is Scan over all partitions, in their order. It cannot be Stable and
// takes no Prefix.
func (t *Table[T]) ScanAll(ctx context.Context, options ...ScanOption) iter.Seq2[Row[T], error] {
	return t.scanRows(ctx, nil, options)
}

// ScanIndex yields the rows that s selects from an index of this table, in the
// order of the indexed value, then of partition and name. Otherwise it is like
// Scan; it takes no Prefix.
func (t *Table[T]) ScanIndex(ctx context.Context, s Selection[T], options ...ScanOption) iter.Seq2[Row[T], error] {
	return t.scan(ctx, options, func(u *unit.Unit, o *scan, visit visitor) error {
		switch {
		case s.err != nil:
			return s.err
		case s.index == nil || !t.declares(s.index):
			return errors.New("the selection is not of an index of this table")
		case o.prefix != "":
			return errors.New("Prefix needs Scan")
		}
		after, err := parseCursor(o.after)
		if err != nil {
			return err
		}
		return records.ScanIndex(u, records.IndexScan{
			Table: t.name, Index: s.index.name, Equal: s.equal, From: s.from, To: s.to, After: after, Reverse: o.reverse, Stable: o.stable,
		}, visit)
	})
}

func (t *Table[T]) scanRows(ctx context.Context, partition *string, options []ScanOption) iter.Seq2[Row[T], error] {
	return t.scan(ctx, options, func(u *unit.Unit, o *scan, visit visitor) error {
		switch {
		case partition == nil && (o.stable || o.prefix != ""):
			return errors.New("Stable and Prefix need Scan, of one partition")
		case partition != nil && len(*partition)+len(o.prefix) > MaxKey:
			return fmt.Errorf("partition and prefix %w: at most %d bytes are allowed", ErrTooLarge, MaxKey)
		}
		after, err := parseCursor(o.after)
		if err != nil {
			return err
		}
		return records.ScanRows(u, records.RowScan{
			Table: t.name, Partition: partition, Prefix: o.prefix, After: after, Reverse: o.reverse, Stable: o.stable,
		}, visit)
	})
}

// visitor takes a row of a scan; false ends it.
type visitor = func(k records.RowKey, row *records.Row, cursor []byte) bool

// scan turns run, which visits rows, into a sequence of decoded ones.
func (t *Table[T]) scan(ctx context.Context, options []ScanOption, run func(*unit.Unit, *scan, visitor) error) iter.Seq2[Row[T], error] {
	o := scan{limit: math.MaxInt}
	for _, option := range options {
		option(&o)
	}
	return func(yield func(Row[T], error) bool) {
		if o.limit <= 0 {
			return
		}
		keep, fits := o.where.(func(*T) bool)
		u, err := unit.From(ctx)
		if err == nil && o.where != nil && !fits {
			err = fmt.Errorf("Where takes a %v, the rows are %v", reflect.TypeOf(o.where).In(0), reflect.TypeFor[*T]())
		}
		yielded, stopped := 0, false
		if err == nil {
			var canceled error
			err = run(u, &o, func(k records.RowKey, stored *records.Row, cursor []byte) bool {
				if canceled = ctx.Err(); canceled != nil {
					return false
				}
				row, err := t.decode(Key{k.Partition, k.Row}, stored)
				if err == nil && keep != nil && !keep(row.Value) {
					return true
				}
				row.Cursor = formatCursor(cursor)
				yielded++
				stopped = !yield(row, err) || err != nil
				return !stopped && yielded < o.limit
			})
			if err == nil {
				err = canceled
			}
		}
		if err != nil && !stopped {
			yield(Row[T]{}, fmt.Errorf("table %q: %w", t.name, err))
		}
	}
}

// Count returns how many rows a partition has. It reads each of them, so it is for
// partitions of a bounded size; it is not validated.
func (t *Table[T]) Count(ctx context.Context, partition string) (n int, err error) {
	u, err := unit.From(ctx)
	if err == nil {
		err = records.ScanRows(u, records.RowScan{Table: t.name, Partition: &partition}, func(records.RowKey, *records.Row, []byte) bool {
			n++
			return ctx.Err() == nil
		})
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("table %q: %w", t.name, err)
	}
	return n, nil
}

// MaxPage is the most rows that Page collects.
const MaxPage = 1000

// Page collects the first size rows of a scan, at most MaxPage and at least one,
// and returns the cursor with which the next page is scanned: empty when there is
// none.
func Page[T any](rows iter.Seq2[Row[T], error], size int) (page []Row[T], next string, err error) {
	size = max(1, min(size, MaxPage))
	for row, err := range rows {
		if err != nil {
			return nil, "", err
		}
		if len(page) == size {
			return page, page[size-1].Cursor, nil
		}
		page = append(page, row)
	}
	return page, "", nil
}

// maxCursor bounds the text of a cursor: one of the longest key.
const maxCursor = 2048

func formatCursor(cursor []byte) string { return base64.RawURLEncoding.EncodeToString(cursor) }

// parseCursor reads what formatCursor wrote; nil if it is empty.
func parseCursor(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxCursor {
		return nil, ErrCursor
	}
	cursor, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, ErrCursor
	}
	return cursor, nil
}
