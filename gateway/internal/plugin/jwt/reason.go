package jwt

import (
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/suggest"
)

// Reasons are for the log and for explain: what was sought, where, what was found instead.

// sought says where a token was looked for.
func (p *instance) sought(x *proxy.Exchange) string {
	var places []string
	for _, name := range p.headers {
		switch value := x.Request.Fields.Peek(name); {
		case value == nil:
			places = append(places, "the header "+name)
		case len(value) == 0:
			places = append(places, "the header "+name+", which is empty")
		default:
			places = append(places, "the header "+name+`, which does not begin with "Bearer "`)
		}
	}
	for _, name := range p.parameters {
		places = append(places, "the query's "+name)
	}
	for _, name := range p.cookies {
		places = append(places, "the cookie "+name)
	}
	return "there is no token: it was looked for in " + strings.Join(places, ", ")
}

// found says where there are tokens, of which several differ.
func (p *instance) found(x *proxy.Exchange) string {
	var places []string
	for _, name := range p.parameters {
		n := 0
		for range plugin.QueryValues(x.Request.Query, name) {
			n++
		}
		places = appendTimes(places, "the query's "+name, n)
	}
	for _, name := range p.cookies {
		n := 0
		for range plugin.Cookies(x.Request.Fields, name) {
			n++
		}
		places = appendTimes(places, "the cookie "+name, n)
	}
	for _, name := range p.headers {
		n := 0
		for _, value := range x.Request.Fields.Values(name) {
			if bearer([]byte(value)) != nil {
				n++
			}
		}
		places = appendTimes(places, "the header "+name, n)
	}
	return "there are several different tokens, in " + strings.Join(places, ", ")
}

// appendTimes appends a place, and how many there are.
func appendTimes(places []string, place string, n int) []string {
	switch n {
	case 0:
		return places
	case 1:
		return append(places, place)
	}
	return append(places, fmt.Sprintf("%s (%d times)", place, n))
}

// unreadable says what is sent instead of a token.
func unreadable(raw []byte, wrong string) string {
	parts := strings.Count(string(raw), ".") + 1
	switch {
	case len(raw) > maxToken:
		return fmt.Sprintf("the token cannot be read: it has %d bytes, and %d are the most", len(raw), maxToken)
	case parts == 5:
		return "the token cannot be read: it is encrypted (five parts), and a signed one (three parts) is needed"
	case parts != 3:
		return fmt.Sprintf("the token cannot be read: it is no JWT, which has three parts with dots between them; this has %d", parts)
	case wrong == "invalid alg":
		if header, ok := decodeJSON(raw[:strings.IndexByte(string(raw), '.')]); ok {
			if object, ok := header.(map[string]any); ok {
				return fmt.Sprintf("the token cannot be read: its alg is %s, and is none of those that there are", shorten(fmt.Sprintf("%q", fmt.Sprint(object["alg"]))))
			}
		}
	}
	return "the token cannot be read: " + wrong
}

// notFound says what was sought, and what comes near.
func (p *instance) notFound(key string, explain bool) string {
	reason := fmt.Sprintf("no jwt credential has the key %q, which is the token's %s", shorten(key), p.keyClaim)
	if len(p.credentials.keys) == 0 {
		return reason + "; there are no jwt credentials at all"
	}
	if meant, ok := p.credentials.alike[alike(key)]; ok {
		return fmt.Sprintf("%s; there is %q, which differs by %s", reason, shorten(meant), difference(key, meant))
	}
	if explain || len(p.credentials.keys) <= fewKeys {
		if meant, ok := suggest.Nearest(key, p.credentials.keys); ok {
			return fmt.Sprintf("%s; there is %q", reason, shorten(meant))
		}
	}
	return reason
}

// fewKeys is how many keys are compared for a request that nobody asks to explain.
const fewKeys = 50

// alike is the same for keys that are often taken for each other: URLs that differ in capital letters, the slash at the end, or
// whether they are by TLS.
func alike(key string) string {
	key = strings.ToLower(strings.TrimRight(strings.TrimSpace(key), "/"))
	if rest, ok := strings.CutPrefix(key, "http://"); ok {
		return "https://" + rest
	}
	return key
}

// difference says in what two keys differ that are alike.
func difference(a, b string) string {
	var all []string
	if a != strings.TrimSpace(a) || b != strings.TrimSpace(b) {
		all = append(all, "blanks around it")
	}
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if strings.HasSuffix(a, "/") != strings.HasSuffix(b, "/") {
		all = append(all, "the slash at the end")
	}
	a, b = strings.TrimRight(a, "/"), strings.TrimRight(b, "/")
	schemeA, restA, okA := strings.Cut(a, "://")
	schemeB, restB, okB := strings.Cut(b, "://")
	if okA && okB && !strings.EqualFold(schemeA, schemeB) {
		all = append(all, "the scheme ("+schemeB+", not "+schemeA+")")
		a, b = restA, restB
	}
	if a != b {
		all = append(all, "capital letters")
	}
	if len(all) == 0 {
		return "the number of slashes at the end"
	}
	return strings.Join(all, " and ")
}

// badSignature says that a signature is not good, and what may be the reason.
func (p *instance) badSignature(t *token, c *credential, a *algorithm) string {
	reason := fmt.Sprintf("the signature is not by the key of the credential %q", shorten(c.entity.Key))
	if c.entity.Secret != "" && strings.HasPrefix(t.algorithm, "HS") {
		if other, ok := c.key(!p.secretIsBase64); ok && a.verify(a, other, t.signed, t.signature) {
			return fmt.Sprintf("%s; it would be with secret_is_base64: %t", reason, !p.secretIsBase64)
		}
		return reason + ": the secrets differ"
	}
	if kid, ok := t.header["kid"].(string); ok {
		return fmt.Sprintf("%s: perhaps the issuer has another key now; the token's kid %q is not looked at", reason, shorten(kid))
	}
	return reason + ": perhaps the issuer has another key now"
}

// otherAudience says whom a token is for.
func (p *instance) otherAudience(t *token) string {
	reason := fmt.Sprintf("the token's aud is %s, and none of %s", shorten(fmt.Sprint(t.claims["aud"])), strings.Join(p.audience, ", "))
	if t.claims["aud"] == nil {
		return "the token has no aud, and must be for " + strings.Join(p.audience, " or ")
	}
	if text, ok := t.claims["aud"].(string); ok {
		for _, a := range p.audience {
			if alike(a) == alike(text) {
				return fmt.Sprintf("%s; %q differs by %s", reason, shorten(a), difference(text, a))
			}
		}
	}
	return reason
}

func (p *instance) timesReason(w *times, wrong map[string]string, now float64) string {
	var reasons []string
	for _, claim := range []string{"exp", "nbf"} {
		message, ok := wrong[claim]
		switch {
		case !ok:
		case claim == "exp" && w.noExp || claim == "nbf" && w.noNbf:
			reasons = append(reasons, "the token has no "+claim)
		case message == "token expired":
			reasons = append(reasons, fmt.Sprintf("the token expired %s ago, at %s", seconds(now-w.exp), at(w.exp)))
		case message == "token not valid yet":
			reasons = append(reasons, fmt.Sprintf("the token is not valid for another %s, until %s", seconds(w.nbf-now), at(w.nbf)))
		case message == "exceeds maximum allowed expiration" && w.hasExp:
			reasons = append(reasons, fmt.Sprintf("the token is valid for another %s, and maximum_expiration allows %s", seconds(w.exp-now), seconds(p.maximum)))
		default:
			reasons = append(reasons, "the token's "+claim+" "+message)
		}
	}
	return strings.Join(reasons, "; ")
}

// seconds is a length of time: "7 s", and more in larger units.
func seconds(n float64) string {
	if n < 120 {
		return fmt.Sprintf("%.0f s", n)
	}
	if n > 1e9 { // more than a Duration should have
		return fmt.Sprintf("%.0f s", n)
	}
	return fmt.Sprintf("%.0f s (%s)", n, time.Duration(n)*time.Second)
}

// at is a time as claims have it, in words.
func at(n float64) string {
	if n < 0 || n > 253402300799 { // the year 9999
		return fmt.Sprintf("%.0f", n)
	}
	return time.Unix(int64(n), 0).UTC().Format(time.RFC3339)
}
