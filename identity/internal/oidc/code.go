package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

const (
	// codeTime is how long a code is good.
	codeTime = time.Minute
	// codeMemory is how long a code is remembered, so that it is noticed when it comes again.
	codeMemory = time.Hour
)

// code is a code of the authorization endpoint.
type code struct {
	Request directory.AuthRequest `json:"request"`
	Issued  time.Time             `json:"issued"`
	// Grant is the id of the tokens that it was exchanged for.
	Grant   string    `json:"grant,omitempty"`
	Used    time.Time `json:"used,omitzero"`
	Expires time.Time `json:"expires"`
}

// codes are by the digest of the code.
var codes = table.Of("perdure.codes", table.ExpiresAt(func(c *code) time.Time { return c.Expires }))

// digest is what is stored of a code or token.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// issueCode makes a code for a request whose user is known.
func (p *Provider) issueCode(ctx context.Context, req *directory.AuthRequest) (string, error) {
	text, now := directory.NewSecret(), p.env.Now()
	return text, codes.Insert(ctx, directory.Key(digest(text)), &code{Request: *req, Issued: now, Expires: now.Add(codeMemory)})
}

// noteClient notes in the user's session that an application was signed in to.
func (p *Provider) noteClient(ctx context.Context, req *directory.AuthRequest) error {
	if req.SessionID == "" {
		return nil
	}
	key := directory.Key(req.SessionID)
	session, err := directory.Sessions.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) || err == nil && (slices.Contains(session.Clients, req.ClientID) || len(session.Clients) >= 100) {
		return nil
	}
	if err != nil {
		return err
	}
	session.Clients = append(session.Clients, req.ClientID)
	return directory.Sessions.Put(ctx, key, session)
}

// CodeExchange implements op.Server.
func (s *server) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	return s.answer(ctx, func() (any, error) { return s.p.exchangeCode(ctx, clientOf(r.Client), r.Data) })
}

// exchangeCode exchanges a code for tokens, once (RFC 6749 section 4.1.3). A code that comes again
// takes its tokens with it (section 4.1.2). One that comes with a wrong verifier or redirect URI
// is used up: whoever holds it is not who asked for it.
func (p *Provider) exchangeCode(ctx context.Context, c *client, data *oidc.AccessTokenRequest) (*tokens, error) {
	bad := refuse(invalidGrant, "the code is not valid")
	if c.app == nil || len(data.Code) > 128 {
		return nil, bad
	}
	key := directory.Key(digest(data.Code))
	row, err := codes.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	if row.Request.ClientID != c.app.ClientID {
		return nil, bad
	}
	now, req := p.env.Now(), &row.Request
	if !row.Used.IsZero() {
		if row.Grant == "" {
			return nil, bad
		}
		if err := p.revokeGrant(ctx, row.Grant); err != nil {
			return nil, err
		}
		if err := p.note(ctx, directory.AuditReuse, req.UserID, row.Grant, c.app.ClientID, "a code came again: its tokens are revoked"); err != nil {
			return nil, err
		}
		return nil, bad
	}
	row.Used = now
	since, err := p.revokedSince(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	refused := bad
	switch {
	case row.Issued.Before(since):
	case now.Sub(row.Issued) > codeTime:
	case data.RedirectURI != req.RedirectURI:
		refused = refuse(invalidGrant, "the redirect_uri is not that of the request")
	case !verifies(req.Challenge, data.CodeVerifier):
		refused = refuse(invalidGrant, "the code_verifier is not that of the code_challenge")
	default:
		refused = nil
	}
	var user *directory.User
	if refused == nil {
		if user, err = activeUser(ctx, req.UserID); err != nil {
			return nil, err
		}
		if user == nil {
			refused = bad
		}
	}
	if refused != nil {
		if err := codes.Put(ctx, key, row); err != nil {
			return nil, err
		}
		return nil, refused
	}
	row.Grant = newGrantID()
	if err := codes.Put(ctx, key, row); err != nil {
		return nil, err
	}
	return p.userTokens(ctx, c.app, user, &signIn{
		Grant: row.Grant, Audience: req.Audience, Scopes: req.Scopes, Nonce: req.Nonce,
		AuthTime: req.AuthTime, Methods: req.Methods, SessionID: req.SessionID,
	})
}

// verifies reports whether a verifier is that of a challenge (RFC 7636 section 4.6). A verifier without a
// challenge is refused: it means that the request was replaced by one without (RFC 9700 section
// 4.8.2).
func verifies(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, unreserved) != "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// newGrantID returns the id that the tokens of one sign-in have in common.
func newGrantID() string { return rand.Text() }
