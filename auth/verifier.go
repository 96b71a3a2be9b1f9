package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
)

// Verifier verifies the access tokens of one issuer, and finds out by them who sent a request. It is
// safe for concurrent use.
//
// A token must be a JWT that is signed by a key of the issuer with an algorithm of that key, be from the
// issuer, for the audience, an access token (an ID token is none), and good at this time. What
// identifies ID tokens, where the issuer gives its access tokens no type of their own, is the type in the header or the
// claim "typ" or "token_use", a claim "nonce", "at_hash", "c_hash" or "s_hash", or that the token is
// for the very application that it was issued to and has no scope.
type Verifier struct {
	config VerifierConfig
	keys   KeySource
	cache  *cache
}

// NewVerifier returns a verifier. It checks the configuration; the issuer's keys are fetched when the first token comes.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	v := &Verifier{config: config, keys: config.Keys, cache: newCache(config.CacheSize)}
	if v.keys == nil {
		if v.keys, err = newRemoteKeys(config); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Issuer returns the issuer whose tokens are verified.
func (v *Verifier) Issuer() string { return v.config.Issuer }

// maxCandidates is how many keys are tried for a token that does not name its key.
const maxCandidates = 8

// Verify returns whom an access token is about. The error is a *TokenError, which matches ErrUnauthenticated, when the
// token is not good; any other error says that the keys of the issuer could not be had. The principal's lists and claims
// are shared with others who come with the same token: they must not be changed.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	p, err := v.verify(ctx, token)
	if err != nil && v.config.Log.Enabled(ctx, slog.LevelDebug) {
		v.config.Log.DebugContext(ctx, "token refused", "issuer", v.config.Issuer, "err", err, "cause", cause(err))
	}
	return p, err
}

func (v *Verifier) verify(ctx context.Context, token string) (*Principal, error) {
	if len(token) > v.config.MaxTokenBytes {
		return nil, refused(fmt.Errorf("it has more than %d bytes", v.config.MaxTokenBytes))
	}
	d := digest(sha256.Sum256([]byte(token)))
	if known := v.cache.get(d, v.config.Now()); known != nil {
		keys, err := v.keys.Keys(ctx, known.keyID)
		if err != nil {
			return nil, fmt.Errorf("auth: keys of %s: %w", v.config.Issuer, err)
		}
		if slices.ContainsFunc(keys, func(key Key) bool { return same(key.Public, known.key) }) {
			return known.principal.copy(), nil
		}
		v.cache.drop(d) // the key is gone: is there another of that name?
	}
	h, err := parseHeader(token, v.config.Algorithms)
	if err != nil {
		return nil, refused(err)
	}
	keys, err := v.candidates(ctx, h)
	if err != nil {
		return nil, err
	}
	payload, key, err := verifySignature(token, h.algorithm, keys)
	if err != nil {
		return nil, &TokenError{Reason: "the token is not accepted: its signature is not good", Cause: err}
	}
	known, err := v.examine(h, payload)
	if err != nil {
		return nil, refused(err)
	}
	known.keyID, known.key = h.keyID, key.Public
	v.cache.put(d, known)
	return known.principal.copy(), nil
}

// candidates returns the keys that can have signed a token.
func (v *Verifier) candidates(ctx context.Context, h header) ([]Key, error) {
	all, err := v.keys.Keys(ctx, h.keyID)
	if err != nil {
		return nil, fmt.Errorf("auth: keys of %s: %w", v.config.Issuer, err)
	}
	var keys []Key
	named := 0
	for _, key := range all {
		if h.keyID != "" && key.ID != h.keyID {
			continue
		}
		named++
		if key.verifies(h.algorithm) && len(keys) < maxCandidates {
			keys = append(keys, key)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case named > 0:
		return nil, refused(fmt.Errorf("its algorithm %s is not that of the key", h.algorithm))
	}
	return nil, refused(fmt.Errorf("the issuer has no key %.60q", h.keyID))
}

// examine reads the payload of a token whose signature is good.
func (v *Verifier) examine(h header, payload []byte) (*verified, error) {
	claims, err := parseObject(payload, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("its claims are not good: %w", err)
	}
	expires, err := v.config.checkClaims(claims)
	if err != nil {
		return nil, err
	}
	if err := v.config.checkType(h.typ, claims); err != nil {
		return nil, err
	}
	return &verified{principal: v.config.principal(claims, expires), until: expires}, nil
}

// Authenticate implements Authenticator by the bearer token in the header Authorization (RFC 6750 section 2.1).
// Tokens in forms and in queries, where they end in logs, do not count.
func (v *Verifier) Authenticate(r *http.Request) (*Principal, error) {
	token, err := BearerToken(r.Header)
	if token == "" || err != nil {
		return nil, err
	}
	return v.Verify(r.Context(), token)
}

// refused is the error about a token that is not good.
func refused(why error) error {
	return &TokenError{Reason: "the token is not accepted: " + why.Error(), Cause: errors.Unwrap(why)}
}

func cause(err error) error {
	if e := (*TokenError)(nil); errors.As(err, &e) {
		return e.Cause
	}
	return nil
}
