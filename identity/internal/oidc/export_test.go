package oidc

import "github.com/perdure/perdure/identity/internal/directory"

// The parsers of what comes from outside, for fuzzing.
var (
	Redirects  = redirects
	NormalCode = normalCode
	Words      = words
)

// ParseBody reads a body; ok says whether it is one.
func ParseBody(contentType string, body []byte) (values map[string][]string, ok bool) {
	v, refused := parseBody(contentType, body)
	return v, refused == nil
}

// Peek reads the claims of a token that nobody has verified.
func Peek(token string) (issuer, subject string, err error) {
	claims, err := peek(token)
	if err != nil {
		return "", "", err
	}
	return claims.Issuer, claims.Subject, nil
}

// ParseAuthRequest reads a request to sign in; the code is that of the refusal.
func ParseAuthRequest(p *Provider, app *directory.Application, form map[string][]string) (r *directory.AuthRequest, code string) {
	r, refused := parseAuthRequest(app, form, p.env.Now())
	if refused != nil {
		return r, refused.code
	}
	return r, ""
}
