package certificates

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
)

// A backup is a line, and JSON that has the backups of the three items.
const backupMagic = "perdure-certificate-backup 1\n"

// MaxBackup bounds a backup, in bytes.
const MaxBackup = 24 << 20

type backupText struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
	Secret      []byte `json:"secret"`
}

func (b *backupText) part(kind model.Kind) *[]byte {
	switch kind {
	case model.Keys:
		return &b.Key
	case model.Secrets:
		return &b.Secret
	}
	return &b.Certificate
}

// Backup returns a certificate with its key, its secret and all their versions, sealed. The right is model.OpBackup. ErrTooMany:
// all together are too large.
func (s *Service) Backup(ctx context.Context, by model.Caller, id model.ID) (backup []byte, err error) {
	id.Version = ""
	err = s.do(ctx, by, model.OpBackup, id, func(ctx context.Context, id model.ID, _ *model.Operation) error {
		var b backupText
		err := each(id, func(id model.ID) (err error) {
			*b.part(id.Kind), err = s.store.Backup(ctx, id)
			return err
		})
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(&b)
		if err != nil {
			return err
		}
		if len(encoded) > MaxBackup-len(backupMagic) {
			return fmt.Errorf("%q: a backup of all its versions would be too large: %w", id.String(), model.ErrTooMany)
		}
		backup = append([]byte(backupMagic), encoded...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return backup, nil
}

// Restore makes the certificate of a backup with its key and secret, under its own name. The right is model.OpRestore, for that
// name, and model.OpSetIssuers as for Create. ErrExists when something has the name.
func (s *Service) Restore(ctx context.Context, by model.Caller, vault string, backup []byte) (out *model.Certificate, err error) {
	b, name, err := decodeBackup(backup)
	if err != nil {
		return nil, err
	}
	var delegates *model.Policy // what the right was asked for
	restore := func(ctx context.Context, id model.ID, o *model.Operation) error {
		var v *items.Version
		err := each(id, func(id model.ID) error {
			restored, err := s.store.Restore(ctx, vault, id.Kind, *b.part(id.Kind))
			switch {
			case err != nil:
				return err
			case id.Kind == model.Certificates:
				v = restored
			case !restored.Managed || v == nil || restored.Version != v.Version:
				return invalid("value", "its parts are of different certificates")
			}
			return nil
		})
		if err != nil {
			return err
		}
		o.ID = v.ID
		if out, err = s.again(ctx, v); err != nil {
			return err
		}
		// An issuer of this vault signs the next version, whatever one of that name was where the backup comes from.
		if p := out.Policy; delegates == nil && delegation(p) {
			delegates = p
			return errPrepare
		}
		return nil
	}
	id := model.ID{Vault: vault, Name: name}
	err = s.prepared(ctx, func() error { return s.do(ctx, by, model.OpRestore, id, restore) },
		func() error { return s.mayDelegate(ctx, by, id, delegates) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func decodeBackup(backup []byte) (*backupText, string, error) {
	rest, ok := bytes.CutPrefix(backup, []byte(backupMagic))
	b := new(backupText)
	if !ok || len(backup) > MaxBackup || json.Unmarshal(rest, b) != nil {
		return nil, "", invalid("value", "it is no backup of a certificate")
	}
	name := ""
	for _, kind := range []model.Kind{model.Certificates, model.Keys, model.Secrets} {
		of, has, err := items.BackupOf(*b.part(kind))
		if err != nil {
			return nil, "", err
		}
		if of != kind || name != "" && !strings.EqualFold(has, name) {
			return nil, "", invalid("value", "its parts are of different certificates")
		}
		name = has
	}
	return b, name, nil
}
