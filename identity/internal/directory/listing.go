package directory

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/perdure/perdure/table"
)

// The bounds of lists.
const (
	// MaxPerPage is the most entries of a page.
	MaxPerPage = 100
	// MaxByPage is how many entries can be reached by the number of a page; cursors reach all.
	MaxByPage = 1000
	// MaxCounted is how far Total counts, and MaxScanned how many rows one call looks at for a cursor.
	MaxCounted = 50_000
	MaxScanned = 50_000
)

// Paging says which part of a list to return: a numbered page, or what comes behind a cursor.
type Paging struct {
	// Page is the number of the page, from 0, and PerPage its size; default 50.
	Page, PerPage int
	// Take, if not zero, is how many entries to return behind From, a Listing.Next; from the start
	// if it is empty. Page and PerPage do not count then.
	From string
	Take int
}

// Listing is a part of a list.
type Listing[T any] struct {
	Items []*T
	// Start is how many entries are before Items, Limit how many were asked for.
	Start, Limit int
	// Total is how many entries the whole list has, counted up to MaxCounted. It is not counted
	// with a cursor.
	Total int
	// Next is the cursor behind Items; empty at the end of the list.
	Next string
}

func (p *Paging) check() error {
	if p.From != "" && p.Take == 0 {
		p.Take = 50
	}
	if p.Take != 0 {
		if p.Take < 1 || p.Take > MaxPerPage {
			return invalid("take", "%d is out of range: 1 to %d are allowed", p.Take, MaxPerPage)
		}
		return nil
	}
	if p.PerPage == 0 {
		p.PerPage = 50
	}
	switch {
	case p.PerPage < 1 || p.PerPage > MaxPerPage:
		return invalid("per_page", "%d is out of range: 1 to %d are allowed", p.PerPage, MaxPerPage)
	case p.Page < 0:
		return invalid("page", "it is negative")
	case p.Page > MaxByPage || p.Page*p.PerPage >= MaxByPage:
		return invalid("page", "only the first %d entries are listed by page; go on with from and take", MaxByPage)
	}
	return nil
}

// list returns the part of a scan that p names, of the rows that keep keeps.
//
// To count is to read all rows. That is what a page with a total costs until tables count; with
// a cursor a call costs what it returns.
func list[T any](p Paging, keep func(*T) bool, scan func(...table.ScanOption) iter.Seq2[table.Row[T], error]) (Listing[T], error) {
	out := Listing[T]{Items: []*T{}}
	if err := p.check(); err != nil {
		return out, err
	}
	cursor := p.Take != 0
	out.Limit = p.Take
	if !cursor {
		out.Limit, out.Start = p.PerPage, p.Page*p.PerPage
	}
	last, visited := "", 0
	for row, err := range scan(table.After(p.From)) {
		if errors.Is(err, table.ErrCursor) {
			return out, invalid("from", "it is no cursor of this list")
		}
		if err != nil {
			return out, err
		}
		if visited++; visited > MaxScanned {
			if cursor {
				out.Next = last
			}
			break
		}
		if keep != nil && !keep(row.Value) {
			last = row.Cursor
			continue
		}
		if cursor && len(out.Items) == out.Limit {
			out.Next = last
			break
		}
		out.Total++
		if out.Total > out.Start && len(out.Items) < out.Limit {
			out.Items = append(out.Items, row.Value)
		} else if out.Next == "" && len(out.Items) == out.Limit {
			out.Next = last
		}
		last = row.Cursor
	}
	if cursor {
		out.Total = 0
	}
	return out, nil
}

// scanOf scans the rows of a table in the order of their names.
func scanOf[T any](ctx context.Context, t *table.Table[T]) func(...table.ScanOption) iter.Seq2[table.Row[T], error] {
	return func(options ...table.ScanOption) iter.Seq2[table.Row[T], error] { return t.Scan(ctx, "", options...) }
}

// containsFold reports whether part is in s, in any case.
func containsFold(s, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(s), strings.ToLower(part))
}
