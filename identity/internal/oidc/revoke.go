package oidc

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

// revocation is that a token, or all of a sign-in, is not good any more; of a subject, that nothing is that it was
// given before Since.
type revocation struct {
	Since   time.Time `json:"since,omitzero"`
	Expires time.Time `json:"expires"`
}

// revocations are by the id of a token, by that of the grant with which the ids of its tokens begin, and by subject.
var revocations = table.Of("perdure.revocations", table.ExpiresAt(func(r *revocation) time.Time { return r.Expires }))

// Revoked reports whether the access token of a subject and an id was revoked, in the unit of work of ctx. Whoever only
// looks at a token's signature does not know.
func (p *Provider) Revoked(ctx context.Context, subject, tokenID string) (bool, error) {
	for _, id := range []string{tokenID, grantOfToken(tokenID)} {
		if id == "" || len(id) > directory.MaxID {
			continue
		}
		_, err := revocations.Get(ctx, directory.Key(id))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, directory.ErrNotFound) {
			return false, err
		}
	}
	since, err := p.revokedSince(ctx, subject)
	return issuedAt(tokenID).Before(since), err
}

// revokedSince is when everything was revoked that a subject had; zero if it never was.
func (p *Provider) revokedSince(ctx context.Context, subject string) (time.Time, error) {
	if subject == "" || len(subject) > directory.MaxID {
		return time.Time{}, nil
	}
	row, err := revocations.Get(ctx, directory.Key(subject))
	if errors.Is(err, directory.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return row.Since, nil
}

// tokenID makes the id of an access token of a grant, which may be empty. It ends in the time: "iat" has whole seconds,
// in which a token from before and one from after a revocation look the same.
func tokenID(grant string, now time.Time) string {
	id := newGrantID() + "." + strconv.FormatInt(now.UnixNano(), 36)
	if grant != "" {
		id = grant + "." + id
	}
	return id
}

// issuedAt is the time in the id of an access token; zero, which is before everything, if it has none.
func issuedAt(tokenID string) time.Time {
	nanos, err := strconv.ParseInt(tokenID[strings.LastIndexByte(tokenID, '.')+1:], 36, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// grantOfToken is the id of the sign-in that a token came of.
func grantOfToken(tokenID string) string {
	grant, _, _ := strings.Cut(tokenID, ".")
	return grant
}

// forget revokes a token or a grant by its id.
func (p *Provider) forget(ctx context.Context, id string) error {
	return revocations.Put(ctx, directory.Key(id), &revocation{Expires: p.env.Now().Add(maxLifetime)})
}

// revokeGrant revokes all tokens of a sign-in.
func (p *Provider) revokeGrant(ctx context.Context, id string) error {
	if err := p.forget(ctx, id); err != nil {
		return err
	}
	f, err := families.Get(ctx, directory.Key(id))
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if f.Revoked.IsZero() {
		f.Revoked = p.env.Now()
		return families.Put(ctx, directory.Key(id), f)
	}
	return nil
}

// RevokeUser revokes what applications have of a user, in the unit of work of ctx: when the user is blocked, or has a
// new password. That are the tokens, and the codes and devices for which there are none yet. A session that is not empty
// limits it to the refresh tokens of that session, and what came of them.
func (p *Provider) RevokeUser(ctx context.Context, userID, sessionID string) error {
	if sessionID != "" {
		return p.revokeFamilies(ctx, userID, func(f *family) bool { return f.SessionID == sessionID })
	}
	return p.RevokeOthers(ctx, userID, "")
}

// RevokeOthers is RevokeUser, but for the refresh tokens of a session: with these, its applications go on.
func (p *Provider) RevokeOthers(ctx context.Context, userID, sessionID string) error {
	now := p.env.Now()
	err := revocations.Put(ctx, directory.Key(userID), &revocation{Since: now, Expires: now.Add(maxLifetime)})
	if err != nil {
		return err
	}
	return p.revokeFamilies(ctx, userID, func(f *family) bool { return sessionID == "" || f.SessionID != sessionID })
}

func (p *Provider) revokeFamilies(ctx context.Context, userID string, which func(*family) bool) error {
	var ids []string
	for row, err := range families.ScanIndex(ctx, familiesByUser.Equal(userID)) {
		if err != nil {
			return err
		}
		if row.Value.Revoked.IsZero() && which(row.Value) {
			ids = append(ids, row.Value.ID)
		}
	}
	for _, id := range ids {
		if err := p.revokeGrant(ctx, id); err != nil {
			return err
		}
		if err := p.note(ctx, directory.AuditTokenRevoked, userID, id, "", ""); err != nil {
			return err
		}
	}
	return nil
}

// forgetUser ends what applications have of a user who is deleted.
func (p *Provider) forgetUser(ctx context.Context, userID string) error {
	if err := p.RevokeUser(ctx, userID, ""); err != nil {
		return err
	}
	var keys []string
	for row, err := range consents.Scan(ctx, userID) {
		if err != nil {
			return err
		}
		keys = append(keys, row.Key.String())
	}
	for _, key := range keys {
		if err := consents.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Revocation implements op.Server (RFC 7009). That a token is unknown, or another client's, is no error: it is of
// no use to the client either way.
func (s *server) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return nil, s.p.revoke(ctx, clientOf(r.Client), r.Data.Token) })
}

func (p *Provider) revoke(ctx context.Context, c *client, token string) error {
	_, f, err := familyOf(ctx, token)
	if err == nil {
		if f.ClientID != c.GetID() || !f.Revoked.IsZero() {
			return nil
		}
		if err := p.revokeGrant(ctx, f.ID); err != nil {
			return err
		}
		return p.note(ctx, directory.AuditTokenRevoked, f.UserID, f.ID, c.GetID(), "")
	}
	if !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	who, err := p.readAccess(ctx, token)
	if err != nil || who == nil || who.ClientID != c.GetID() {
		return err
	}
	id := text(who.Claims["jti"])
	if err := p.forget(ctx, id); err != nil {
		return err
	}
	return p.note(ctx, directory.AuditTokenRevoked, who.Subject, id, c.GetID(), "")
}
