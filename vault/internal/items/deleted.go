package items

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// olderMark stands in the keys of deleted items behind the name, where another one was deleted later. No name has it.
const olderMark = "\x00"

// olderKey is the key of a deleted item when it is not the last one that had its name.
func olderKey(id model.ID, r *itemRow) string {
	return table.Key{
		Partition: partition(id.Vault, id.Kind),
		Row:       fmt.Sprintf("%s%s%010d", strings.ToLower(id.Name), olderMark, r.Turn),
	}.String()
}

// due reports whether the time of a deleted item has come.
func (s *Store) due(r *itemRow) bool { return !s.env.Now().Before(r.Deletion.PurgeAt) }

// recoverable returns the deleted item that has a name; nil when there is none that can be recovered.
func (s *Store) recoverable(ctx context.Context, id model.ID) (*itemRow, error) {
	row, err := getItem(ctx, deletedItems, id)
	if err != nil || row == nil || s.due(row) {
		return nil, err
	}
	return row, nil
}

// deleted is recoverable with ErrNotFound for none.
func (s *Store) deleted(ctx context.Context, id model.ID) (*itemRow, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	row, err := s.recoverable(ctx, id)
	if err == nil && row == nil {
		err = notFound(id)
	}
	return row, err
}

func (r *itemRow) deletedVersion(ctx context.Context, where model.ID) (*model.Deleted[*Version], error) {
	v, err := r.version(ctx, where, r.Current)
	if err != nil {
		return nil, err
	}
	return &model.Deleted[*Version]{Item: v.withoutSecret(), Deletion: *r.Deletion}, nil
}

// Deleted returns the deleted item that has a name, at its current version.
func (s *Store) Deleted(ctx context.Context, id model.ID) (*model.Deleted[*Version], error) {
	row, err := s.deleted(ctx, id)
	if err != nil {
		return nil, err
	}
	return row.deletedVersion(ctx, id)
}

// DeletedItem is Item for a deleted one.
func (s *Store) DeletedItem(ctx context.Context, id model.ID) (*Item, error) {
	row, err := s.deleted(ctx, id)
	if err != nil {
		return nil, err
	}
	return row.item(id), nil
}

// Delete deletes an item with all its versions. It can be recovered until its Deletion.PurgeAt. The deleted item that had
// the name before, if there is one, stays behind it.
func (s *Store) Delete(ctx context.Context, id model.ID) (*model.Deleted[*Version], error) {
	row, err := live(ctx, id)
	if err != nil {
		return nil, err
	}
	older, err := getItem(ctx, deletedItems, id)
	if err != nil {
		return nil, err
	}
	if older != nil {
		row.Older, row.Turn = older.Older+1, older.Turn+1
		older.Older = 0
		if err := deletedItems.Put(ctx, olderKey(id, older), older); err != nil {
			return nil, err
		}
	}
	now := s.now()
	row.Deletion = &model.Deletion{At: now, PurgeAt: now.Add(time.Duration(s.RecoverableDays(id.Vault)) * 24 * time.Hour)}
	if err := deletedItems.Put(ctx, itemKey(id), row); err != nil {
		return nil, err
	}
	if err := liveItems.Delete(ctx, itemKey(id)); err != nil {
		return nil, err
	}
	s.changed(ctx, row.id(id, ""))
	return row.deletedVersion(ctx, id)
}

// Recover undoes Delete. ErrExists: another item has got the name.
func (s *Store) Recover(ctx context.Context, id model.ID) (*Version, error) {
	row, err := s.deleted(ctx, id)
	if err != nil {
		return nil, err
	}
	other, err := getItem(ctx, liveItems, id)
	if err != nil {
		return nil, err
	}
	if other != nil {
		return nil, fmt.Errorf("%q: %w", id.String(), model.ErrExists)
	}
	if _, err := s.raise(ctx, id, row); err != nil {
		return nil, err
	}
	row.Deletion, row.Older, row.Turn = nil, 0, 0
	if err := liveItems.Put(ctx, itemKey(id), row); err != nil {
		return nil, err
	}
	s.changed(ctx, row.id(id, ""))
	return row.version(ctx, id, row.Current)
}

// raise puts the item that was deleted before row, which had the same name and leaves, in its place, and returns it; nil if
// there is none.
func (s *Store) raise(ctx context.Context, id model.ID, row *itemRow) (*itemRow, error) {
	if row.Older == 0 {
		return nil, deletedItems.Delete(ctx, itemKey(id))
	}
	prefix := strings.ToLower(id.Name) + olderMark
	for older, err := range deletedItems.Scan(ctx, partition(id.Vault, id.Kind), table.Prefix(prefix), table.Reverse(), table.Limit(1)) {
		if err != nil {
			return nil, err
		}
		older.Value.Older = row.Older - 1
		if err := deletedItems.Delete(ctx, older.Key.String()); err != nil {
			return nil, err
		}
		return older.Value, deletedItems.Put(ctx, itemKey(id), older.Value)
	}
	return nil, deletedItems.Delete(ctx, itemKey(id))
}

// Purge removes a deleted item with all its versions for good. ErrProtected: in this vault nobody may.
func (s *Store) Purge(ctx context.Context, id model.ID) error {
	row, err := s.deleted(ctx, id)
	if err != nil {
		return err
	}
	if s.PurgeProtected(id.Vault) {
		return fmt.Errorf("%q: %w", id.String(), model.ErrProtected)
	}
	if _, err := s.raise(ctx, id, row); err != nil {
		return err
	}
	return removeVersions(ctx, row)
}

// removeVersions removes the rows of an item's versions, which are at most MaxVersions.
func removeVersions(ctx context.Context, row *itemRow) error {
	for v, err := range versions.Scan(ctx, row.Generation) {
		if err != nil {
			return err
		}
		if err := versions.Delete(ctx, v.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

// The bounds of one PurgeDue. It goes on until it has removed purgeVersions versions.
const (
	purgeItems    = 100
	purgeVersions = model.MaxVersions
)

// PurgeDue removes some deleted items whose time has come, and returns how many; more tells that there are others. It reads what is
// deleted in the order of time, and so costs next to nothing when there is nothing to do.
func (s *Store) PurgeDue(ctx context.Context) (n int, more bool, err error) {
	gone := 0
	until := s.env.Now().Unix() + 1
	for row, err := range deletedItems.ScanIndex(ctx, deletedByPurge.Below(until), table.Limit(purgeItems+1)) {
		if err != nil {
			return 0, false, err
		}
		if n == purgeItems || gone >= purgeVersions {
			return n, true, nil
		}
		again, err := s.purgeRow(ctx, row.Key)
		if errors.Is(err, table.ErrNotFound) {
			continue // it has come up in the place of one that this unit has purged
		}
		if err != nil {
			return 0, false, err
		}
		more = more || again
		gone += row.Value.Versions
		n++
	}
	return n, more, nil
}

// purgeRow removes a deleted item, whether it was the last one that had its name or not. Again tells that the one which
// took its place is due as well; the scan that has found it may not find that.
func (s *Store) purgeRow(ctx context.Context, k table.Key) (again bool, err error) {
	vault, kind := place(k)
	name, _, older := strings.Cut(k.Row, olderMark)
	id := model.ID{Vault: vault, Kind: kind, Name: name}
	row, err := deletedItems.Get(ctx, k.String())
	if err != nil {
		return false, err
	}
	if !older {
		next, err := s.raise(ctx, id, row)
		if err != nil {
			return false, err
		}
		return next != nil && s.due(next), removeVersions(ctx, row)
	}
	last, err := getItem(ctx, deletedItems, id)
	if err != nil {
		return false, err
	}
	if last != nil {
		last.Older--
		if err := deletedItems.Put(ctx, itemKey(id), last); err != nil {
			return false, err
		}
	}
	if err := deletedItems.Delete(ctx, k.String()); err != nil {
		return false, err
	}
	return false, removeVersions(ctx, row)
}
