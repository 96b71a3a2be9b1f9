package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"
)

// Key is a public key of an issuer.
type Key struct {
	// ID is its name in the header of tokens ("kid"); empty if it has none.
	ID string
	// Algorithm, if it is not empty, is the only one that the key verifies.
	Algorithm string
	// Public is an *rsa.PublicKey of at least 2048 bits, an *ecdsa.PublicKey on P-256, P-384 or
	// P-521, or an ed25519.PublicKey. Other keys verify nothing.
	Public crypto.PublicKey
}

// KeySource gives the public keys of an issuer. It is asked for each token, also for one that was verified
// before: a key that it no longer gives verifies nothing more from then on.
type KeySource interface {
	// Keys returns the keys with an id, all keys for an empty one. It returns none, and no error, when
	// the issuer has no such key. The caller does not change them.
	Keys(ctx context.Context, kid string) ([]Key, error)
}

// KeySourceFunc is a KeySource.
type KeySourceFunc func(ctx context.Context, kid string) ([]Key, error)

// Keys implements KeySource.
func (f KeySourceFunc) Keys(ctx context.Context, kid string) ([]Key, error) { return f(ctx, kid) }

// StaticKeys is a KeySource of keys that never change.
func StaticKeys(keys ...Key) KeySource {
	set := newKeySet(slices.Clone(keys))
	return KeySourceFunc(func(_ context.Context, kid string) ([]Key, error) { return set.get(kid), nil })
}

// keySet finds keys by their ids.
type keySet struct {
	all  []Key
	byID map[string][]Key
}

func newKeySet(keys []Key) *keySet {
	set := &keySet{all: keys, byID: map[string][]Key{}}
	for _, key := range keys {
		set.byID[key.ID] = append(set.byID[key.ID], key)
	}
	return set
}

func (s *keySet) get(kid string) []Key {
	if kid == "" {
		return s.all
	}
	return s.byID[kid]
}

// algorithms are those that a verifier can accept. The ones that sign by a shared secret (HS256) are not among
// them: where they are accepted beside the others, a public key is taken for a secret (RFC 8725 section 2.1).
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const (
	minRSABits = 2048
	maxRSABits = 8192 // larger ones cost more to verify than they are worth
)

// verifies reports whether a key is good for an algorithm.
func (k Key) verifies(algorithm string) bool {
	named := k.Algorithm
	if named == "Ed25519" { // RFC 9864 calls it so in keys
		named = "EdDSA"
	}
	return (named == "" || named == algorithm) && slices.Contains(algorithmsOf(k.Public), algorithm)
}

// algorithmsOf returns the algorithms of a kind of key; none for a key that is weak or unknown.
func algorithmsOf(public crypto.PublicKey) []string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= minRSABits && bits <= maxRSABits && key.E >= 3 && key.E%2 == 1 {
			return algorithms[:6]
		}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return algorithms[6:7]
		case elliptic.P384():
			return algorithms[7:8]
		case elliptic.P521():
			return algorithms[8:9]
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return algorithms[9:]
		}
	}
	return nil
}

// check says why a key of an issuer verifies nothing.
func (k Key) check() error {
	if rsaKey, ok := k.Public.(*rsa.PublicKey); ok && rsaKey.N.BitLen() < minRSABits {
		return fmt.Errorf("an RSA key of %d bits is too weak: %d are needed", rsaKey.N.BitLen(), minRSABits)
	}
	if !slices.ContainsFunc(algorithms, k.verifies) {
		return fmt.Errorf("a key of type %T for the algorithm %q verifies nothing", k.Public, k.Algorithm)
	}
	return nil
}

// same reports whether two keys are equal, whatever they are called.
func same(a, b crypto.PublicKey) bool {
	switch a := a.(type) { // most often it is the very same: comparing RSA keys takes memory
	case *rsa.PublicKey:
		if b, ok := b.(*rsa.PublicKey); ok && a == b {
			return true
		}
	case *ecdsa.PublicKey:
		if b, ok := b.(*ecdsa.PublicKey); ok && a == b {
			return true
		}
	}
	key, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
