package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
)

// token is a token that has been read, and not been verified.
type token struct {
	header, claims map[string]any
	algorithm      string
	signed         []byte // header and claims as they were sent
	signature      []byte
}

// maxToken bounds the tokens that are looked at, in bytes.
const maxToken = 16 << 10

// parse reads a token. The error is what Kong says of it after "Bad token; ".
func parse(raw []byte) (*token, string) {
	if len(raw) > maxToken {
		return nil, "invalid JSON"
	}
	first := bytes.IndexByte(raw, '.')
	if first < 0 {
		return nil, "invalid JSON"
	}
	second := bytes.IndexByte(raw[first+1:], '.')
	if second < 0 {
		return nil, "invalid JSON"
	}
	second += first + 1
	header, ok := decodeJSON(raw[:first])
	if !ok {
		return nil, "invalid JSON"
	}
	claims, ok := decodeJSON(raw[first+1 : second])
	if !ok {
		return nil, "invalid JSON"
	}
	t := &token{signed: raw[:second]}
	t.header, _ = header.(map[string]any)
	t.algorithm, _ = t.header["alg"].(string)
	if algorithms[t.algorithm] == nil {
		return nil, "invalid alg"
	}
	// What must be understood (RFC 7515 section 4.1.11) is not: there are no such extensions here.
	if _, critical := t.header["crit"]; critical {
		return nil, "invalid crit"
	}
	if t.claims, ok = claims.(map[string]any); !ok {
		return nil, "invalid claims"
	}
	if t.signature, ok = decodeBase64(raw[second+1:]); !ok {
		return nil, "invalid signature"
	}
	return t, ""
}

// decodeBase64 decodes base64url, with padding or without.
func decodeBase64(raw []byte) ([]byte, bool) {
	raw = bytes.TrimRight(raw, "=")
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(raw)))
	if bytes.ContainsAny(raw, "\r\n") { // which the decoder passes over
		return nil, false
	}
	n, err := base64.RawURLEncoding.Decode(decoded, raw)
	return decoded[:n], err == nil
}

func decodeJSON(raw []byte) (any, bool) {
	text, ok := decodeBase64(raw)
	if !ok {
		return nil, false
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&v); err != nil {
		return nil, false
	}
	_, err := dec.Token()
	return v, err == io.EOF
}

// times are the claims that are looked at each time, as far as they are there.
type times struct {
	exp, nbf       float64
	hasExp, hasNbf bool // they are numbers
	noExp, noNbf   bool // they are not there
}

func (t *token) times() (w times) {
	w.exp, w.hasExp = t.claims["exp"].(float64)
	w.nbf, w.hasNbf = t.claims["nbf"].(float64)
	w.noExp, w.noNbf = t.claims["exp"] == nil, t.claims["nbf"] == nil
	return w
}

// isFor reports whether the claim aud names one of an audience.
func (t *token) isFor(audience []string) bool {
	has := func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		for _, a := range audience {
			if a == s {
				return true
			}
		}
		return false
	}
	if list, ok := t.claims["aud"].([]any); ok {
		for _, v := range list {
			if has(v) {
				return true
			}
		}
		return false
	}
	return has(t.claims["aud"])
}

// bearer returns the token in the value of a header: what follows "bearer", which may have a capital B.
func bearer(value []byte) []byte {
	const word = "earer"
	for i := 0; i+len(word)+1 < len(value); i++ {
		if value[i]|0x20 != 'b' || string(value[i+1:i+1+len(word)]) != word {
			continue
		}
		rest := value[i+1+len(word):]
		trimmed := bytes.TrimLeft(rest, " \t")
		if len(trimmed) == len(rest) || len(trimmed) == 0 {
			continue
		}
		return trimmed
	}
	return nil
}

// shorten bounds what is quoted of a token.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
