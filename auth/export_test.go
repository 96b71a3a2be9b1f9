package auth

import "context"

// Cached returns the number of tokens that a verifier remembers.
func Cached(v *Verifier) int { return v.cache.len() }

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
