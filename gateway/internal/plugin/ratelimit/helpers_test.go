package ratelimit_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

// token is signed by HS256 and the secret "s".
func token(t testing.TB, issuer string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(`{"iss":"`+issuer+`"}`))
	mac := hmac.New(sha256.New, []byte("s"))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}
