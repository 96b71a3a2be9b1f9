package auth

import (
	"net/http"
	"strings"
)

// BearerToken returns the bearer token of a request's headers (RFC 6750 section 2.1). It is empty when there is
// none, and when the credentials are of another scheme. The error is a *TokenError: the header is
// there several times, or announces a token and has none that can be one.
func BearerToken(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return "", malformed("several Authorization headers")
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, rest, _ := strings.Cut(strings.Trim(values[0], " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 section 11.1: case does not matter
		return "", nil
	}
	token := strings.Trim(rest, " ")
	switch {
	case token == "":
		return "", malformed("the Authorization header has no token")
	case !isToken68(token):
		return "", malformed("the Authorization header does not have one token after Bearer")
	}
	return token, nil
}

func malformed(reason string) error { return &TokenError{Reason: reason, Malformed: true} }

// isToken68 reports whether a text has the form of a token (RFC 9110 section 11.2).
func isToken68(text string) bool {
	body := strings.TrimRight(text, "=")
	for _, c := range []byte(body) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return body != ""
}
