package observe

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/perdure/perdure/gateway/internal/plugin"
)

// hidden stands for a value that is not told.
const hidden = "[redacted]"

// digestKey makes digests say nothing of short secrets: they can be compared within this process alone.
var digestKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it cannot fail
	return key
}()

// digest tells secrets apart.
func digest(secret []byte) string {
	mac := hmac.New(sha256.New, digestKey)
	mac.Write(secret)
	return hex.EncodeToString(mac.Sum(nil)[:4])
}

// secretWords are in the names of what is secret; secretNames are such names.
var (
	secretWords = []string{"token", "secret", "passw", "pwd", "apikey", "api_key", "api-key", "access_key", "access-key", "jwt", "auth", "credential",
		"signature", "session", "assertion", "cookie", "otp", "private"}
	secretNames = map[string]bool{"key": true, "code": true, "sig": true, "state": true, "nonce": true, "pin": true, "sid": true, "pass": true, "ticket": true}
)

// secretName reports whether the value under a name should not be told.
func secretName(name string) bool {
	name = strings.ToLower(name)
	if secretNames[name] {
		return true
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// tokens are what looks like a JWT, a JWE, or the beginning of one: an object in JSON, encoded.
var tokens = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}[A-Za-z0-9_.=%-]*`)

// scrub removes what looks like a token from a text.
func scrub(text string) string {
	if !strings.Contains(text, "eyJ") {
		return text
	}
	return tokens.ReplaceAllString(text, "[token]")
}

// redactQuery removes the values of secret parameters from a query.
func redactQuery(query string, also map[string]bool) string {
	if query == "" {
		return ""
	}
	var b strings.Builder
	for i, pair := range strings.Split(query, "&") {
		if i > 0 {
			b.WriteByte('&')
		}
		key, value, has := strings.Cut(pair, "=")
		switch name := plugin.Unescape(key); {
		case !has:
			b.WriteString(scrub(key))
		case secretName(name) || also[strings.ToLower(name)]:
			b.WriteString(scrub(key) + "=" + hidden)
		default:
			b.WriteString(scrub(key) + "=" + scrub(value))
		}
	}
	return b.String()
}

// allowed are the header fields that are told: none of them has a secret.
var allowed = map[string]bool{
	"accept": true, "accept-encoding": true, "accept-language": true, "access-control-request-headers": true,
	"access-control-request-method": true, "cache-control": true, "content-encoding": true, "content-type": true,
	"forwarded": true, "origin": true, "referer": true, "sec-fetch-dest": true, "sec-fetch-mode": true, "sec-fetch-site": true,
	"traceparent": true, "user-agent": true, "via": true, "x-forwarded-for": true, "x-forwarded-host": true,
	"x-forwarded-port": true, "x-forwarded-proto": true, "x-request-id": true,
}

// schemes are those of Authorization (IANA, and a few that are in use): what else stands first may be the secret itself.
var schemes = map[string]bool{
	"apikey": true, "aws4-hmac-sha256": true, "basic": true, "bearer": true, "digest": true, "dpop": true, "gnap": true, "hoba": true,
	"hmac": true, "key": true, "mutual": true, "negotiate": true, "ntlm": true, "oauth": true, "privatetoken": true, "token": true, "vapid": true,
}

// splitScheme splits the value of a header field into scheme and secret.
func splitScheme(value []byte) (scheme string, secret []byte) {
	first, rest, ok := bytes.Cut(value, []byte(" "))
	if ok && schemes[strings.ToLower(string(first))] {
		return string(first), bytes.TrimSpace(rest)
	}
	return "", value
}

// bound cuts a text that is long.
func bound(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
