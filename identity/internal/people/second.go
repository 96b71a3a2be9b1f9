package people

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/identity/internal/people/pages"
	"github.com/perdure/perdure/table"
)

// halfwayLifetime is how long a user may take for the second factor.
const halfwayLifetime = 10 * time.Minute

// halfway is a sign-in whose first factor was right.
type halfway struct {
	UserID  string    `json:"user_id"`
	Methods []string  `json:"amr"`
	Expires time.Time `json:"expires"`
}

// halfways are by browser (partition) and what the sign-in is for (row).
var halfways = table.Of("perdure.half-sign-ins", table.ExpiresAt(func(h *halfway) time.Time { return h.Expires }))

// Codes are few: guesses are counted by network, and over all networks. Who gets here knows the
// password, or is a user of the upstream.
var (
	secondByNetwork = guard.Rule{Name: "second-network", Free: 5, Delay: time.Minute, Max: time.Hour, Forget: 24 * time.Hour}
	secondByAccount = guard.Rule{Name: "second-account", Free: 30, Delay: time.Minute, Max: 15 * time.Minute, Forget: 24 * time.Hour}
)

// factors are what a user has besides a password.
type factors struct {
	totp     bool
	passkeys []*factor.Passkey
}

func (f factors) any() bool { return f.totp || len(f.passkeys) > 0 }

func factorsOf(ctx context.Context, userID string) (f factors, err error) {
	if f.totp, err = factor.HasTOTP(ctx, userID); err != nil {
		return f, err
	}
	f.passkeys, err = factor.PasskeysOf(ctx, userID)
	return f, err
}

// kinds are the names of the factors in User.SecondFactors.
func (f factors) kinds() (kinds []string) {
	if f.totp {
		kinds = append(kinds, "totp")
	}
	if len(f.passkeys) > 0 {
		kinds = append(kinds, "webauthn")
	}
	return kinds
}

// half returns the sign-in that waits for a second factor; nil when there is none.
func (q *request) half(ctx context.Context) (*halfway, error) {
	h, err := halfways.Get(ctx, q.browserKey("second "+q.state))
	if errors.Is(err, directory.ErrNotFound) || err == nil && !q.p.env.Now().Before(h.Expires) {
		return nil, nil
	}
	return h, err
}

func (p *People) secondPage(ctx context.Context, q *request) (*answer, error) {
	h, err := q.half(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return q.redirect("/u/login"), nil
	}
	return p.secondForm(ctx, q, h, "")
}

func (p *People) secondForm(ctx context.Context, q *request, h *halfway, wrong string) (*answer, error) {
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	f, err := factorsOf(ctx, h.UserID)
	if err != nil {
		return nil, err
	}
	passkeys := len(f.passkeys) > 0 && p.passkeys != nil
	a := q.show("second", &pages.Page{Title: "One more step", Error: wrong, Script: passkeys, Data: map[string]any{"TOTP": f.totp, "Passkeys": passkeys}})
	a.targets = t.formTargets()
	if wrong != "" {
		a.status = http.StatusUnauthorized
	}
	return a, nil
}

// takeSecond counts an attempt at a second factor. A user whose password somebody knows is told when
// the attempts become too many.
func (p *People) takeSecond(ctx context.Context, q *request, userID string) error {
	now := p.env.Now()
	wait, err := secondByNetwork.Take(ctx, now, userID, q.network)
	if err == nil && wait == 0 {
		wait, err = secondByAccount.Take(ctx, now, userID)
	}
	if err != nil || wait == 0 {
		return err
	}
	return &tooMany{wait}
}

// wrongSecond notes a wrong second factor.
func (p *People) wrongSecond(ctx context.Context, q *request, userID, what string) error {
	by := q.actor("")
	if err := p.env.Audit(ctx, by.Entry(directory.AuditLoginFailed, userID, what)); err != nil {
		return err
	}
	now := p.env.Now()
	wait, err := secondByNetwork.Wait(ctx, now, userID, q.network)
	if err != nil || wait == 0 {
		return err
	}
	if err := p.env.Audit(ctx, by.Entry(directory.AuditBlocked, userID, "second factors from this network wait "+wait.String())); err != nil {
		return err
	}
	if wait, err := notices.Take(ctx, now, userID, "second"); err != nil || wait > 0 {
		return err
	}
	user, err := p.env.User(ctx, userID)
	if err != nil {
		return err
	}
	return p.mailNotice(ctx, user, "Somebody may know your password", "Somebody has signed in with your password, but failed several times at the second step. If it was not you, please choose a new password now.")
}

// rightSecond ends the sign-in.
func (p *People) rightSecond(ctx context.Context, q *request, h *halfway, methods ...string) (*answer, error) {
	now := p.env.Now()
	if err := secondByNetwork.Forgive(ctx, h.UserID, q.network); err != nil {
		return nil, err
	}
	if err := secondByAccount.Return(ctx, now, h.UserID); err != nil {
		return nil, err
	}
	if err := halfways.Delete(ctx, q.browserKey("second "+q.state)); err != nil {
		return nil, err
	}
	return p.signIn(ctx, q, h.UserID, append(slices.Clone(h.Methods), methods...))
}

func (p *People) second(ctx context.Context, q *request) (*answer, error) {
	h, err := q.half(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return q.redirect("/u/login"), nil
	}
	if err := p.takeSecond(ctx, q, h.UserID); err != nil {
		return nil, err
	}
	err = factor.CheckTOTP(ctx, p.env.Now(), p.env.Seal, h.UserID, clip(q.form.Get("code"), 20))
	switch {
	case errors.Is(err, factor.ErrReplay):
		if err := p.wrongSecond(ctx, q, h.UserID, "a code was used again"); err != nil {
			return nil, err
		}
		return p.secondForm(ctx, q, h, "That code was used already. Wait for the next one.")
	case errors.Is(err, factor.ErrWrong):
		if err := p.wrongSecond(ctx, q, h.UserID, "wrong code"); err != nil {
			return nil, err
		}
		return p.secondForm(ctx, q, h, "That code is not right. Check that the clock of your device is.")
	case err != nil:
		return nil, err
	}
	return p.rightSecond(ctx, q, h, "otp", "mfa")
}

func (p *People) recoveryPage(ctx context.Context, q *request) (*answer, error) {
	h, err := q.half(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return q.redirect("/u/login"), nil
	}
	return p.recoveryForm(ctx, q, "")
}

func (p *People) recoveryForm(ctx context.Context, q *request, wrong string) (*answer, error) {
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	a := q.show("recovery", &pages.Page{Title: "Recovery code", Error: wrong})
	a.targets = t.formTargets()
	if wrong != "" {
		a.status = http.StatusUnauthorized
	}
	return a, nil
}

func (p *People) recovery(ctx context.Context, q *request) (*answer, error) {
	h, err := q.half(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return q.redirect("/u/login"), nil
	}
	if err := p.takeSecond(ctx, q, h.UserID); err != nil {
		return nil, err
	}
	left, err := factor.UseRecoveryCode(ctx, h.UserID, clip(q.form.Get("code"), 64))
	if errors.Is(err, factor.ErrWrong) {
		if err := p.wrongSecond(ctx, q, h.UserID, "wrong recovery code"); err != nil {
			return nil, err
		}
		return p.recoveryForm(ctx, q, "That code is not right, or was used already.")
	}
	if err != nil {
		return nil, err
	}
	detail := fmt.Sprintf("%d are left", left)
	if err := p.env.Audit(ctx, q.actor(h.UserID).Entry(directory.AuditRecoveryUsed, h.UserID, detail)); err != nil {
		return nil, err
	}
	user, err := p.env.User(ctx, h.UserID)
	if err != nil {
		return nil, err
	}
	if err := p.mailNotice(ctx, user, "A recovery code was used", "Somebody has signed in to your account with a recovery code; "+detail+". If it was not you, please choose a new password now."); err != nil {
		return nil, err
	}
	return p.rightSecond(ctx, q, h, "otp", "mfa")
}
