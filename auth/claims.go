package auth

import (
	"slices"
	"strings"
	"time"
)

// principal makes a principal of the claims of a token.
func (c *VerifierConfig) principal(claims map[string]any, expires time.Time) *Principal {
	p := &Principal{
		Name: nameOf(c.NameClaim, claims), ClientID: clientID(claims),
		Permissions: list(claims, c.PermissionsClaim, "permissions"),
		Scopes:      list(claims, c.ScopesClaim, "scope", "scp"),
		Roles:       list(claims, c.RolesClaim, "roles"),
		Expires:     expires, Claims: claims,
	}
	p.Subject, _ = claims["sub"].(string)
	p.Issuer, _ = claims["iss"].(string)
	return p
}

// nameOf finds out what to call a principal.
func nameOf(first string, claims map[string]any) string {
	for _, claim := range []string{first, "name", "preferred_username", "nickname", "email"} {
		value, _ := lookUp(claims, claim)
		if text, ok := value.(string); ok && text != "" {
			return text
		}
	}
	subject, _ := claims["sub"].(string)
	if id := clientID(claims); subject == "" || subject == id+"@clients" { // Auth0's subject of an application
		return id
	}
	return subject
}

// clientID returns the application that a token was issued to: the last two claims are those of Entra's older tokens
// and of Okta.
func clientID(claims map[string]any) string {
	for _, claim := range []string{"client_id", "azp", "appid", "cid"} {
		if text, ok := claims[claim].(string); ok && text != "" {
			return text
		}
	}
	return ""
}

// list reads the claim that is configured, or else the first of the others that there is: a list of strings, or
// one string with spaces between its words.
func list(claims map[string]any, configured string, others ...string) []string {
	if configured != "" {
		others = []string{configured}
	}
	for _, name := range others {
		value, ok := lookUp(claims, name)
		if !ok {
			continue
		}
		names, _ := texts(value)
		if text, ok := value.(string); ok {
			names = strings.Fields(text)
		}
		slices.Sort(names)
		return slices.Clip(slices.Compact(names))
	}
	return nil
}

// texts reads a string or a list of strings, and reports whether it is one.
func texts(value any) ([]string, bool) {
	switch value := value.(type) {
	case string:
		return []string{value}, true
	case []any:
		names := make([]string, 0, len(value))
		for _, one := range value {
			text, ok := one.(string)
			if !ok {
				return nil, false
			}
			names = append(names, text)
		}
		return names, true
	}
	return nil, false
}

// lookUp finds a claim: the one of the name, or else, for "realm_access.roles", the member "roles" of the
// claim "realm_access". The whole name goes first, since names may be URLs.
func lookUp(claims map[string]any, name string) (any, bool) {
	if value, ok := claims[name]; ok {
		return value, true
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil, false
	}
	inner, ok := claims[first].(map[string]any)
	if !ok {
		return nil, false
	}
	return lookUp(inner, rest)
}
