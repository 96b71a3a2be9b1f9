package people

import (
	"context"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
)

// Factor is an authenticator of a user, for administrators.
type Factor struct {
	ID   string // "totp", "recovery-code", or the id of a passkey
	Kind string // "totp", "recovery-code", "webauthn"
	Name string // of a passkey
	// Created and LastUsed are known of passkeys.
	Created, LastUsed time.Time
}

// The kinds of factors without an id of their own.
const (
	FactorTOTP     = "totp"
	FactorRecovery = "recovery-code"
	FactorPasskey  = "webauthn"
)

// Factors returns the authenticators of a user. It works in the unit of work of ctx.
func (p *People) Factors(ctx context.Context, userID string) ([]Factor, error) {
	f, err := factorsOf(ctx, userID)
	if err != nil {
		return nil, err
	}
	all := []Factor{}
	if f.totp {
		all = append(all, Factor{ID: FactorTOTP, Kind: FactorTOTP})
	}
	for _, k := range f.passkeys {
		all = append(all, Factor{ID: k.ID, Kind: FactorPasskey, Name: k.Name, Created: k.Created, LastUsed: k.LastUsed})
	}
	left, err := factor.RecoveryCodesLeft(ctx, userID)
	if left > 0 {
		all = append(all, Factor{ID: FactorRecovery, Kind: FactorRecovery})
	}
	return all, err
}

// RemoveFactor removes an authenticator of a user, or with an empty id all, and reports whether there
// was one. It works in the unit of work of ctx, whose other entries tell who did it.
func (p *People) RemoveFactor(ctx context.Context, userID, id string) (removed bool, err error) {
	all, err := p.Factors(ctx, userID)
	if err != nil {
		return false, err
	}
	for _, f := range all {
		if id != "" && f.ID != id {
			continue
		}
		removed = true
		switch f.Kind {
		case FactorTOTP:
			err = factor.RemoveTOTP(ctx, userID)
		case FactorRecovery:
			err = factor.RemoveRecoveryCodes(ctx, userID)
		default:
			_, err = factor.RemovePasskey(ctx, userID, f.ID)
		}
		if err != nil {
			return false, err
		}
	}
	if !removed {
		return false, nil
	}
	left, err := factorsOf(ctx, userID)
	if err != nil {
		return false, err
	}
	if !left.any() {
		if err := factor.RemoveRecoveryCodes(ctx, userID); err != nil {
			return false, err
		}
	}
	_, err = p.env.TouchUser(ctx, userID, func(u *directory.User) error {
		u.SecondFactors = left.kinds()
		return nil
	})
	return true, err
}
