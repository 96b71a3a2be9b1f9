package auth

import "strings"

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
