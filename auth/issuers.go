package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Issuers returns an Authenticator for the tokens of several issuers. The verifier of the issuer that a token
// names is asked; it checks that as all else.
func Issuers(verifiers ...*Verifier) Authenticator {
	byName := map[string]*Verifier{}
	longest := 0
	for _, v := range verifiers {
		byName[v.Issuer()] = v
		longest = max(longest, v.config.MaxTokenBytes)
	}
	return AuthenticatorFunc(func(r *http.Request) (*Principal, error) {
		token, err := BearerToken(r.Header)
		if token == "" || err != nil {
			return nil, err
		}
		if len(token) > longest {
			return nil, refused(fmt.Errorf("it has more than %d bytes", longest))
		}
		issuer := claimedIssuer(token)
		v, ok := byName[issuer]
		if !ok {
			return nil, refused(fmt.Errorf("it is from the issuer %.200q, whose tokens are not accepted", issuer))
		}
		return v.Verify(r.Context(), token)
	})
}

// claimedIssuer returns the issuer that a token names, which nothing has verified; empty if it names none.
func claimedIssuer(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return ""
	}
	return claims.Issuer
}
