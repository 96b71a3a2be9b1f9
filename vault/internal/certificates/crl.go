package certificates

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

const (
	// listLife is how long a list is good.
	listLife = 7 * 24 * time.Hour
	// listLast is how long the last list is good that is made when a key leaves the vault.
	listLast = 365 * 24 * time.Hour
	// listFresh is how long before its end a list is made anew, so that clients which keep it have it in time.
	listFresh = listLife / 2
)

// listRow is the last list of a version of an authority.
type listRow struct {
	Number int64     `json:"number"`
	DER    []byte    `json:"der"`
	Next   time.Time `json:"next"` // when there must be another
	Stale  bool      `json:"stale,omitempty"`
}

var listsByEnd = table.Index("next", func(r *listRow) int64 { return r.Next.Unix() })

// lists are by vault and version of the authority.
var lists = table.Of("perdure.vault.certificates.lists", listsByEnd)

func listKey(vault, version string) string {
	return table.Key{Row: listPartition(vault, version)}.String()
}

// staleList has a list be made anew when it is next asked for.
func staleList(ctx context.Context, vault, version string) error {
	row, err := lists.Get(ctx, listKey(vault, version))
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	if err != nil || row.Stale {
		return err
	}
	row.Stale = true
	return lists.Put(ctx, listKey(vault, version), row)
}

// listName is the name under which CRL knows a version of an authority. It is a name as items have it.
func listName(id model.ID) string { return id.Name + "-" + id.Version }

// CRL returns the revocation list of an authority of a vault (RFC 5280, in DER), to anybody. The authority is a name, which
// is its current version, or a name, a hyphen and a version, which is what certificates refer to. A list is kept for some days, or until
// something is revoked. One that is disabled makes lists still. ErrNotFound: there is no such authority, or it is deleted, or its key is not in
// the vault, and no list of before is left.
func (s *Service) CRL(ctx context.Context, vault, authority string) (der []byte, err error) {
	if err := model.CheckVaultName(vault); err != nil {
		return nil, err
	}
	if err := model.CheckName(authority); err != nil {
		return nil, err
	}
	err = s.env.Unit(ctx, func(ctx context.Context) error {
		der, err = s.list(ctx, vault, authority)
		return err
	})
	if err != nil {
		return nil, err
	}
	return der, nil
}

func (s *Service) list(ctx context.Context, vault, authority string) ([]byte, error) {
	now := s.env.Now()
	v, err := s.listOf(ctx, vault, authority)
	if errors.Is(err, model.ErrNotFound) {
		return s.listLeft(ctx, vault, authority, err)
	}
	if err != nil {
		return nil, err
	}
	row, err := lists.Get(ctx, listKey(vault, v.Version))
	if err == nil && !row.Stale && now.Before(row.Next.Add(-listFresh)) {
		return row.DER, nil
	}
	if errors.Is(err, table.ErrNotFound) {
		row, err = &listRow{}, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := textOf(v)
	if err != nil {
		return nil, err
	}
	if t.Offline {
		return s.listLeft(ctx, vault, listName(v.ID), notFound(v.ID))
	}
	if cert, _, err := t.parse(); err != nil || !cert.IsCA {
		return nil, notFound(v.ID)
	}
	a, err := s.open(ctx, v, t)
	if err != nil {
		return nil, err
	}
	err = s.makeList(ctx, v, a, row, now.Add(listLife))
	return row.DER, err
}

// makeList makes the list of a version anew.
func (s *Service) makeList(ctx context.Context, v *items.Version, a *pki.Authority, row *listRow, next time.Time) error {
	revoked, err := revokedOn(ctx, v.Vault, v.Version)
	if err != nil {
		return err
	}
	now := s.env.Now()
	// By the time, so that numbers go up though rows of lists that have ended are removed.
	row.Number = max(row.Number+1, now.Unix())
	row.Next, row.Stale = next, false
	if row.DER, err = a.RevocationList(revoked, big.NewInt(row.Number), now, next); err != nil {
		return err
	}
	return lists.Put(ctx, listKey(v.Vault, v.Version), row)
}

// SetCRL gives an authority whose key was taken out of the vault a list that was made where the key is, in DER. The right is
// model.OpRevoke, for the authority. Its number must be higher than that of the list before.
func (s *Service) SetCRL(ctx context.Context, by model.Caller, id model.ID, der []byte) error {
	return s.do(ctx, by, model.OpRevoke, id, func(ctx context.Context, id model.ID, o *model.Operation) error {
		v, err := s.store.Get(ctx, id)
		if err != nil {
			return err
		}
		o.ID, o.Detail = v.ID, "list"
		t, err := textOf(v)
		if err != nil {
			return err
		}
		if !t.Offline {
			return invalid("name", "the key of %q is in the vault, which makes its lists", v.Name)
		}
		cert, _, err := t.parse()
		if err != nil {
			return err
		}
		l, err := pki.CheckRevocationList(der, cert, s.env.Now())
		if err != nil {
			return invalid("value", "%v", err)
		}
		row, err := lists.Get(ctx, listKey(v.Vault, v.Version))
		switch {
		case err == nil && l.Number.Int64() <= row.Number:
			return invalid("value", "the list has the number %d, the one before %d", l.Number, row.Number)
		case err != nil && !errors.Is(err, table.ErrNotFound):
			return err
		}
		return lists.Put(ctx, listKey(v.Vault, v.Version), &listRow{Number: l.Number.Int64(), DER: der, Next: l.NextUpdate})
	})
}

// forgetLists removes some lists that have ended. Where somebody asks for one it is made anew.
func forgetLists(ctx context.Context, now time.Time) error {
	for row, err := range lists.ScanIndex(ctx, listsByEnd.Below(now.Unix()), table.Limit(maxDue)) {
		if err != nil {
			return err
		}
		if err := lists.Delete(ctx, row.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

// listLeft returns the last list of a version of an authority that is deleted, while it is good. Missing is what there is to be
// said otherwise.
func (s *Service) listLeft(ctx context.Context, vault, authority string, missing error) ([]byte, error) {
	id, ok := listID(vault, authority)
	if !ok {
		return nil, missing
	}
	row, err := lists.Get(ctx, listKey(vault, id.Version))
	if errors.Is(err, table.ErrNotFound) || err == nil && !s.env.Now().Before(row.Next) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	return row.DER, nil
}

// listID undoes listName.
func listID(vault, authority string) (model.ID, bool) {
	i := strings.LastIndexByte(authority, '-')
	if i <= 0 || len(authority)-i != 33 {
		return model.ID{}, false
	}
	return model.ID{Vault: vault, Kind: model.Certificates, Name: authority[:i], Version: authority[i+1:]}, true
}

// listOf returns the version of an authority that a list is asked of. That with a version goes first, so that nobody takes its
// place with a certificate whose name looks like it.
func (s *Service) listOf(ctx context.Context, vault, authority string) (*items.Version, error) {
	if id, ok := listID(vault, authority); ok {
		v, err := s.store.Get(ctx, id)
		if err == nil || !errors.Is(err, model.ErrNotFound) {
			return v, err
		}
	}
	return s.store.Get(ctx, model.ID{Vault: vault, Kind: model.Certificates, Name: authority})
}
