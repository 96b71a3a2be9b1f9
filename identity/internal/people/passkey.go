package people

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/table"
)

// ceremonyLifetime is how long a user may take to answer the browser's question.
const ceremonyLifetime = 10 * time.Minute

// ceremony is a question to an authenticator that waits for its answer.
type ceremony struct {
	UserID  string          `json:"user_id,omitempty"`
	State   json.RawMessage `json:"state"`
	Expires time.Time       `json:"expires"`
}

// ceremonies are by browser (partition) and what they are for (row).
var ceremonies = table.Of("perdure.ceremonies", table.ExpiresAt(func(c *ceremony) time.Time { return c.Expires }))

// challenges bounds how many questions a network may have asked.
var challenges = guard.Rule{Name: "passkey-network", Free: 100, Delay: time.Minute, Max: 15 * time.Minute, Forget: time.Hour}

const noPasskey = "That passkey did not work here."

func (p *People) keepCeremony(ctx context.Context, q *request, name, userID string, state []byte) error {
	row := &ceremony{UserID: userID, State: state, Expires: p.env.Now().Add(ceremonyLifetime)}
	return ceremonies.Put(ctx, q.browserKey(name), row)
}

// takeCeremony returns the question and forgets it: its answer is good once.
func (p *People) takeCeremony(ctx context.Context, q *request, name string) (*ceremony, error) {
	key := q.browserKey(name)
	c, err := ceremonies.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !p.env.Now().Before(c.Expires) {
		return &ceremony{}, nil
	}
	if err != nil {
		return nil, err
	}
	return c, ceremonies.Delete(ctx, key)
}

func (p *People) takeChallenge(ctx context.Context, q *request) error {
	if p.passkeys == nil {
		return &fault{http.StatusNotFound, "No passkeys", "Passkeys cannot be used here."}
	}
	wait, err := challenges.Take(ctx, p.env.Now(), q.network)
	if err == nil && wait > 0 {
		return &tooMany{wait}
	}
	return err
}

func (p *People) passkeyChallenge(ctx context.Context, q *request) (*answer, error) {
	if err := p.takeChallenge(ctx, q); err != nil {
		return nil, err
	}
	if _, err := q.target(ctx); err != nil {
		return nil, err
	}
	options, state, err := p.passkeys.BeginCheck(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &answer{json: json.RawMessage(options)}, p.keepCeremony(ctx, q, "login", "", state)
}

// passkeyLogin signs in by a passkey alone: it is two factors, the device and what unlocks it.
func (p *People) passkeyLogin(ctx context.Context, q *request) (*answer, error) {
	t, err := q.target(ctx)
	if err != nil {
		return nil, err
	}
	if p.passkeys == nil {
		return nil, &fault{http.StatusNotFound, "No passkeys", "Passkeys cannot be used here."}
	}
	c, err := p.takeCeremony(ctx, q, "login")
	if err != nil {
		return nil, err
	}
	now := p.env.Now()
	key, err := p.passkeys.FinishCheck(ctx, now, nil, c.State, []byte(q.form.Get("response")))
	if errors.Is(err, factor.ErrWrong) || errors.Is(err, factor.ErrCloned) {
		if err := p.env.Audit(ctx, q.actor("").Entry(directory.AuditLoginFailed, "", clip(err.Error(), 200))); err != nil {
			return nil, err
		}
		a := p.loginForm(q, t, "")
		a.page.Error, a.status = noPasskey, http.StatusUnauthorized
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	if err := challenges.Return(ctx, now, q.network); err != nil {
		return nil, err
	}
	return p.signIn(ctx, q, key.UserID, []string{passkeyMethod(key), "mfa"})
}

// passkeyMethod tells a key that stays in its device from one that is copied to others (RFC 8176).
func passkeyMethod(key *factor.Passkey) string {
	if key.Credential.Flags.BackupEligible {
		return "swk"
	}
	return "hwk"
}

func personOf(user *directory.User) *factor.Person {
	name := user.Email
	if name == "" {
		name = user.Username
	}
	if name == "" {
		name = user.ID
	}
	display := user.Name
	if display == "" {
		display = name
	}
	return &factor.Person{ID: user.ID, Name: name, DisplayName: display}
}

func (p *People) secondChallenge(ctx context.Context, q *request) (*answer, error) {
	if err := p.takeChallenge(ctx, q); err != nil {
		return nil, err
	}
	h, err := q.half(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, &fault{http.StatusForbidden, "Please start again", "That took too long. Please sign in again."}
	}
	options, state, err := p.passkeys.BeginCheck(ctx, &factor.Person{ID: h.UserID})
	if errors.Is(err, factor.ErrWrong) {
		return nil, &fault{http.StatusBadRequest, "No passkeys", noPasskey}
	}
	if err != nil {
		return nil, err
	}
	return &answer{json: json.RawMessage(options)}, p.keepCeremony(ctx, q, "second", h.UserID, state)
}

func (p *People) secondPasskey(ctx context.Context, q *request) (*answer, error) {
	h, err := q.half(ctx)
	if err != nil {
		return nil, err
	}
	if h == nil || p.passkeys == nil {
		return q.redirect("/u/login"), nil
	}
	if err := p.takeSecond(ctx, q, h.UserID); err != nil {
		return nil, err
	}
	c, err := p.takeCeremony(ctx, q, "second")
	if err != nil {
		return nil, err
	}
	key, err := p.passkeys.FinishCheck(ctx, p.env.Now(), &factor.Person{ID: h.UserID}, c.State, []byte(q.form.Get("response")))
	if errors.Is(err, factor.ErrWrong) || errors.Is(err, factor.ErrCloned) {
		if err := p.wrongSecond(ctx, q, h.UserID, clip(err.Error(), 200)); err != nil {
			return nil, err
		}
		return p.secondForm(ctx, q, h, noPasskey)
	}
	if err != nil {
		return nil, err
	}
	return p.rightSecond(ctx, q, h, passkeyMethod(key), "mfa")
}
