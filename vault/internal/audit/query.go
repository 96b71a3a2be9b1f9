package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// MaxPage is how many entries a page has at most, and DefaultPage if nothing else is said.
const (
	MaxPage     = 1000
	DefaultPage = 100
)

// maxScanned is how many entries are looked at for one page.
const maxScanned = 5000

// Filter says which entries to list. Empty fields select all.
type Filter struct {
	// Vault, Kind and Name are those of an item; together they are found by an index, as are Actor, and From and To.
	Vault string
	Kind  model.Kind
	Name  string
	Actor string // a subject, or "operator"
	Node  string
	Ops   []model.Op
	// Result is OK or Refused.
	Result   string
	From, To time.Time // from From, before To
	Oldest   bool      // begin with the oldest; default the newest
	// Page has up to MaxPage entries.
	model.Page
}

func (f *Filter) keep(e *Entry) bool {
	return (f.Vault == "" || strings.EqualFold(e.Vault, f.Vault)) && (f.Kind == "" || e.Kind == f.Kind) &&
		(f.Name == "" || strings.EqualFold(e.Name, f.Name)) && (f.Actor == "" || e.Actor == f.Actor) &&
		(f.Node == "" || e.Node == f.Node) && (len(f.Ops) == 0 || slices.Contains(f.Ops, e.Op)) &&
		(f.Result == "" || e.Result == f.Result) &&
		(f.From.IsZero() || !e.Time.Before(f.From)) && (f.To.IsZero() || e.Time.Before(f.To))
}

// rows are the entries that the filter may keep, by the index that knows most.
func (f *Filter) rows(ctx context.Context) iter.Seq2[table.Row[Record], error] {
	options := []table.ScanOption{table.After(f.Cursor)}
	if !f.Oldest {
		options = append(options, table.Reverse())
	}
	from, to := "0", "g" // before and after all times
	if !f.From.IsZero() {
		from = timeKey(f.From)
	}
	if !f.To.IsZero() {
		to = timeKey(f.To)
	}
	switch {
	case f.Vault != "" && f.Kind != "" && f.Name != "":
		key := itemKey(model.ID{Vault: f.Vault, Kind: f.Kind, Name: f.Name})
		return entries.ScanIndex(ctx, entriesByItem.Between(key+from, key+to), options...)
	case f.Actor != "":
		key := actorKey(f.Actor)
		return entries.ScanIndex(ctx, entriesByActor.Between(key+from, key+to), options...)
	case f.Node != "" && f.From.IsZero() && f.To.IsZero():
		return entries.Scan(ctx, f.Node, options...)
	case f.From.IsZero() && f.To.IsZero() && f.Oldest:
		return entries.ScanAll(ctx, options...) // in the order of the chains
	case f.From.IsZero() && f.To.IsZero():
		return entries.ScanIndex(ctx, entriesByTime.All(), options...)
	case f.To.IsZero():
		return entries.ScanIndex(ctx, entriesByTime.AtLeast(f.From), options...)
	}
	return entries.ScanIndex(ctx, entriesByTime.Between(f.From, f.To), options...)
}

// Entries lists entries, after it has linked those that were committed before. Refusals of the last seconds are not among
// them yet. It must not be called in a unit of work.
func (l *Log) Entries(ctx context.Context, f Filter) (list model.List[*Record], err error) {
	if err := l.Sync(ctx); err != nil {
		return list, err
	}
	return l.list(ctx, f)
}

func (l *Log) list(ctx context.Context, f Filter) (list model.List[*Record], err error) {
	if f.Max <= 0 {
		f.Max = DefaultPage
	}
	f.Max = min(f.Max, MaxPage)
	err = l.env.Unit(ctx, func(ctx context.Context) error {
		list = model.List[*Record]{}
		scanned := 0
		for row, err := range f.rows(ctx) {
			if err != nil {
				return err
			}
			if f.keep(&row.Value.Entry) {
				list.Items = append(list.Items, row.Value)
			}
			if scanned++; scanned == maxScanned || len(list.Items) == f.Max {
				list.Next = row.Cursor
				return nil
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, table.ErrCursor):
		return model.List[*Record]{}, &model.FieldError{Field: "cursor", Detail: "it is damaged, or of another list"}
	case err != nil:
		return model.List[*Record]{}, fmt.Errorf("audit: %w", err)
	}
	return list, nil
}

// each calls do for all entries that a filter selects, in pages of a unit each.
func (l *Log) each(ctx context.Context, f Filter, do func(*Record) error) error {
	if err := l.Sync(ctx); err != nil {
		return err
	}
	for f.Max, f.Cursor = MaxPage, ""; ; {
		list, err := l.list(ctx, f)
		if err != nil {
			return err
		}
		for _, r := range list.Items {
			if err := do(r); err != nil {
				return err
			}
		}
		if f.Cursor = list.Next; f.Cursor == "" {
			return nil
		}
	}
}

// Use is what one actor has done with an item.
type Use struct {
	Actor    string           `json:"actor"`
	Issuer   string           `json:"issuer,omitempty"`
	Display  string           `json:"display,omitempty"` // the latest
	Operator bool             `json:"operator,omitempty"`
	Ops      map[model.Op]int `json:"ops"` // how often
	First    time.Time        `json:"first"`
	Last     time.Time        `json:"last"`
}

// maxUsers bounds the actors of one answer.
const maxUsers = 10_000

// Uses answers who has used an item since a time: everybody with what they did, who did so last first. Without operations
// all count; model.OpGet is "who has read this". It must not be called in a unit of work.
func (l *Log) Uses(ctx context.Context, id model.ID, since time.Time, ops ...model.Op) ([]*Use, error) {
	type who struct{ issuer, actor string }
	found := map[who]*Use{}
	f := Filter{Vault: id.Vault, Kind: id.Kind, Name: id.Name, From: since, Ops: ops, Result: OK, Oldest: true}
	err := l.each(ctx, f, func(r *Record) error {
		e := &r.Entry
		if id.Version != "" && e.Version != id.Version {
			return nil
		}
		key := who{e.Issuer, e.Actor}
		use := found[key]
		if use == nil {
			if len(found) == maxUsers {
				return fmt.Errorf("audit: %w: more than %d have used %s", model.ErrTooMany, maxUsers, id)
			}
			use = &Use{Actor: e.Actor, Issuer: e.Issuer, Ops: map[model.Op]int{}, First: e.Time}
			found[key] = use
		}
		use.Display, use.Operator, use.Last = e.Display, use.Operator || e.Operator, e.Time
		use.Ops[e.Op]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	uses := make([]*Use, 0, len(found))
	for _, use := range found {
		uses = append(uses, use)
	}
	slices.SortFunc(uses, func(a, b *Use) int {
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return strings.Compare(a.Actor, b.Actor)
	})
	return uses, nil
}

// Export writes the entries that a filter selects as lines of JSON, each a Record whose entry is in the canonical form that was
// hashed. Without an item, an actor and times they stand in the order of the chains. It must not be called in a
// unit of work.
func (l *Log) Export(ctx context.Context, w io.Writer, f Filter) error {
	f.Oldest = true
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return l.each(ctx, f, func(r *Record) error { return encoder.Encode(r) })
}
