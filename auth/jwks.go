package auth

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// maxKeys is how many keys an issuer may have.
const maxKeys = 100

// parseJWKS reads the keys of an issuer (RFC 7517). Keys that verify nothing are left out, and told to skipped with the
// reason: a set may have keys for other ends, and of kinds that are not known yet.
func parseJWKS(document []byte, skipped func(kid string, why error)) ([]Key, error) {
	object, err := parseObject(document, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("the key set is not good: %w", err)
	}
	list, ok := object["keys"].([]any)
	if !ok {
		return nil, errors.New("the key set has no keys")
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, more than %d", len(list), maxKeys)
	}
	keys := []Key{}
	for _, one := range list {
		members, _ := one.(map[string]any)
		key, err := parseJWK(members)
		if err == nil {
			err = key.check()
		}
		if err != nil {
			kid, _ := members["kid"].(string)
			skipped(kid, err)
			continue
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parseJWK reads one public key.
func parseJWK(members map[string]any) (Key, error) {
	if use, ok := members["use"]; ok && use != "sig" {
		return Key{}, fmt.Errorf("it is for the use %.20q", fmt.Sprint(use))
	}
	if operations, ok := members["key_ops"].([]any); ok && !contains(operations, "verify") {
		return Key{}, errors.New("it is not for the operation verify")
	}
	for _, secret := range []string{"d", "k", "p", "q", "priv"} {
		if _, ok := members[secret]; ok {
			return Key{}, errors.New("it is not public, so that anybody can sign with it")
		}
	}
	// Certificates that come along prove nothing that the connection has not proved, and are not parsed.
	plain := map[string]any{}
	for _, name := range []string{"kty", "kid", "alg", "n", "e", "crv", "x", "y"} {
		if value, ok := members[name]; ok {
			plain[name] = value
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return Key{}, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil {
		return Key{}, err
	}
	return Key{ID: key.KeyID, Algorithm: key.Algorithm, Public: crypto.PublicKey(key.Key)}, nil
}

func contains(list []any, text string) bool {
	for _, one := range list {
		if one == text {
			return true
		}
	}
	return false
}
