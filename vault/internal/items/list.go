package items

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// maxScanned bounds the rows that one page looks at: one with fewer entries than were asked for has a cursor too.
const maxScanned = 10_000

// maxCursor bounds the text of a cursor.
const maxCursor = 2048

func size(p model.Page) int {
	if p.Max <= 0 || p.Max > model.PageSize {
		return model.PageSize
	}
	return p.Max
}

// A cursor is sealed, for the list it belongs to: it may have the name of an item that the caller must not know of, and nobody
// can make one.
func (s *Store) sealCursor(list, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	sealed, err := s.env.Seal.Seal("vault-cursor/"+list, []byte(cursor))
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s *Store) openCursor(list, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	bad := &model.FieldError{Field: "cursor", Detail: "it is none of this list"}
	if len(cursor) > maxCursor {
		return "", bad
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", bad
	}
	plain, err := s.env.Seal.Open("vault-cursor/"+list, sealed)
	if err != nil {
		return "", bad
	}
	return string(plain), nil
}

// page returns what of makes of the rows of a scan that keep keeps. There is a next page only if another row is kept, so that nobody
// learns of the others, unless they are more than maxScanned.
func page[R, T any](s *Store, list string, p model.Page, scan func(...table.ScanOption) iter.Seq2[table.Row[R], error],
	keep func(table.Row[R]) bool, of func(table.Row[R]) (*T, error),
) (model.List[*T], error) {
	out := model.List[*T]{Items: []*T{}}
	after, err := s.openCursor(list, p.Cursor)
	if err != nil {
		return out, err
	}
	last, scanned, more := after, 0, false
	for row, err := range scan(table.After(after)) {
		if errors.Is(err, table.ErrCursor) {
			return out, &model.FieldError{Field: "cursor", Detail: "it is none of this list"}
		}
		if err != nil {
			return out, err
		}
		full, kept := len(out.Items) == size(p), keep(row)
		if more = full && kept || scanned == s.maxScanned; more {
			break
		}
		if kept {
			entry, err := of(row)
			if err != nil {
				return out, err
			}
			out.Items = append(out.Items, entry)
		}
		if !full { // those behind a full page are looked at again by the next one
			last = row.Cursor
		}
		scanned++
	}
	if more {
		out.Next, err = s.sealCursor(list, last)
	}
	return out, err
}

// List returns the items of a vault that are visible, at their current versions, by their names. Nil makes all visible.
func (s *Store) List(ctx context.Context, vault string, kind model.Kind, p model.Page, visible func(name string) bool) (model.List[*Version], error) {
	if err := checkPlace(vault, kind); err != nil {
		return model.List[*Version]{}, err
	}
	where := model.ID{Vault: vault, Kind: kind}
	return page(s, "items/"+partition(vault, kind), p, func(o ...table.ScanOption) iter.Seq2[table.Row[itemRow], error] {
		return liveItems.Scan(ctx, partition(vault, kind), o...)
	}, func(row table.Row[itemRow]) bool {
		return visible == nil || visible(row.Value.Name)
	}, func(row table.Row[itemRow]) (*Version, error) {
		v, err := row.Value.version(ctx, where, row.Value.Current)
		if err != nil {
			return nil, err
		}
		return v.withoutSecret(), nil
	})
}

// Versions returns the versions of an item, the current one first. Each has the id of the one before, so there is no
// index of them: a page reads the rows it returns.
func (s *Store) Versions(ctx context.Context, id model.ID, p model.Page) (model.List[*Version], error) {
	out := model.List[*Version]{Items: []*Version{}}
	item, err := live(ctx, id)
	if err != nil {
		return out, err
	}
	list := "versions/" + item.Generation
	next, err := s.openCursor(list, p.Cursor)
	if err != nil {
		return out, err
	}
	if p.Cursor == "" {
		next = item.Current
	}
	for next != "" && len(out.Items) < size(p) {
		v, err := item.version(ctx, id, next)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, v.withoutSecret())
		next = v.Previous
	}
	out.Next, err = s.sealCursor(list, next)
	return out, err
}

// ListDeleted returns the deleted items of a vault that are visible, by their names. Nil makes all visible.
func (s *Store) ListDeleted(ctx context.Context, vault string, kind model.Kind, p model.Page, visible func(name string) bool) (model.List[model.Deleted[*Version]], error) {
	out := model.List[model.Deleted[*Version]]{Items: []model.Deleted[*Version]{}}
	if err := checkPlace(vault, kind); err != nil {
		return out, err
	}
	where := model.ID{Vault: vault, Kind: kind}
	found, err := page(s, "deleted/"+partition(vault, kind), p, func(o ...table.ScanOption) iter.Seq2[table.Row[itemRow], error] {
		return deletedItems.Scan(ctx, partition(vault, kind), o...)
	}, func(row table.Row[itemRow]) bool {
		older := strings.Contains(row.Key.Row, olderMark)
		return !older && !s.due(row.Value) && (visible == nil || visible(row.Value.Name))
	}, func(row table.Row[itemRow]) (*model.Deleted[*Version], error) {
		return row.Value.deletedVersion(ctx, where)
	})
	if err != nil {
		return out, err
	}
	for _, d := range found.Items {
		out.Items = append(out.Items, *d)
	}
	out.Next = found.Next
	return out, nil
}
