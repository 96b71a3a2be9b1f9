package certificates

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// MaxRevoked bounds the certificates on one list, those that have not ended long since.
const MaxRevoked = 10_000

// revokedRow is a certificate that an authority of the vault has revoked. It stays when the authority is purged, since that may
// come back from a backup.
type revokedRow struct {
	Serial  []byte    `json:"serial"`
	At      time.Time `json:"at"`
	Reason  int       `json:"reason,omitempty"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	// Until is when it need no longer be on a list, Unix time: a list after its end.
	Until int64 `json:"until"`
}

var revokedByEnd = table.Index("until", func(r *revokedRow) int64 { return r.Until })

// revocations are by vault and version of the authority (partition) and serial number (row).
var revocations = table.Of("perdure.vault.certificates.revoked", revokedByEnd)

func listPartition(vault, version string) string { return vault + "." + version }

// Revoke puts a version of a certificate on the list of the authority of this vault that has signed it; the current one when
// id.Version is empty. For reasons see pki.CheckReason. What is revoked stays so, for the first reason. The
// right is model.OpRevoke.
func (s *Service) Revoke(ctx context.Context, by model.Caller, id model.ID, reason int) error {
	if err := pki.CheckReason(reason); err != nil {
		return err
	}
	return s.do(ctx, by, model.OpRevoke, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		o.ID, o.Detail = v.ID, fmt.Sprintf("reason %d", reason)
		t, err := textOf(v)
		if err != nil {
			return err
		}
		switch {
		case !t.Revoked.IsZero():
			return nil
		case t.Authority == "":
			return invalid("name", "no authority of this vault has signed %q: who did must revoke it", v.ID.String())
		}
		if err := s.checkListed(ctx, id, t); err != nil {
			return err
		}
		return s.revoke(ctx, v, t, reason)
	})
}

// checkListed reports that the list of an authority is not made here.
func (s *Service) checkListed(ctx context.Context, id model.ID, t *text) error {
	v, err := s.store.Get(ctx, model.ID{Vault: id.Vault, Kind: model.Certificates, Name: t.Authority, Version: t.AuthorityVersion})
	if errors.Is(err, model.ErrNotFound) {
		return nil // it may be recovered, or come back from a backup
	}
	if err != nil {
		return err
	}
	above, err := textOf(v)
	if err == nil && above.Offline {
		err = invalid("name", "the key of the authority %q was taken out of the vault: revoke it there, and set the list that is made", t.Authority)
	}
	return err
}

func (s *Service) revoke(ctx context.Context, v *items.Version, t *text, reason int) error {
	cert, _, err := t.parse()
	if err != nil {
		return err
	}
	partition := listPartition(v.Vault, t.AuthorityVersion)
	n, err := revocations.Count(ctx, partition)
	if err != nil {
		return err
	}
	if n >= MaxRevoked {
		return fmt.Errorf("the list of %q has %d certificates: %w", t.Authority, n, model.ErrTooMany)
	}
	row := &revokedRow{
		Serial: cert.SerialNumber.Bytes(), At: s.now(), Reason: reason, Name: v.Name, Version: v.Version, Until: cert.NotAfter.Add(listLife).Unix(),
	}
	key := table.Key{Partition: partition, Row: hex.EncodeToString(row.Serial)}.String()
	if err := revocations.Insert(ctx, key, row); err != nil && !errors.Is(err, table.ErrExists) {
		return err
	}
	if err := staleList(ctx, v.Vault, t.AuthorityVersion); err != nil {
		return err
	}
	t.Revoked = row.At
	encoded, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = s.store.Update(ctx, v.ID, func(v *items.Version) error {
		v.Public = encoded
		return nil
	})
	return err
}

// forgetRevoked removes some certificates that have ended from their lists.
func forgetRevoked(ctx context.Context, now time.Time) error {
	for row, err := range revocations.ScanIndex(ctx, revokedByEnd.Below(now.Unix()), table.Limit(maxDue)) {
		if err != nil {
			return err
		}
		if err := revocations.Delete(ctx, row.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

func revokedOn(ctx context.Context, vault, version string) ([]pki.Revoked, error) {
	var all []pki.Revoked
	// Stable: what is revoked meanwhile is not left out.
	for row, err := range revocations.Scan(ctx, listPartition(vault, version), table.Stable()) {
		if err != nil {
			return nil, err
		}
		all = append(all, pki.Revoked{Serial: new(big.Int).SetBytes(row.Value.Serial), At: row.Value.At, Reason: row.Value.Reason})
	}
	return all, nil
}
