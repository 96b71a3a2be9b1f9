package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// defaultIDTokenLifetime is that of ID tokens for which the application says none.
const defaultIDTokenLifetime = 10 * time.Hour

// idToken issues an ID token (OpenID Connect Core section 2) that says who signed in.
func (p *Provider) idToken(ctx context.Context, app *directory.Application, user *directory.User, in *signIn, scopes []string, accessToken string) (string, error) {
	now, life := p.env.Now(), defaultIDTokenLifetime
	if app.IDTokenLifetime > 0 {
		life = time.Duration(app.IDTokenLifetime) * time.Second
	}
	claims := userClaims(user, scopes)
	claims["iss"], claims["aud"] = p.env.Issuer, app.ClientID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(life).Unix()
	if !in.AuthTime.IsZero() {
		claims["auth_time"] = in.AuthTime.Unix()
	}
	if in.Nonce != "" {
		claims["nonce"] = in.Nonce
	}
	if len(in.Methods) > 0 {
		claims["amr"] = in.Methods
	}
	if acr := acrOf(in.Methods); acr != "" {
		claims["acr"] = acr
	}
	if in.SessionID != "" {
		claims["sid"] = sidOf(in.SessionID)
	}
	alg := app.IDTokenAlg
	claims["at_hash"] = halfHash(alg, accessToken)
	return p.sign(ctx, alg, "JWT", claims)
}

// acrOf is the class of an authentication; empty for one factor.
func acrOf(methods []string) string {
	if slices.Contains(methods, "mfa") {
		return acrMFA
	}
	return ""
}

// sidOf is how ID tokens name a session. The session's own id stays with the provider.
func sidOf(sessionID string) string {
	sum := sha256.Sum256([]byte("sid " + sessionID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// halfHash is the at_hash of a token (OpenID Connect Core section 3.1.3.6).
func halfHash(alg, token string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "384"):
		s := sha512.Sum384([]byte(token))
		sum = s[:]
	case strings.HasSuffix(alg, "512"), alg == "EdDSA": // Ed25519 is built on SHA-512
		s := sha512.Sum512([]byte(token))
		sum = s[:]
	default:
		s := sha256.Sum256([]byte(token))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// userClaims are the standard claims of a user that scopes ask for (OpenID Connect Core section 5.4).
func userClaims(user *directory.User, scopes []string) map[string]any {
	claims := map[string]any{"sub": user.ID}
	text := func(name, value string) {
		if value != "" {
			claims[name] = value
		}
	}
	for _, scope := range scopes {
		switch scope {
		case scopeProfile:
			text("name", user.Name)
			text("given_name", user.GivenName)
			text("family_name", user.FamilyName)
			text("nickname", user.Nickname)
			text("preferred_username", user.Username)
			text("picture", user.Picture)
		case scopeEmail:
			text("email", user.Email)
			if user.Email != "" {
				claims["email_verified"] = user.EmailVerified
			}
		case scopePhone:
			text("phone_number", user.PhoneNumber)
			if user.PhoneNumber != "" {
				claims["phone_number_verified"] = user.PhoneVerified
			}
		}
	}
	return claims
}
