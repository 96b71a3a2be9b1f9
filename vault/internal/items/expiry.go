package items

import (
	"context"
	"iter"
	"time"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// WarningDays are how many days before an item's expiry its owners are warned.
var WarningDays = [...]int{30, 7, 1}

const day = 24 * time.Hour

// Expiry is an item whose current version ends.
type Expiry struct {
	model.ID
	Expires time.Time
	// Managed: it belongs to the certificate of the same name, which ends as well.
	Managed bool
}

// Warning is an Expiry of which its owners are to be told.
type Warning struct {
	Expiry
	// Days is the one of WarningDays that has come: less is left when nobody asked for warnings for some time.
	Days int
}

// expiry notes when v, the current version, ends. What is due by then is what its maker knew: warnings of times that are over
// are not sent. A managed item has none, since its certificate has them.
func (r *itemRow) expiry(v *Version, now time.Time) {
	r.Expires, r.WarnAt = 0, 0
	if v.Expires.IsZero() {
		return
	}
	r.Expires = v.Expires.Unix()
	if !v.Managed {
		_, r.WarnAt = warning(r.Expires, now)
	}
}

// warning returns the last of WarningDays that has come, 0 for none, and when the next one comes, 0 for never.
func warning(expires int64, now time.Time) (days int, next int64) {
	for _, d := range WarningDays {
		at := time.Unix(expires, 0).Add(-time.Duration(d) * day)
		if at.After(now) {
			return days, at.Unix()
		}
		days = d
	}
	return days, 0
}

func expiryOf(row table.Row[itemRow]) Expiry {
	vault, kind := place(row.Key)
	return Expiry{
		ID:      model.ID{Vault: vault, Kind: kind, Name: row.Value.Name, Version: row.Value.Current},
		Expires: time.Unix(row.Value.Expires, 0).UTC(), Managed: row.Value.Managed,
	}
}

// Expiring returns the items of all vaults and kinds whose current version ends within a time from now, or has ended, the
// first to end first. Nil makes all visible.
func (s *Store) Expiring(ctx context.Context, within time.Duration, p model.Page, visible func(id model.ID) bool) (model.List[*Expiry], error) {
	until := s.env.Now().Add(within).Unix() + 1
	return page(s, "expiring", p, func(o ...table.ScanOption) iter.Seq2[table.Row[itemRow], error] {
		return liveItems.ScanIndex(ctx, itemsByExpiry.Between(1, until), o...)
	}, func(row table.Row[itemRow]) bool {
		return visible == nil || visible(expiryOf(row).ID)
	}, func(row table.Row[itemRow]) (*Expiry, error) {
		e := expiryOf(row)
		return &e, nil
	})
}

// maxWarnings bounds what one DueWarnings returns.
const maxWarnings = 100

// DueWarnings returns warnings that are due, each once: the unit marks them as sent. More tells that there are others. If
// several of an item are due, the last one stands for all.
func (s *Store) DueWarnings(ctx context.Context, now time.Time) (due []Warning, more bool, err error) {
	for row, err := range liveItems.ScanIndex(ctx, itemsByWarning.Between(1, now.Unix()+1), table.Limit(maxWarnings+1)) {
		if err != nil {
			return nil, false, err
		}
		if len(due) == maxWarnings {
			return due, true, nil
		}
		w := Warning{Expiry: expiryOf(row)}
		w.Days, row.Value.WarnAt = warning(row.Value.Expires, now)
		if err := liveItems.PutIf(ctx, row.Key.String(), row.ETag, row.Value); err != nil {
			return nil, false, err
		}
		due = append(due, w)
	}
	return due, false, nil
}
