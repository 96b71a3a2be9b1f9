package auth

import (
	"context"
	"crypto/sha256"
)

// Cached returns the number of tokens that a verifier remembers.
func Cached(v *Verifier) int { return v.cache.len() }

// Remembers reports whether a verifier remembers a token.
func Remembers(v *Verifier, token string) bool {
	d := digest(sha256.Sum256([]byte(token)))
	v.cache.mu.Lock()
	defer v.cache.mu.Unlock()
	return v.cache.young[d] != nil || v.cache.old[d] != nil
}

// ParseJWKS reads a key set as a verifier does.
func ParseJWKS(document []byte) ([]Key, error) {
	return parseJWKS(document, func(string, error) {})
}

// ParseDiscovery reads a discovery document as a verifier does.
var ParseDiscovery = parseDiscovery

// Verifies reports whether a key is good for an algorithm.
func Verifies(k Key, algorithm string) bool { return k.verifies(algorithm) }

// KeysOf asks a verifier's source for keys.
func KeysOf(ctx context.Context, v *Verifier, kid string) ([]Key, error) {
	return v.keys.Keys(ctx, kid)
}

// ParseObject reads JSON as a verifier does.
var ParseObject = parseObject
