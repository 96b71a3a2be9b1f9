package observe

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// Credential is something in a request by which somebody may be known. The secret itself is not told.
type Credential struct {
	// In is where it is: "header Authorization", "query apikey", "cookie session".
	In string `json:"in"`
	// Scheme is the first word of Authorization, if it is that of a known scheme.
	Scheme string `json:"scheme,omitempty"`
	// Length is how many bytes the secret has, without the scheme.
	Length int `json:"length"`
	// Digest is the same for the same secret, as long as the process runs: 8 hexadecimal digits under a key that nobody knows.
	Digest string `json:"digest"`
	// Token is what a JWT says of itself. It has not been verified.
	Token *Token `json:"token,omitempty"`

	raw []byte // header and claims of a token, without the signature
}

// Token is the part of a JWT (RFC 7519) that helps to see what is wrong with it, as it was sent.
type Token struct {
	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid,omitempty"`
	Type      string `json:"typ,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	// Audience is whom it is for.
	Audience []string `json:"aud,omitempty"`
	// Subject is the digest of sub, as Credential.Digest.
	Subject string `json:"sub_digest,omitempty"`
	// Party is who it was given to: azp, or client_id.
	Party string `json:"azp,omitempty"`
	Scope string `json:"scope,omitempty"`
	// Expires, NotBefore and IssuedAt are exp, nbf and iat.
	Expires   *time.Time `json:"exp,omitempty"`
	NotBefore *time.Time `json:"nbf,omitempty"`
	IssuedAt  *time.Time `json:"iat,omitempty"`
	// Unreadable says why nothing is told: it is no JWT, or broken.
	Unreadable string `json:"unreadable,omitempty"`
}

// The bounds of what is kept of a request.
const (
	maxCredentials = 8
	maxToken       = 6 << 10
	maxClaim       = 200
)

// add takes a credential that was found, without its secret.
func (c *captured) add(in, scheme string, secret []byte) {
	if len(secret) == 0 || len(c.credentials) >= maxCredentials {
		return
	}
	one := Credential{In: in, Scheme: scheme, Length: len(secret), Digest: digest(secret)}
	if bytes.Count(secret, []byte(".")) == 2 && bytes.HasPrefix(secret, []byte("eyJ")) && len(secret) <= maxToken {
		one.raw = bytes.Clone(secret[:bytes.LastIndexByte(secret, '.')])
	}
	c.credentials = append(c.credentials, one)
	c.secrets = append(c.secrets, string(secret))
}

// identityFields are the header fields, in small letters, by which plugins tell the upstream who is asking.
var identityFields = map[string]bool{
	strings.ToLower(plugin.CredentialID): true, strings.ToLower(plugin.AuthenticatedGroups): true, strings.ToLower(plugin.ConsumerID): true,
	strings.ToLower(plugin.ConsumerCustomID): true, strings.ToLower(plugin.ConsumerUsername): true, strings.ToLower(plugin.ConsumerGroups): true,
}

// credentialsOf finds what may be one in the places where plugins look, and in the usual ones.
func (c *captured) credentialsOf(x *proxy.Exchange, s *Setting) {
	for name, value := range x.Request.Fields.All() {
		lower := lowerName(name)
		switch {
		case identityFields[lower]: // the plugins have said who is asking
		case lower == "cookie":
			c.cookies(value, s)
		case s.headers[lower], secretName(lower):
			scheme, secret := splitScheme(value)
			c.add("header "+bound(string(name), 60), scheme, secret)
		}
	}
	c.parameters(x.Request.Query, s)
}

// read decodes what is kept of a token.
func (c Credential) read() Credential {
	if c.raw == nil {
		return c
	}
	first, second, _ := bytes.Cut(c.raw, []byte("."))
	header, ok := decodeObject(first)
	claims, ok2 := decodeObject(second)
	switch {
	case !ok:
		c.Token = &Token{Unreadable: "its header is no JSON object in base64url"}
		return c
	case !ok2:
		c.Token = &Token{Unreadable: "its claims are no JSON object in base64url"}
		return c
	}
	c.Token = &Token{
		Algorithm: claimText(header["alg"]), KeyID: claimText(header["kid"]), Type: claimText(header["typ"]),
		Issuer: claimText(claims["iss"]), Audience: claimList(claims["aud"]), Party: claimText(claims["azp"]), Scope: claimText(claims["scope"]),
		Expires: claimTime(claims["exp"]), NotBefore: claimTime(claims["nbf"]), IssuedAt: claimTime(claims["iat"]),
	}
	if c.Token.Party == "" {
		c.Token.Party = claimText(claims["client_id"])
	}
	if c.Token.Scope == "" {
		c.Token.Scope = claimText(claims["scp"])
	}
	if sub, ok := claims["sub"]; ok {
		c.Token.Subject = digest(fmt.Append(nil, sub))
	}
	return c
}

func decodeObject(raw []byte) (object map[string]any, ok bool) {
	text := make([]byte, base64.RawURLEncoding.DecodedLen(len(raw)))
	n, err := base64.RawURLEncoding.Decode(text, bytes.TrimRight(raw, "="))
	if err != nil {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text[:n]))
	d.UseNumber()
	return object, d.Decode(&object) == nil && object != nil
}

func claimText(v any) string {
	switch v := v.(type) {
	case string:
		return scrub(bound(v, maxClaim))
	case json.Number:
		return bound(v.String(), maxClaim)
	}
	return ""
}

func claimList(v any) (list []string) {
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	for _, item := range items {
		if text := claimText(item); text != "" && len(list) < 10 {
			list = append(list, text)
		}
	}
	return list
}

// claimTime reads a NumericDate (RFC 7519 section 2).
func claimTime(v any) *time.Time {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > 253402300799 { // the year 9999
		return nil
	}
	t := time.Unix(int64(seconds), 0).UTC()
	return &t
}
