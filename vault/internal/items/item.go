package items

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// Item is a name with its versions.
type Item struct {
	Vault   string
	Kind    model.Kind
	Name    string // as it was given first
	Current string // id of the current version
	Created time.Time
	Managed bool            // it belongs to the certificate of the same name
	Policy  json.RawMessage // for the kind to say
	// Deletion is set for a deleted item.
	Deletion *model.Deletion
}

// itemRow is an item as it is stored.
type itemRow struct {
	Name       string          `json:"name"`
	Current    string          `json:"current"`
	Generation string          `json:"generation"` // partition of its versions
	Versions   int             `json:"versions"`   // how many there are
	Created    time.Time       `json:"created"`
	Managed    bool            `json:"managed,omitempty"`
	Policy     json.RawMessage `json:"policy,omitempty"`
	Expires    int64           `json:"expires,omitempty"` // of the current version, Unix time; 0 for never
	WarnAt     int64           `json:"warn_at,omitempty"` // when the next warning is due, Unix time; 0 for never
	// Deletion is there in deletedItems alone.
	Deletion *model.Deletion `json:"deletion,omitempty"`
	// Older is how many deleted items had the name before, and Turn is more than theirs.
	Older int `json:"older,omitempty"`
	Turn  int `json:"turn,omitempty"`
}

// itemsByExpiry finds items whose current version ends, itemsByWarning those about which somebody is to be told.
var (
	itemsByExpiry  = table.Index("expires", func(r *itemRow) int64 { return r.Expires })
	itemsByWarning = table.Index("warning", func(r *itemRow) int64 { return r.WarnAt })
)

// liveItems are by vault and kind (partition) and lower-case name (row).
var liveItems = table.Of("perdure.vault.items", itemsByExpiry, itemsByWarning)

// deletedByPurge finds deleted items whose time has come.
var deletedByPurge = table.Index("purge", func(r *itemRow) int64 { return r.Deletion.PurgeAt.Unix() })

// deletedItems are keyed as liveItems are; those that had a name before the one that was deleted last have their
// turn behind the name.
var deletedItems = table.Of("perdure.vault.deleted", deletedByPurge)

func partition(vault string, kind model.Kind) string { return vault + "." + string(kind) }

func itemKey(id model.ID) string {
	return table.Key{Partition: partition(id.Vault, id.Kind), Row: strings.ToLower(id.Name)}.String()
}

// place is the vault and the kind of a row.
func place(k table.Key) (vault string, kind model.Kind) {
	vault, s, _ := strings.Cut(k.Partition, ".")
	return vault, model.Kind(s)
}

// Canonical returns the id with its name in lower case: two ids name the same thing if theirs are equal.
func Canonical(id model.ID) model.ID {
	id.Name = strings.ToLower(id.Name)
	return id
}

// checkID reports what keeps an id from naming an item.
func checkID(id model.ID) error {
	if err := checkPlace(id.Vault, id.Kind); err != nil {
		return err
	}
	return model.CheckName(id.Name)
}

func checkPlace(vault string, kind model.Kind) error {
	switch kind {
	case model.Secrets, model.Keys, model.Certificates:
	default:
		return &model.FieldError{Field: "kind", Detail: "want secrets, keys or certificates"}
	}
	return model.CheckVaultName(vault)
}

func notFound(id model.ID) error { return fmt.Errorf("%q: %w", id.String(), model.ErrNotFound) }

// getItem returns the row of an item from a table; nil when there is none.
func getItem(ctx context.Context, t *table.Table[itemRow], id model.ID) (*itemRow, error) {
	row, err := t.Get(ctx, itemKey(id))
	if errors.Is(err, table.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(row.Name, id.Name) {
		return nil, fmt.Errorf("vault: the row of %q is that of %q", id.String(), row.Name)
	}
	return row, nil
}

// live returns the row of an item that is not deleted.
func live(ctx context.Context, id model.ID) (*itemRow, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	row, err := getItem(ctx, liveItems, id)
	if err == nil && row == nil {
		err = notFound(id)
	}
	return row, err
}

// id is that of a version of the item; where says vault and kind.
func (r *itemRow) id(where model.ID, version string) model.ID {
	return model.ID{Vault: where.Vault, Kind: where.Kind, Name: r.Name, Version: version}
}

func (r *itemRow) item(where model.ID) *Item {
	return &Item{
		Vault: where.Vault, Kind: where.Kind, Name: r.Name, Current: r.Current, Created: r.Created,
		Managed: r.Managed, Policy: r.Policy, Deletion: r.Deletion,
	}
}

// version returns a version of the item.
func (r *itemRow) version(ctx context.Context, where model.ID, version string) (*Version, error) {
	id := r.id(where, version)
	if !isVersion(version) {
		return nil, notFound(id)
	}
	row, err := versions.Get(ctx, versionKey(r.Generation, version))
	if errors.Is(err, table.ErrNotFound) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, err
	}
	return row.version(id, r.Generation), nil
}

// current makes v the item's current version.
func (r *itemRow) current(v *Version, now time.Time) {
	r.Current, r.Managed = v.Version, v.Managed
	r.expiry(v, now)
}

// tooLarge turns what a table says of a row that is too large into what a caller can mend.
func tooLarge(err error) error {
	if errors.Is(err, table.ErrTooLarge) {
		return &model.FieldError{Field: "value", Detail: "all of it together is too large"}
	}
	return err
}
