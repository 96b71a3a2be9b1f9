package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// checkClaims checks the claims of a token whose signature is good (RFC 7519 section 4.1, RFC 9068 section 4).
func (c *VerifierConfig) checkClaims(claims map[string]any) (expires time.Time, err error) {
	if err := c.checkIssuer(claims["iss"]); err != nil {
		return expires, err
	}
	audiences, ok := texts(claims["aud"])
	if !ok && claims["aud"] != nil {
		return expires, errors.New("its audience is neither a string nor a list of strings")
	}
	if !c.AnyAudience && !slices.ContainsFunc(audiences, func(one string) bool { return slices.Contains(c.Audiences, one) }) {
		return expires, fmt.Errorf("it is for the audience %s, and this is %s", quoted(audiences), quoted(c.Audiences))
	}
	if subject, ok := claims["sub"].(string); !ok || subject == "" {
		return expires, errors.New("it has no subject")
	}
	if _, bound := claims["cnf"]; bound { // RFC 9449 section 7.1: as a bearer token it would be good for a thief
		return expires, errors.New("it is bound to a key of its sender, which is not supported")
	}
	return c.checkTimes(claims)
}

func (c *VerifierConfig) checkIssuer(claim any) error {
	issuer, ok := claim.(string)
	switch {
	case !ok:
		return errors.New("it has no issuer")
	case issuer == c.Issuer:
		return nil
	case strings.TrimSuffix(issuer, "/") == strings.TrimSuffix(c.Issuer, "/"):
		return fmt.Errorf("it is from the issuer %.200q, and %.200q is expected: they differ in the trailing slash alone", issuer, c.Issuer)
	}
	return fmt.Errorf("it is from the issuer %.200q, and %.200q is expected", issuer, c.Issuer)
}

func (c *VerifierConfig) checkTimes(claims map[string]any) (expires time.Time, err error) {
	now := c.Now()
	expires, found, err := date(claims, "exp")
	switch {
	case err != nil:
		return expires, err
	case !found:
		return expires, errors.New("it never expires")
	case !now.Before(expires.Add(c.Leeway)):
		return expires, fmt.Errorf("it expired at %s", expires.UTC().Format(time.RFC3339))
	}
	for _, from := range []struct{ claim, text string }{{"nbf", "is not good before"}, {"iat", "is issued in the future, at"}} {
		at, found, err := date(claims, from.claim)
		if err != nil {
			return expires, err
		}
		if found && now.Before(at.Add(-c.Leeway)) {
			return expires, fmt.Errorf("it %s %s", from.text, at.UTC().Format(time.RFC3339))
		}
	}
	return expires, nil
}

// date reads a NumericDate: seconds since 1970, which may have a fraction.
func date(claims map[string]any, name string) (at time.Time, found bool, err error) {
	value, found := claims[name]
	if !found {
		return at, false, nil
	}
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1e11 {
		return at, true, fmt.Errorf("its claim %q is not a time", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, nil
}

// checkType refuses what is not an access token. A header "typ" of "at+jwt" says that it is one
// (RFC 9068); without a type, and for the type "JWT", which most issuers use for all their tokens, the claims
// tell (see notAccess).
func (c *VerifierConfig) checkType(typ string, claims map[string]any) error {
	short := strings.TrimPrefix(strings.ToLower(typ), "application/")
	switch {
	case short == "at+jwt":
		return nil
	case c.RequireTypedTokens:
		return fmt.Errorf(`its type is %.40q, and "at+jwt" is needed`, typ)
	case short != "" && short != "jwt":
		return fmt.Errorf("its type %.40q is not that of an access token", typ)
	}
	if why := notAccess(claims); why != "" {
		return fmt.Errorf("it is not an access token: %s", why)
	}
	return nil
}

// notAccess says by what a token without a type of its own is recognized as something else than an access token; empty
// if it can be one. That the audience of an ID token is the application, and not the API, is checked before.
func notAccess(claims map[string]any) string {
	switch typ, _ := claims["typ"].(string); strings.ToLower(typ) { // of Keycloak
	case "bearer":
		return "" // older ones of these have a nonce
	case "":
	default:
		return fmt.Sprintf("its claim typ is %.40q", typ)
	}
	if use, ok := claims["token_use"].(string); ok && use != "access" { // of Amazon Cognito
		return fmt.Sprintf("its claim token_use is %.40q", use)
	}
	for _, name := range []string{
		"nonce", "at_hash", "c_hash", "s_hash", // OpenID Connect Core, 2 and 3.3.2.11: of ID tokens
		"events", // RFC 8417: of security events, logout tokens among them
	} {
		if _, ok := claims[name]; ok {
			return "it has the claim " + name
		}
	}
	audiences, _ := texts(claims["aud"])
	client := clientID(claims)
	if len(audiences) == 1 && audiences[0] == client && !marked(claims) {
		return "it is for the application that it was issued to, and has no scope"
	}
	return ""
}

// marked reports whether a token has a claim that access tokens have, and ID tokens do not.
func marked(claims map[string]any) bool {
	return slices.ContainsFunc([]string{"scope", "scp", "permissions", "client_id", "azpacr", "appidacr", "idtyp"}, func(name string) bool {
		_, ok := claims[name]
		return ok
	})
}

// quoted writes a list for an error, as far as it is short.
func quoted(texts []string) string {
	const most = 3
	var parts []string
	for i, one := range texts {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%.100q", one))
	}
	if len(parts) == 0 {
		return "nobody"
	}
	return strings.Join(parts, ", ")
}
