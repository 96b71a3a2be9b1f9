package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
)

// signingAlgorithms are those by which tokens can be signed.
func signingAlgorithms() []string { return directory.Algorithms() }

// sign signs claims as a token of a type, by RS256 unless an algorithm is given.
func (p *Provider) sign(ctx context.Context, alg, typ string, claims map[string]any) (string, error) {
	if alg == "" {
		alg = directory.RS256
	}
	key, err := p.env.SigningKey(ctx, alg)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key.Key}, options)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed.CompactSerialize()
}

// Keys implements op.Server: the keys that sign, those that will, and those whose tokens are good still.
func (s *server) Keys(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	response, err := s.answer(ctx, func() (any, error) {
		// Clients that start before the first token want to find a key.
		if _, err := s.p.env.SigningKey(ctx, directory.RS256); err != nil {
			return nil, err
		}
		return s.p.env.PublicKeys(ctx)
	})
	if err != nil {
		return nil, err
	}
	// A key is published for much longer than this before it signs.
	response.Header.Set("Cache-Control", "public, max-age=300")
	return response, nil
}

// ownKeys are the provider's public keys; it is asked in a unit of work.
func (p *Provider) ownKeys(ctx context.Context, kid string) ([]auth.Key, error) {
	set, err := p.env.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	var keys []auth.Key
	for _, one := range set.Keys {
		if kid == "" || one.KeyID == kid {
			keys = append(keys, auth.Key{ID: one.KeyID, Algorithm: one.Algorithm, Public: one.Key})
		}
	}
	return keys, nil
}

// readAccess verifies an access token of the provider; nil when it is none, not good any more, or revoked.
func (p *Provider) readAccess(ctx context.Context, token string) (*auth.Principal, error) {
	who, err := p.own.Verify(ctx, token)
	if errors.Is(err, auth.ErrUnauthenticated) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	revoked, err := p.Revoked(ctx, who.Subject, text(who.Claims["jti"]))
	if err != nil || revoked {
		return nil, err
	}
	return who, nil
}

// text returns a claim that is a text.
func text(claim any) string {
	s, _ := claim.(string)
	return s
}

// hint is what an ID token says to a provider that gets it back.
type hint struct {
	Issuer  string    `json:"iss"`
	Subject string    `json:"sub"`
	Client  audiences `json:"aud"`
	Session string    `json:"sid"`
}

// readHint reads an ID token that comes back as a hint; nil when the provider has not issued it. It may have expired (OpenID
// Connect RP-Initiated Logout section 4), and it proves nothing but that.
func (p *Provider) readHint(ctx context.Context, text string) (*hint, error) {
	if len(text) > maxAssertion {
		return nil, nil
	}
	token, err := jose.ParseSignedCompact(text, asymmetric)
	if err != nil || len(token.Signatures) != 1 {
		return nil, nil
	}
	header := token.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != "JWT" || header.KeyID == "" {
		return nil, nil
	}
	keys, err := p.ownKeys(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Algorithm != header.Algorithm {
			continue
		}
		payload, err := token.Verify(key.Public)
		if err != nil {
			continue
		}
		h := &hint{}
		if json.Unmarshal(payload, h) == nil && h.Issuer == p.env.Issuer && h.Subject != "" && len(h.Client) == 1 {
			return h, nil
		}
	}
	return nil, nil
}
