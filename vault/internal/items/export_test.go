package items

import (
	"context"
	"fmt"
	"strings"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// DecodeBackup is decodeBackup; it returns the ids of the versions.
func DecodeBackup(plain []byte) (ids []string, secrets [][]byte, err error) {
	text, secrets, err := decodeBackup(plain)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range text.Versions {
		ids = append(ids, v.ID)
	}
	return ids, secrets, nil
}

// BackupPurpose is backupPurpose.
func BackupPurpose(kind model.Kind, name string) string { return backupPurpose(kind, name) }

// Swap changes the places of the rows of two versions, as a thief with a hand in the database could.
func Swap(ctx context.Context, s *Store, a, b model.ID) error {
	x, err := s.Get(ctx, a)
	if err != nil {
		return err
	}
	y, err := s.Get(ctx, b)
	if err != nil {
		return err
	}
	if err := versions.Put(ctx, versionKey(x.generation, x.Version), y.row()); err != nil {
		return err
	}
	return versions.Put(ctx, versionKey(y.generation, y.Version), x.row())
}

// SwapItems changes the places of two items' rows, with their names when names says so.
func SwapItems(ctx context.Context, a, b model.ID, names bool) error {
	x, err := liveItems.Get(ctx, itemKey(a))
	if err != nil {
		return err
	}
	y, err := liveItems.Get(ctx, itemKey(b))
	if err != nil {
		return err
	}
	if !names {
		x.Name, y.Name = y.Name, x.Name
	}
	if err := liveItems.Put(ctx, itemKey(a), y); err != nil {
		return err
	}
	return liveItems.Put(ctx, itemKey(b), x)
}

// Whole reports what is half: an item without its versions, versions without an item, a secret that does not open. Otherwise it
// returns how many items there are, deleted ones and versions.
func Whole(ctx context.Context, s *Store) (items, deleted, rows int, err error) {
	known, older := map[string]int{}, map[string]int{}
	for _, t := range []*table.Table[itemRow]{liveItems, deletedItems} {
		for row, err := range t.ScanAll(ctx) {
			if err != nil {
				return 0, 0, 0, err
			}
			vault, kind := place(row.Key)
			where, n := model.ID{Vault: vault, Kind: kind, Name: row.Value.Name}, 0
			for next := row.Value.Current; next != ""; n++ {
				v, err := row.Value.version(ctx, where, next)
				if err != nil {
					return 0, 0, 0, err
				}
				if _, err := s.env.Seal.Open(purpose(v.ID), v.sealed); err != nil {
					return 0, 0, 0, fmt.Errorf("%v: %w", v.ID, err)
				}
				next = v.Previous
			}
			if n != row.Value.Versions {
				return 0, 0, 0, fmt.Errorf("%q has %d versions, not %d", row.Key, n, row.Value.Versions)
			}
			if (t == deletedItems) != (row.Value.Deletion != nil) {
				return 0, 0, 0, fmt.Errorf("%q: %+v", row.Key, row.Value.Deletion)
			}
			known[row.Value.Generation] = n
			if name, _, is := strings.Cut(row.Key.Row, olderMark); is {
				older[row.Key.Partition+"/"+name]--
			} else {
				older[row.Key.Partition+"/"+name] += row.Value.Older
			}
			if t == liveItems {
				items++
			} else {
				deleted++
			}
		}
	}
	for name, n := range older {
		if n != 0 {
			return 0, 0, 0, fmt.Errorf("%q: %d more deleted items than there are", name, n)
		}
	}
	for row, err := range versions.ScanAll(ctx) {
		if err != nil {
			return 0, 0, 0, err
		}
		if known[row.Key.Partition]--; known[row.Key.Partition] < 0 {
			return 0, 0, 0, fmt.Errorf("%q belongs to no item", row.Key)
		}
		rows++
	}
	return items, deleted, rows, nil
}

// SetMaxBackup makes backups smaller.
func (s *Store) SetMaxBackup(n int) { s.maxBackup = n }

// SetMaxScanned makes a page look at fewer rows.
func (s *Store) SetMaxScanned(n int) { s.maxScanned = n }
