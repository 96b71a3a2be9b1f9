package items

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// Options are the settings of vaults. The zero value is right for tests.
type Options struct {
	// RecoverableDays is how long deleted items of a vault can be recovered, 7 to 90 days; nil and 0 for 90.
	RecoverableDays func(vault string) int
	// PurgeProtected reports whether nobody may purge a vault's deleted items before their time; nil for no vault.
	PurgeProtected func(vault string) bool
	// ReuseDeleted reports whether a new item of a vault may take the name of a deleted one; nil for no vault.
	ReuseDeleted func(vault string) bool
	// Changed is called after the commit of a unit for each item that got a new version, or of which a version was updated,
	// or that was deleted or recovered, with its id without a version. The name may be in another case than elsewhere:
	// see Canonical. It must not block. Nil when nobody wants to know.
	Changed func(id model.ID)
}

// The bounds of Options.RecoverableDays.
const (
	MinRecoverableDays = 7
	MaxRecoverableDays = 90
)

// Store keeps the items of all vaults. Its rows are those of the unit of work that a context carries. It is safe for
// concurrent use.
type Store struct {
	env *model.Env
	o   Options

	maxBackup  int // bytes that a backup seals
	maxScanned int // rows that a page looks at
}

// New returns the store.
func New(env *model.Env, o Options) *Store {
	return &Store{env: env, o: o, maxBackup: maxPlain, maxScanned: maxScanned}
}

// RecoverableDays is how long deleted items of a vault can be recovered.
func (s *Store) RecoverableDays(vault string) int {
	days := 0
	if s.o.RecoverableDays != nil {
		days = s.o.RecoverableDays(vault)
	}
	if days == 0 {
		days = MaxRecoverableDays
	}
	return max(MinRecoverableDays, min(days, MaxRecoverableDays))
}

// PurgeProtected reports whether nobody may purge a vault's deleted items before their time.
func (s *Store) PurgeProtected(vault string) bool {
	return s.o.PurgeProtected != nil && s.o.PurgeProtected(vault)
}

func (s *Store) reuseDeleted(vault string) bool {
	return s.o.ReuseDeleted != nil && s.o.ReuseDeleted(vault)
}

// now is the time in whole seconds, as attributes have it.
func (s *Store) now() time.Time { return s.env.Now().UTC().Truncate(time.Second) }

// changed tells of a change of an item when the unit has committed.
func (s *Store) changed(ctx context.Context, id model.ID) {
	if s.o.Changed == nil || s.env.OnCommit == nil {
		return
	}
	id.Version = ""
	s.env.OnCommit(ctx, func() { s.o.Changed(id) })
}

func purpose(id model.ID) string { return "vault/" + id.String() }

// Add makes v the current version of its item, and makes the item when there is none. It fills in Created, Updated and
// Previous, Version unless that is given, and Name as the item has it. Secret is sealed; nil is none. ErrDeleted: a deleted item has
// the name. ErrTooMany: the item has MaxVersions. ErrExists: it has that version, or v is Managed and the item
// is not. ErrManaged: the item is Managed and v is not.
func (s *Store) Add(ctx context.Context, v *Version, secret []byte) error {
	if err := checkID(v.ID); err != nil {
		return err
	}
	if err := v.check(); err != nil {
		return err
	}
	now, id, previous := s.now(), v.ID, ""
	if id.Version == "" {
		id.Version = NewVersion()
	} else if !isVersion(id.Version) {
		return &model.FieldError{Field: "version", Detail: "want 32 lower-case hexadecimal digits"}
	}
	item, err := getItem(ctx, liveItems, id)
	if err != nil {
		return err
	}
	switch {
	case item == nil:
		if err := s.free(ctx, id); err != nil {
			return err
		}
		item = &itemRow{Name: id.Name, Generation: NewVersion(), Created: now}
	case item.Managed && !v.Managed:
		return fmt.Errorf("%q: %w", id.String(), model.ErrManaged)
	case !item.Managed && v.Managed:
		return fmt.Errorf("%q is there without a certificate: %w", id.String(), model.ErrExists)
	case item.Versions >= model.MaxVersions:
		return fmt.Errorf("%q has %d versions: %w", id.String(), item.Versions, model.ErrTooMany)
	default:
		previous = item.Current
	}
	id.Name = item.Name
	sealed, err := s.seal(id, secret)
	if err != nil {
		return err
	}
	// V is touched when nothing can fail but the store.
	v.ID, v.Previous, v.Created, v.Updated = id, previous, now, now
	v.sealed, v.generation, v.lean = sealed, item.Generation, false
	return s.write(ctx, item, v)
}

// free reports why the name of an id that no item has cannot be given.
func (s *Store) free(ctx context.Context, id model.ID) error {
	if s.reuseDeleted(id.Vault) {
		return nil
	}
	old, err := s.recoverable(ctx, id)
	if err == nil && old != nil {
		err = fmt.Errorf("%q: %w", id.String(), model.ErrDeleted)
	}
	return err
}

func (s *Store) seal(id model.ID, secret []byte) ([]byte, error) {
	if secret == nil {
		return nil, nil
	}
	sealed, err := s.env.Seal.Seal(purpose(id), secret)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", id.String(), err)
	}
	return sealed, nil
}

// write writes a new version and the item whose current one it becomes.
func (s *Store) write(ctx context.Context, item *itemRow, v *Version) error {
	err := versions.Insert(ctx, versionKey(item.Generation, v.Version), v.row())
	if errors.Is(err, table.ErrExists) {
		return fmt.Errorf("%q: %w", v.ID.String(), model.ErrExists)
	}
	if err != nil {
		return tooLarge(err)
	}
	item.Versions++
	item.current(v, s.now())
	s.changed(ctx, v.ID)
	return liveItems.Put(ctx, itemKey(v.ID), item)
}

// Get returns a version, the current one when id.Version is empty.
func (s *Store) Get(ctx context.Context, id model.ID) (*Version, error) {
	item, err := live(ctx, id)
	if err != nil {
		return nil, err
	}
	version := id.Version
	if version == "" {
		version = item.Current
	}
	return item.version(ctx, id, version)
}

// Open returns the secret part of a version that the store has returned; nil if it has none. The caller may clear it. What
// lists and the methods for deleted items return is without it: Open then reads it, and does not find that of a deleted item.
func (s *Store) Open(ctx context.Context, v *Version) ([]byte, error) {
	full := v
	if v.lean || v.generation == "" {
		var err error
		if full, err = s.Get(ctx, v.ID); err != nil {
			return nil, err
		}
	}
	if full.sealed == nil {
		return nil, nil
	}
	secret, err := s.env.Seal.Open(purpose(full.ID), full.sealed)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", full.ID.String(), err)
	}
	if secret == nil {
		secret = []byte{}
	}
	return secret, nil
}

// Update changes a version by fn, the current one when id.Version is empty: attributes, content type, tags, Public. The rest stays as
// it is, whatever fn does. Fn's error is returned as it is, and nothing written.
func (s *Store) Update(ctx context.Context, id model.ID, fn func(*Version) error) (*Version, error) {
	item, err := live(ctx, id)
	if err != nil {
		return nil, err
	}
	version := id.Version
	if version == "" {
		version = item.Current
	}
	v, err := item.version(ctx, id, version)
	if err != nil {
		return nil, err
	}
	was := *v
	if err := fn(v); err != nil {
		return nil, err
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	v.ID, v.Created, v.Managed, v.Previous = was.ID, was.Created, was.Managed, was.Previous
	v.sealed, v.generation, v.lean = was.sealed, was.generation, was.lean
	v.Updated = s.now()
	if err := versions.Put(ctx, versionKey(item.Generation, version), v.row()); err != nil {
		return nil, tooLarge(err)
	}
	s.changed(ctx, v.ID)
	if version == item.Current && !v.Expires.Equal(was.Expires) {
		item.expiry(v, s.now())
		if err := liveItems.Put(ctx, itemKey(id), item); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Item returns an item that is not deleted. Id.Version does not count.
func (s *Store) Item(ctx context.Context, id model.ID) (*Item, error) {
	row, err := live(ctx, id)
	if err != nil {
		return nil, err
	}
	return row.item(id), nil
}

// SetPolicy gives an item what Item.Policy returns. It makes no item.
func (s *Store) SetPolicy(ctx context.Context, id model.ID, policy json.RawMessage) error {
	row, err := live(ctx, id)
	if err != nil {
		return err
	}
	row.Policy = policy
	return tooLarge(liveItems.Put(ctx, itemKey(id), row))
}
