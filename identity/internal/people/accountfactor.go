package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
	"github.com/perdure/perdure/identity/internal/people/pages"
	"github.com/perdure/perdure/table"
)

// enrolment is an authenticator app that has not shown a code yet.
type enrolment struct {
	UserID  string    `json:"user_id"`
	Sealed  []byte    `json:"sealed"`
	Expires time.Time `json:"expires"`
}

// enrolments are by user.
var enrolments = table.Of("perdure.totp-enrolments", table.ExpiresAt(func(e *enrolment) time.Time { return e.Expires }))

func removeEnrolment(ctx context.Context, userID string) error {
	err := enrolments.Delete(ctx, directory.Key(userID))
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	return err
}

func enrolmentPurpose(userID string) string { return "totp enrolment " + userID }

func (p *People) beginTOTP(ctx context.Context, q *request) (*answer, error) {
	_, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	secret := factor.NewTOTPSecret()
	sealed, err := p.env.Seal.Seal(enrolmentPurpose(user.ID), []byte(secret))
	if err != nil {
		return nil, fmt.Errorf("seal a TOTP secret: %w", err)
	}
	row := &enrolment{UserID: user.ID, Sealed: sealed, Expires: p.env.Now().Add(halfwayLifetime)}
	if err := enrolments.Put(ctx, directory.Key(user.ID), row); err != nil {
		return nil, err
	}
	return p.totpForm(q, user, secret, "")
}

func (p *People) totpForm(q *request, user *directory.User, secret, wrong string) (*answer, error) {
	image, err := factor.QR(factor.TOTPAddress(p.pages.Brand().Name, accountName(user), secret))
	if err != nil {
		return nil, err
	}
	a := q.show("totp", &pages.Page{Title: "Set up an authenticator app", Error: wrong, Data: map[string]any{"Image": image, "Secret": secret}})
	if wrong != "" {
		a.status = http.StatusBadRequest
	}
	return a, nil
}

func (p *People) confirmTOTP(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	row, err := enrolments.Get(ctx, directory.Key(user.ID))
	if errors.Is(err, directory.ErrNotFound) || err == nil && !p.env.Now().Before(row.Expires) {
		return p.account(ctx, q, s, user, "That took too long. Please start again.")
	}
	if err != nil {
		return nil, err
	}
	secret, err := p.env.Seal.Open(enrolmentPurpose(user.ID), row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open a TOTP secret: %w", err)
	}
	err = factor.AddTOTP(ctx, p.env.Now(), p.env.Seal, user.ID, string(secret), clip(q.form.Get("code"), 20))
	if errors.Is(err, factor.ErrWrong) {
		return p.totpForm(q, user, string(secret), "That code is not right. Check that the clock of your device is.")
	}
	if err != nil {
		return nil, err
	}
	if err := enrolments.Delete(ctx, directory.Key(user.ID)); err != nil {
		return nil, err
	}
	return p.factorAdded(ctx, q, user, "an authenticator app", "/u/account")
}

// factorAdded notes a new factor. With the first one the user gets recovery codes.
func (p *People) factorAdded(ctx context.Context, q *request, user *directory.User, what, to string) (*answer, error) {
	if err := p.noteFactors(ctx, q, user, directory.AuditFactorAdded, what+" was added"); err != nil {
		return nil, err
	}
	left, err := factor.RecoveryCodesLeft(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	if left > 0 {
		return &answer{to: to}, nil
	}
	return p.showCodes(ctx, q, user)
}

// noteFactors writes down which factors a user has, and tells the user what has changed.
func (p *People) noteFactors(ctx context.Context, q *request, user *directory.User, kind, what string) error {
	f, err := factorsOf(ctx, user.ID)
	if err != nil {
		return err
	}
	if !f.any() {
		if err := factor.RemoveRecoveryCodes(ctx, user.ID); err != nil {
			return err
		}
	}
	_, err = p.env.TouchUser(ctx, user.ID, func(u *directory.User) error {
		u.SecondFactors = f.kinds()
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.env.Audit(ctx, q.actor(user.ID).Entry(kind, user.ID, what)); err != nil {
		return err
	}
	return p.mailNotice(ctx, user, "How you sign in has changed", "In your account "+what+". If it was not you, choose a new password now, and look at your account.")
}

func (p *People) showCodes(ctx context.Context, q *request, user *directory.User) (*answer, error) {
	codes, err := factor.NewRecoveryCodes(ctx, p.env.Now(), user.ID)
	if err != nil {
		return nil, err
	}
	return q.show("codes", &pages.Page{Title: "Your recovery codes", Data: map[string]any{"Codes": codes}}), nil
}

func (p *People) removeTOTP(ctx context.Context, q *request) (*answer, error) {
	_, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	if err := factor.RemoveTOTP(ctx, user.ID); err != nil {
		return nil, err
	}
	return &answer{to: "/u/account?done=totp-off"}, p.noteFactors(ctx, q, user, directory.AuditFactorRemoved, "the authenticator app was removed")
}

func (p *People) newCodes(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	f, err := factorsOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	if !f.any() {
		return p.account(ctx, q, s, user, "Recovery codes stand in for a second factor. Set one up first.")
	}
	if err := p.env.Audit(ctx, q.actor(user.ID).Entry(directory.AuditFactorAdded, user.ID, "new recovery codes")); err != nil {
		return nil, err
	}
	return p.showCodes(ctx, q, user)
}

func (p *People) beginPasskey(ctx context.Context, q *request) (*answer, error) {
	if err := p.takeChallenge(ctx, q); err != nil {
		return nil, err
	}
	_, user, login, err := p.sensitive(ctx, q)
	if err != nil {
		return nil, err
	}
	if login != nil {
		return nil, &fault{http.StatusForbidden, "Sign in again", "Please sign out and in again first: it was too long ago."}
	}
	options, state, err := p.passkeys.BeginAdding(ctx, personOf(user))
	if errors.Is(err, factor.ErrTooMany) {
		return nil, &fault{http.StatusBadRequest, "Too many passkeys", "You have too many passkeys. Remove one first."}
	}
	if err != nil {
		return nil, err
	}
	return &answer{json: json.RawMessage(options)}, p.keepCeremony(ctx, q, "add", user.ID, state)
}

func (p *People) addPasskey(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	if p.passkeys == nil {
		return nil, &fault{http.StatusNotFound, "No passkeys", "Passkeys cannot be used here."}
	}
	c, err := p.takeCeremony(ctx, q, "add")
	if err != nil {
		return nil, err
	}
	if c.UserID != user.ID {
		return p.account(ctx, q, s, user, noPasskey)
	}
	name := strings.TrimSpace(clip(q.form.Get("name"), 120))
	if name == "" {
		name = "Passkey of " + p.env.Now().Format("2 January 2006")
	}
	_, err = p.passkeys.FinishAdding(ctx, p.env.Now(), personOf(user), c.State, []byte(q.form.Get("response")), name)
	if errors.Is(err, factor.ErrWrong) || errors.Is(err, factor.ErrTooMany) {
		return p.account(ctx, q, s, user, noPasskey)
	}
	if err != nil {
		return nil, err
	}
	return p.factorAdded(ctx, q, user, "a passkey", "/u/account?done=passkey")
}

func (p *People) removePasskey(ctx context.Context, q *request) (*answer, error) {
	_, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	removed, err := factor.RemovePasskey(ctx, user.ID, q.form.Get("id"))
	if err != nil {
		return nil, err
	}
	if !removed {
		return &answer{to: "/u/account"}, nil
	}
	return &answer{to: "/u/account?done=removed"}, p.noteFactors(ctx, q, user, directory.AuditFactorRemoved, "a passkey was removed")
}
