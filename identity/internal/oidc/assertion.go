package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

const (
	// maxAssertion bounds assertions, in bytes.
	maxAssertion = 16 << 10
	// maxAssertionLife is how far ahead an assertion may expire.
	maxAssertionLife = time.Hour + time.Minute
	// leeway is how much clocks may differ.
	leeway = 30 * time.Second
)

// replay is an assertion that has come; another time it is refused (RFC 7523 section 3, number 7).
type replay struct {
	Expires time.Time `json:"expires"`
}

// replays are by the digest of what makes an assertion one of its own.
var replays = table.Of("perdure.replays", table.ExpiresAt(func(r *replay) time.Time { return r.Expires }))

// assertionClaims are the claims of a client's assertion.
type assertionClaims struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Audience  audiences `json:"aud"`
	ID        string    `json:"jti"`
	Expires   *float64  `json:"exp"`
	IssuedAt  *float64  `json:"iat"`
	NotBefore *float64  `json:"nbf"`
}

// audiences is the claim "aud": one text or several.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// asymmetric are the algorithms of assertions: none by which a public key could be taken for a secret.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// assertedClient authenticates an application by an assertion that its own key has signed
// (private_key_jwt, RFC 7523 section 2.2).
func (p *Provider) assertedClient(ctx context.Context, id, assertion string) (*client, error) {
	claims, err := peek(assertion)
	if err != nil || claims.Issuer != claims.Subject || id != "" && claims.Issuer != id {
		return nil, errClient
	}
	app, err := application(ctx, claims.Issuer)
	if errors.Is(err, directory.ErrNotFound) || err == nil && (app.AuthMethod != directory.MethodPrivateKey || len(app.Keys) == 0) {
		return nil, errClient
	}
	if err != nil {
		return nil, err
	}
	if refused, err := p.checkAssertion(ctx, app, assertion); err != nil || refused != nil {
		if refused != nil {
			return nil, refuse(invalidClient, "the assertion is not valid: %s", refused.description)
		}
		return nil, err
	}
	return &client{app: app, authenticated: true}, nil
}

// peek reads the claims of a token whose signature nobody has checked.
func peek(token string) (*assertionClaims, error) {
	if len(token) > maxAssertion || strings.Count(token, ".") != 2 {
		return nil, errors.New("no token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, fmt.Errorf("no token: %w", err)
	}
	claims := &assertionClaims{}
	return claims, json.Unmarshal(payload, claims)
}

// checkAssertion checks an assertion of an application about itself, and that it comes once.
func (p *Provider) checkAssertion(ctx context.Context, app *directory.Application, assertion string) (*refusal, error) {
	bad := func(text string) (*refusal, error) { return refuse(invalidGrant, "%s", text), nil }
	if len(assertion) > maxAssertion {
		return bad("it is too long")
	}
	token, err := jose.ParseSignedCompact(assertion, asymmetric)
	if err != nil {
		return bad("it is no signed JWT")
	}
	payload, ok := verifyBy(app.Keys, token)
	if !ok {
		return bad("its signature is not by a key of the application")
	}
	claims := &assertionClaims{}
	if err := json.Unmarshal(payload, claims); err != nil {
		return bad("its claims cannot be read")
	}
	now := p.env.Now()
	at := func(seconds *float64) time.Time { return time.Unix(int64(*seconds), 0) }
	switch {
	case claims.Issuer != app.ClientID || claims.Subject != app.ClientID:
		return bad("iss and sub must be the client's id")
	case !slices.ContainsFunc(claims.Audience, p.isUs):
		return bad("aud must be the issuer or its token endpoint")
	case claims.Expires == nil:
		return bad("exp is missing")
	case !isTime(claims.Expires) || !isTime(claims.IssuedAt) || !isTime(claims.NotBefore):
		return bad("its times are no times")
	case !now.Before(at(claims.Expires).Add(leeway)):
		return bad("it has expired")
	case at(claims.Expires).Sub(now) > maxAssertionLife:
		return bad("it is good for more than an hour")
	case claims.IssuedAt != nil && at(claims.IssuedAt).After(now.Add(leeway)):
		return bad("it was issued in the future")
	case claims.NotBefore != nil && at(claims.NotBefore).After(now.Add(leeway)):
		return bad("it is not good yet")
	}
	// Some clients send no jti: then the assertion itself must not come again. What is signed is compared, since
	// a signature can be written in several ways.
	name := claims.Issuer + "\x00jti\x00" + claims.ID
	if claims.ID == "" {
		sum := sha256.Sum256(payload)
		name = claims.Issuer + "\x00payload\x00" + string(sum[:])
	}
	err = replays.Insert(ctx, directory.Key(digest(name)), &replay{Expires: at(claims.Expires).Add(leeway)})
	if errors.Is(err, table.ErrExists) {
		return bad("it has come before")
	}
	return nil, err
}

// isTime reports whether a claim is absent or a number of seconds that a time can have.
func isTime(seconds *float64) bool { return seconds == nil || *seconds >= 0 && *seconds <= 1e11 }

// isUs reports whether an audience is the provider.
func (p *Provider) isUs(audience string) bool {
	return audience == p.env.Issuer || audience == strings.TrimSuffix(p.env.Issuer, "/") || audience == p.url(PathToken) || slices.Contains(p.options.Audiences, audience)
}

// verifyBy verifies a token by one of some keys. A key that names its algorithm verifies that one alone.
func verifyBy(keys []json.RawMessage, token *jose.JSONWebSignature) (payload []byte, ok bool) {
	if len(token.Signatures) != 1 {
		return nil, false
	}
	header := token.Signatures[0].Protected
	for _, raw := range keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil {
			continue
		}
		if header.KeyID != "" && key.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm || key.Use == "enc" {
			continue
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}
