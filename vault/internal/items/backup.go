package items

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// A backup is a line that says what it is of, then a sealed part, which is bound to that line:
//
//	perdure-vault-backup 1 KIND NAME
//
// The sealed part is a length in decimal digits, a line feed, as many bytes of JSON, which is a backupText, then the secrets
// of the versions, one behind the other.
const (
	backupMagic  = "perdure-vault-backup"
	backupFormat = "1"
	maxHeader    = 256
)

// MaxBackup bounds a backup, in bytes.
const MaxBackup = maxPlain + 4096

// maxPlain bounds what a backup seals: no more than a sealer takes.
const maxPlain = 16 << 20

// backupText is what a backup says of an item. Its versions begin with the current one.
type backupText struct {
	Created  time.Time       `json:"created"`
	Policy   json.RawMessage `json:"policy,omitempty"`
	Versions []backupVersion `json:"versions"`
}

type backupVersion struct {
	ID string `json:"id"`
	versionRow
	// Secret is how many bytes the secret has; nil for none.
	Secret *int `json:"secret,omitempty"`
}

func backupPurpose(kind model.Kind, name string) string {
	return "vault-backup/" + backupFormat + "/" + string(kind) + "/" + name
}

// BackupOf returns of what a backup is, as far as its first line says; whether that is true Restore finds out. It needs no
// unit. A *model.FieldError says that it is none.
func BackupOf(backup []byte) (kind model.Kind, name string, err error) {
	kind, name, _, err = splitBackup(backup)
	return kind, name, err
}

func badBackup(detail string) error { return &model.FieldError{Field: "value", Detail: detail} }

func splitBackup(backup []byte) (kind model.Kind, name string, sealed []byte, err error) {
	if len(backup) > MaxBackup {
		return "", "", nil, badBackup("it is too large for a backup")
	}
	n := bytes.IndexByte(backup[:min(len(backup), maxHeader)], '\n')
	if n < 0 {
		return "", "", nil, badBackup("it is no backup")
	}
	words := strings.Split(string(backup[:n]), " ")
	if len(words) != 4 || words[0] != backupMagic {
		return "", "", nil, badBackup("it is no backup")
	}
	if words[1] != backupFormat {
		return "", "", nil, badBackup("it is a backup of another version of Perdure")
	}
	kind, name = model.Kind(words[2]), words[3]
	if checkID(model.ID{Vault: model.DefaultVault, Kind: kind, Name: name}) != nil {
		return "", "", nil, badBackup("it is no backup")
	}
	return kind, name, backup[n+1:], nil
}

// Backup returns an item with all its versions, sealed: it opens by this vault's keys alone, in any vault, for the same kind.
// It reads every version. ErrTooMany: all together are too large.
func (s *Store) Backup(ctx context.Context, id model.ID) ([]byte, error) {
	item, err := live(ctx, id)
	if err != nil {
		return nil, err
	}
	text := backupText{Created: item.Created, Policy: item.Policy}
	var secrets []byte
	defer func() { clear(secrets) }()
	for next := item.Current; next != ""; {
		v, err := item.version(ctx, id, next)
		if err != nil {
			return nil, err
		}
		b := backupVersion{ID: v.Version, versionRow: *v.row()}
		b.Sealed = nil
		if v.sealed != nil {
			secret, err := s.Open(ctx, v)
			if err != nil {
				return nil, err
			}
			n := len(secret)
			b.Secret, secrets = &n, append(secrets, secret...)
			clear(secret)
		}
		text.Versions = append(text.Versions, b)
		next = v.Previous
	}
	head, err := json.Marshal(&text)
	if err != nil {
		return nil, err
	}
	plain := append(append(fmt.Appendf(nil, "%d\n", len(head)), head...), secrets...)
	defer clear(plain)
	out := fmt.Appendf(nil, "%s %s %s %s\n", backupMagic, backupFormat, id.Kind, item.Name)
	if len(plain) > s.maxBackup {
		return nil, fmt.Errorf("%q: a backup of all its versions would be too large: %w", id.String(), model.ErrTooMany)
	}
	sealed, err := s.env.Seal.Seal(backupPurpose(id.Kind, item.Name), plain)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", id.String(), err)
	}
	return append(out, sealed...), nil
}

// decodeBackup reads the sealed part of a backup. The secrets are parts of plain, nil for none.
func decodeBackup(plain []byte) (text *backupText, secrets [][]byte, err error) {
	bad := errors.New("it is damaged")
	end := bytes.IndexByte(plain[:min(len(plain), 12)], '\n')
	if end < 0 {
		return nil, nil, bad
	}
	body := plain[end+1:]
	n, err := strconv.ParseUint(string(plain[:end]), 10, 31)
	if err != nil || n > uint64(len(body)) {
		return nil, nil, bad
	}
	text = new(backupText)
	if json.Unmarshal(body[:n], text) != nil {
		return nil, nil, bad
	}
	body = body[n:]
	if len(text.Versions) == 0 || len(text.Versions) > model.MaxVersions {
		return nil, nil, bad
	}
	seen := map[string]bool{}
	for i, v := range text.Versions {
		previous := ""
		if i+1 < len(text.Versions) {
			previous = text.Versions[i+1].ID
		}
		if !isVersion(v.ID) || seen[v.ID] || v.Previous != previous || v.Sealed != nil {
			return nil, nil, bad
		}
		seen[v.ID] = true
		var secret []byte
		if v.Secret != nil {
			if *v.Secret < 0 || *v.Secret > len(body) {
				return nil, nil, bad
			}
			secret, body = body[:*v.Secret:*v.Secret], body[*v.Secret:] // not nil, also when it is empty
		}
		secrets = append(secrets, secret)
	}
	if len(body) != 0 {
		return nil, nil, bad
	}
	return text, secrets, nil
}

// Restore makes the item of a backup in a vault, with all its versions as they were, and returns the current one. ErrExists: something has
// the name, a deleted item that keeps it too. A *model.FieldError says that it is no backup of this kind, or cannot be opened here.
func (s *Store) Restore(ctx context.Context, vault string, kind model.Kind, backup []byte) (*Version, error) {
	if err := checkPlace(vault, kind); err != nil {
		return nil, err
	}
	of, name, sealed, err := splitBackup(backup)
	if err != nil {
		return nil, err
	}
	if of != kind {
		return nil, badBackup(fmt.Sprintf("it is a backup of %s, not of %s", of, kind))
	}
	plain, err := s.env.Seal.Open(backupPurpose(kind, name), sealed)
	if err != nil {
		return nil, badBackup("it was changed, or is of another keyring")
	}
	defer clear(plain)
	text, secrets, err := decodeBackup(plain)
	if err != nil {
		return nil, badBackup(err.Error())
	}
	id := model.ID{Vault: vault, Kind: kind, Name: name}
	other, err := getItem(ctx, liveItems, id)
	if err != nil {
		return nil, err
	}
	if other != nil {
		return nil, fmt.Errorf("%q: %w", id.String(), model.ErrExists)
	}
	if err := s.free(ctx, id); err != nil {
		if errors.Is(err, model.ErrDeleted) {
			err = fmt.Errorf("%w: %w", model.ErrExists, err)
		}
		return nil, err
	}
	return s.restore(ctx, id, text, secrets)
}

func (s *Store) restore(ctx context.Context, id model.ID, text *backupText, secrets [][]byte) (*Version, error) {
	item := &itemRow{Name: id.Name, Generation: NewVersion(), Created: text.Created, Policy: text.Policy}
	for i := len(text.Versions) - 1; i > 0; i-- { // the current one comes last
		if err := s.restoreVersion(ctx, item, id, &text.Versions[i], secrets[i], nil); err != nil {
			return nil, err
		}
	}
	var current *Version
	err := s.restoreVersion(ctx, item, id, &text.Versions[0], secrets[0], &current)
	return current, err
}

func (s *Store) restoreVersion(ctx context.Context, item *itemRow, id model.ID, b *backupVersion, secret []byte, out **Version) error {
	id.Version = b.ID
	v := b.version(id, item.Generation)
	if err := v.check(); err != nil {
		return err
	}
	var err error
	if v.sealed, err = s.seal(id, secret); err != nil {
		return err
	}
	if out == nil {
		item.Versions++
		return tooLarge(versions.Insert(ctx, versionKey(item.Generation, v.Version), v.row()))
	}
	*out = v
	return s.write(ctx, item, v)
}
