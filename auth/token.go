package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxDepth is how deeply the header and the claims of a token may be nested.
const maxDepth = 16

// maxKeyID is the size of the longest id of a key.
const maxKeyID = 512

// header is what a verifier takes from the header of a token. It takes nothing else: not "jwk", "jku",
// "x5u" and "x5c", by which a token would bring its own key (RFC 8725 section 3.10).
type header struct {
	algorithm, keyID, typ string
}

// parseHeader reads the header of a token in JWS compact serialization and checks the form of the
// whole token.
func parseHeader(token string, accepted []string) (h header, err error) {
	switch dots := strings.Count(token, "."); {
	case strings.HasPrefix(token, "{"):
		return h, errors.New("it is in JSON serialization; the compact one is needed")
	case dots == 4:
		return h, errors.New("it is encrypted; a signed one is needed")
	case dots != 2:
		return h, errors.New("it is not a JWT")
	}
	for part := range strings.SplitSeq(token, ".") {
		if !isBase64URL(part) {
			return h, errors.New("it is not base64url")
		}
	}
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return h, fmt.Errorf("its header is not base64url: %w", err)
	}
	object, err := parseObject(raw, maxDepth)
	if err != nil {
		return h, fmt.Errorf("its header is not good: %w", err)
	}
	return readHeader(object, accepted)
}

func readHeader(object map[string]any, accepted []string) (h header, err error) {
	for _, member := range []struct {
		name string
		to   *string
	}{{"alg", &h.algorithm}, {"kid", &h.keyID}, {"typ", &h.typ}} {
		if value, ok := object[member.name]; ok {
			if *member.to, ok = value.(string); !ok {
				return h, fmt.Errorf("%q in its header is not a string", member.name)
			}
		}
	}
	// None of the extensions of RFC 7515 is understood; "b64" changes what is signed, also without "crit".
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, ok := object[name]; ok {
			return h, fmt.Errorf("its header has %q, which is not supported", name)
		}
	}
	if !slices.Contains(accepted, h.algorithm) {
		return h, fmt.Errorf("its algorithm %.20q is not accepted", h.algorithm)
	}
	if len(h.keyID) > maxKeyID {
		return h, errors.New("the key id in its header is too long")
	}
	return h, nil
}

// isBase64URL reports whether a text is the one way to write its bytes in base64url without padding (RFC 7515 section 2).
// Go's decoder passes over line ends and over bits that are left in the last character, so that one signature
// could be written in several ways.
func isBase64URL(text string) bool {
	last := byte(0)
	for _, c := range []byte(text) {
		switch {
		case c >= 'A' && c <= 'Z':
			last = c - 'A'
		case c >= 'a' && c <= 'z':
			last = c - 'a' + 26
		case c >= '0' && c <= '9':
			last = c - '0' + 52
		case c == '-':
			last = 62
		case c == '_':
			last = 63
		default:
			return false
		}
	}
	switch len(text) % 4 {
	case 1:
		return false
	case 2:
		return last&0x0f == 0
	case 3:
		return last&0x03 == 0
	}
	return true
}

// verifySignature returns the payload of a token that a key has signed.
func verifySignature(token, algorithm string, keys []Key) ([]byte, Key, error) {
	algorithms := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, Key{}, err
	}
	for _, key := range keys {
		var payload []byte
		if payload, err = signed.Verify(key.Public); err == nil {
			return payload, key, nil
		}
	}
	return nil, Key{}, err
}
