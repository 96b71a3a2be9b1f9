package directory

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of what is kept.
const (
	MaxText        = 300      // characters of a name
	MaxDescription = 500      // characters
	MaxURL         = 2048     // bytes of a URL
	MaxMetadata    = 64 << 10 // bytes of metadata as JSON
	MaxEmail       = 254      // bytes of an e-mail address (RFC 5321)
	MaxUsername    = 64
	MaxIdentifier  = 256 // bytes of an API's identifier
	MaxPermission  = 280 // bytes of a permission
	MaxSubject     = 255 // bytes of a subject at an issuer upstream
	MaxID          = 160 // bytes of an id

	MaxPermissionsOfAPI  = 1000
	MaxPermissionsOfRole = 1000
	MaxDirectPermissions = 200
	MaxRolesOfPrincipal  = 50
	MaxIdentities        = 10
	MaxURLsOfApplication = 100
	MaxTrustRules        = 20
	MaxConnections       = 100 // that an application names
	MaxClients           = 1000
	maxMetadataDepth     = 20
)

// checkText bounds s, which may not have characters that are not seen.
func checkText(field, s string, least, most int) error {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s):
		return invalid(field, "it is not UTF-8")
	case n < least:
		return invalid(field, "it is missing")
	case n > most:
		return invalid(field, "it has %d characters, at most %d are allowed", n, most)
	}
	for _, r := range s {
		if unicode.IsControl(r) || isInvisible(r) {
			return invalid(field, "it has the invisible character %U", r)
		}
	}
	if s != strings.TrimSpace(s) {
		return invalid(field, "it begins or ends with a space")
	}
	return nil
}

// isInvisible reports whether r changes what others look like: by it two names that differ
// could look the same.
func isInvisible(r rune) bool {
	switch {
	case r == 0x200B, r == 0x2060, r == 0xFEFF, r == 0x00AD, r == 0x2028, r == 0x2029: // no width, breaks
		return true
	case r == 0x200E, r == 0x200F, r == 0x061C, 0x202A <= r && r <= 0x202E, 0x2066 <= r && r <= 0x2069: // direction
		return true
	case r == 0x3164, r == 0xFFA0, r == 0x115F, r == 0x1160, r == 0x180E, 0xE0000 <= r && r <= 0xE0FFF: // fillers, tags
		return true
	}
	return false
}

// canonicalEmail returns an address as it is compared: in lower case.
func canonicalEmail(address string) string { return strings.ToLower(address) }

// CheckEmail reports what is wrong with an e-mail address. Only ASCII is allowed: other letters
// look like these, or become these in lower case, and would be somebody else's address.
func CheckEmail(field, address string) error {
	switch {
	case address == "":
		return invalid(field, "it is missing")
	case len(address) > MaxEmail:
		return invalid(field, "it has %d bytes, at most %d are allowed", len(address), MaxEmail)
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7F {
			return invalid(field, "%q is no e-mail address: only printable ASCII is allowed; write a domain of other letters in its xn-- form", address)
		}
	}
	local, domain, _ := strings.Cut(address, "@")
	parsed, err := mail.ParseAddress(address)
	switch {
	case err != nil || parsed.Name != "" || parsed.Address != address || strings.ContainsAny(address, `<>()[]:;,\"`):
		return invalid(field, "%q is no e-mail address such as name@example.org", address)
	case len(local) > 64:
		return invalid(field, "the part before the @ has %d bytes, at most 64 are allowed", len(local))
	case strings.Contains(domain, "@") || !domainName.MatchString(domain):
		return invalid(field, "%q has no domain such as example.org", address)
	}
	return nil
}

var (
	domainName     = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	userName       = regexp.MustCompile(`^[A-Za-z0-9_+.!#$'^~-]+$`)
	phoneNumber    = regexp.MustCompile(`^\+[0-9]{1,15}$`)
	idText         = regexp.MustCompile(`^[A-Za-z0-9_.~|:@-]+$`)
	clientID       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	permission     = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // a scope-token of RFC 6749
	connectionName = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
)

func checkUsername(field, name string) error {
	switch {
	case len(name) > MaxUsername:
		return invalid(field, "it has %d bytes, at most %d are allowed", len(name), MaxUsername)
	case !userName.MatchString(name):
		return invalid(field, "%q is no username: letters and digits of ASCII and _+-.!#$'^~ are allowed", name)
	}
	return nil
}

func checkPermission(field, name string) error {
	switch {
	case name == "":
		return invalid(field, "it is missing")
	case len(name) > MaxPermission:
		return invalid(field, "it has %d bytes, at most %d are allowed", len(name), MaxPermission)
	case !permission.MatchString(name):
		return invalid(field, `%q is no permission such as "read:files": printable ASCII without spaces, quotes and backslashes is allowed`, name)
	}
	return nil
}

func checkIdentifier(field, id string) error {
	switch {
	case id == "":
		return invalid(field, "it is missing")
	case len(id) > MaxIdentifier:
		return invalid(field, "it has %d bytes, at most %d are allowed", len(id), MaxIdentifier)
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7F || c == '"' || c == '\\' {
			return invalid(field, `%q is no identifier such as "https://api.example.org/": printable ASCII without spaces, quotes and backslashes is allowed`, id)
		}
	}
	return nil
}

// checkMetadata bounds what administrators and users keep with something.
func checkMetadata(field string, m map[string]any) error {
	if len(m) == 0 {
		return nil
	}
	if depth(m, maxMetadataDepth) < 0 {
		return invalid(field, "it is nested deeper than %d", maxMetadataDepth)
	}
	b, err := json.Marshal(m)
	switch {
	case err != nil:
		return invalid(field, "it is no JSON: %v", err)
	case len(b) > MaxMetadata:
		return invalid(field, "it has %d bytes as JSON, at most %d are allowed", len(b), MaxMetadata)
	}
	return nil
}

// depth returns what is left of a depth below v; less than zero when v is deeper.
func depth(v any, left int) int {
	if left < 0 {
		return left
	}
	least := left
	switch v := v.(type) {
	case map[string]any:
		for _, one := range v {
			least = min(least, depth(one, left-1))
		}
	case []any:
		for _, one := range v {
			least = min(least, depth(one, left-1))
		}
	}
	return least
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// checkURL wants an absolute URL of the web without user, fragment and wildcards: https, or http to
// this machine.
func checkURL(field, s string) (*url.URL, error) {
	if len(s) > MaxURL {
		return nil, invalid(field, "it has %d bytes, at most %d are allowed", len(s), MaxURL)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F || c == '\\' || c == '*' {
			return nil, invalid(field, "%q has a character that no URL here may have: spaces, wildcards, backslashes and letters outside ASCII are written in percent", s)
		}
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || !u.IsAbs():
		return nil, invalid(field, `%q is no absolute URL such as "https://app.example.org/callback"`, s)
	case u.Fragment != "" || strings.Contains(s, "#"):
		return nil, invalid(field, "%q has a fragment (#)", s)
	case u.User != nil:
		return nil, invalid(field, "%q has a user name", u.Redacted())
	}
	return u, nil
}

// checkWebURL is checkURL for https, and for http to this machine.
func checkWebURL(field, s string) error {
	u, err := checkURL(field, s)
	switch {
	case err != nil:
		return err
	case u.Hostname() == "" || u.Opaque != "":
		return invalid(field, "%q names no host", s)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return invalid(field, "%q is not encrypted: http is for this machine alone (localhost), others need https", s)
	}
	return invalid(field, "%q is neither https nor http to this machine", s)
}

// checkRedirect is the rule for where browsers are sent with a code.
func checkRedirect(field, s, appType string) error {
	u, err := checkURL(field, s)
	if err != nil {
		return err
	}
	if u.Scheme == "https" || u.Scheme == "http" {
		return checkWebURL(field, s)
	}
	// RFC 8252 section 7.1: the scheme of a native application is a domain name backwards. So no
	// scheme that a browser knows (javascript, data, file, …) is one.
	if appType != "native" || !strings.Contains(u.Scheme, ".") {
		return invalid(field, `%q has the scheme %q: https is allowed, http to this machine, and for native applications a scheme such as "org.example.app"`, s, u.Scheme)
	}
	return nil
}

// checkOrigin wants scheme, host and port alone.
func checkOrigin(field, s string) error {
	if err := checkWebURL(field, s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	if err != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery {
		return invalid(field, `%q is no origin such as "https://app.example.org": there is nothing behind the host`, s)
	}
	return nil
}

// checkEach checks the entries of a list, which may not repeat.
func checkEach(field string, list []string, most int, check func(field, s string) error) error {
	if len(list) > most {
		return invalid(field, "it has %d entries, at most %d are allowed", len(list), most)
	}
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if err := check(at, s); err != nil {
			return err
		}
		if seen[s] {
			return invalid(at, "%q is there twice", s)
		}
		seen[s] = true
	}
	return nil
}

// checkOneOf wants s to be one of a few.
func checkOneOf(field, s string, all ...string) error {
	for _, one := range all {
		if s == one {
			return nil
		}
	}
	return invalid(field, "%q is none of %q", s, all)
}

// checkRange wants n to be 0, which is the default, or in a range.
func checkRange(field string, n, least, most int) error {
	if n != 0 && (n < least || n > most) {
		return invalid(field, "%d is out of range: %d to %d are allowed", n, least, most)
	}
	return nil
}
