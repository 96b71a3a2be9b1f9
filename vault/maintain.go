package vault

import (
	"context"
	"time"

	"github.com/perdure/perdure/vault/internal/certificates"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
)

// maintainEvery is how often the vault looks for what is due: rotation, renewal, warnings, purges.
const maintainEvery = time.Minute

// Expiring is the event of an item whose current version ends soon, or has ended.
type Expiring struct {
	Vault   string    `json:"vault"`
	Kind    string    `json:"kind"` // "secrets", "keys" or "certificates"
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Expires time.Time `json:"expires"`
	// Reason says why somebody should know.
	Reason string `json:"reason"`
	// Days is 30, 7 or 1: how long before the end the event was due. 0 for the other reasons.
	Days int `json:"days,omitempty"`
	// Contacts are the addresses that a certificate's vault has, if its policy wants them told.
	Contacts []string `json:"contacts,omitempty"`
	// Detail says more, for people.
	Detail string `json:"detail,omitempty"`
}

// The reasons of Expiring.
const (
	// ReasonEnds: it ends in 30, 7 or 1 days.
	ReasonEnds = "ends"
	// ReasonPolicy: the item's own policy wants somebody told.
	ReasonPolicy = "policy"
	// ReasonRenewal: a certificate could not be renewed.
	ReasonRenewal = "renewal"
	// ReasonSignature: the next version of a certificate waits for a signature from outside.
	ReasonSignature = "signature"
)

// maintain does what is due until ctx ends.
func (v *Vault) maintain(ctx context.Context) {
	for {
		for _, due := range []struct {
			what string
			do   func(context.Context) error
		}{
			{"keys that are to be rotated", v.keys.RotateDue},
			{"certificates that are to be renewed", v.renew},
			{"warnings of what ends", v.warn},
			{"deleted items that are to be purged", v.purge},
		} {
			if err := due.do(ctx); err != nil && ctx.Err() == nil {
				v.options.Log.Error("the vault could not see to what is due", "what", due.what, "error", err)
			}
		}
		t := v.options.Clock.NewTimer(maintainEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C():
		}
	}
}

// warn publishes the warnings that are due.
func (v *Vault) warn(ctx context.Context) error {
	for more := true; more; {
		err := v.env.Unit(ctx, func(ctx context.Context) error {
			due, others, err := v.items.DueWarnings(ctx, v.env.Now())
			if err != nil {
				return err
			}
			more = others
			for _, w := range due {
				e := Expiring{Expires: w.Expires, Reason: ReasonEnds, Days: w.Days}
				if err := v.tell(ctx, w.ID, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tell publishes an event of an item in the unit of ctx, and logs it once that has committed.
func (v *Vault) tell(ctx context.Context, id model.ID, e Expiring) error {
	e.Vault, e.Kind, e.Name, e.Version = id.Vault, string(id.Kind), id.Name, id.Version
	v.env.OnCommit(ctx, func() {
		v.options.Log.Warn("an item of the vault ends", "item", id.String(), "expires", e.Expires, "reason", e.Reason)
	})
	if v.options.Expiring == nil {
		return nil
	}
	return v.options.Expiring(ctx, e)
}

func (v *Vault) noticeKey(ctx context.Context, n keys.Notice) error {
	return v.tell(ctx, n.ID, Expiring{Expires: n.Expires, Reason: ReasonPolicy})
}

func (v *Vault) noticeCertificate(ctx context.Context, n certificates.Notice) error {
	e := Expiring{Expires: n.Expires, Reason: ReasonPolicy, Detail: n.Detail}
	switch n.Reason {
	case certificates.NoticeFailed:
		e.Reason = ReasonRenewal
	case certificates.NoticeWaits:
		e.Reason = ReasonSignature
	}
	for _, c := range n.Contacts {
		e.Contacts = append(e.Contacts, c.Email)
	}
	return v.tell(ctx, n.ID, e)
}

// renew renews the certificates whose time has come.
func (v *Vault) renew(ctx context.Context) error {
	for {
		_, more, err := v.certificates.RenewDue(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// purge removes deleted items whose time has come.
func (v *Vault) purge(ctx context.Context) error {
	for more := true; more; {
		err := v.env.Unit(ctx, func(ctx context.Context) (err error) {
			_, more, err = v.items.PurgeDue(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
