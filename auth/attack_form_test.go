package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// RFC 7515 3.1, 4.1.11 and 7.2, RFC 7797, RFC 7516: the form of the token.
func TestAttackForm(t *testing.T) {
	t.Parallel()
	es := pairs()["ES256"]
	good := func(i *issuer) string { return es.sign(at, i.claims()) }
	edit := func(part int, change func(string) string) func(*issuer) string {
		return func(i *issuer) string {
			parts := strings.Split(good(i), ".")
			parts[part] = change(parts[part])
			return strings.Join(parts, ".")
		}
	}
	header := func(changes ...any) func(*issuer) string {
		return func(i *issuer) string { return es.sign(with(at, changes...), i.claims()) }
	}
	// lastBits changes the bits of the last character that no byte needs.
	lastBits := func(s string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])+1])
	}
	refuse(t, []attack{
		{"empty", func(*issuer) string { return "" }, "not a JWT"},
		{"dots", func(*issuer) string { return ".." }, "not accepted"},
		{"one part", func(*issuer) string { return "opaque" }, "not a JWT"},
		{"two parts", func(i *issuer) string { return good(i)[:strings.LastIndex(good(i), ".")] }, "not a JWT"},
		{"JWE", func(i *issuer) string {
			encrypter := must(jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: pairs()["RS256"].private.Public()}, nil))
			return must(must(encrypter.Encrypt(must(json.Marshal(i.claims())))).CompactSerialize())
		}, "it is encrypted"},
		{"JWS in JSON", func(i *issuer) string {
			parts := strings.Split(good(i), ".")
			return string(must(json.Marshal(object{"protected": parts[0], "payload": parts[1], "signature": parts[2]})))
		}, "JSON serialization"},
		{"crit with b64, RFC 7797 6", header("crit", []string{"b64"}, "b64", false), `has "crit"`},
		{"crit", header("crit", []string{"exp"}), `has "crit"`},
		{"crit, empty", header("crit", []string{}), `has "crit"`},
		{"b64 without crit", header("b64", false), `has "b64"`},
		{"zip, CVE-2024-28180", header("zip", "DEF"), `has "zip"`},
		{"enc", header("enc", "A256GCM"), `has "enc"`},
		{"a type that is no string", header("typ", 7), "is not a string"},
		{"no signature", edit(2, func(string) string { return "" }), "signature is not good"},
		{"half a signature", edit(2, func(s string) string { return s[:len(s)/2] }), "not accepted"},
		{"a longer signature", edit(2, func(s string) string { return s + "AAAA" }), "not accepted"},
		{"malleability: trailing bits, RFC 7515 2", edit(2, lastBits), "not base64url"},
		{"malleability: padding", edit(2, func(s string) string { return s + "==" }), "not base64url"},
		{"malleability: a line end", edit(2, func(s string) string { return s[:4] + "\n" + s[4:] }), "not base64url"},
		{"malleability: a space", func(i *issuer) string { return " " + good(i) }, "not base64url"},
		{"standard base64", edit(1, func(s string) string { return "+/" + s[2:] }), "not base64url"},
		{"a changed payload", edit(1, func(s string) string {
			claims := must(base64.RawURLEncoding.DecodeString(s))
			return b64([]byte(strings.Replace(string(claims), "user|1", "user|2", 1)))
		}), "signature is not good"},
		{"a changed header", edit(0, func(s string) string {
			head := must(base64.RawURLEncoding.DecodeString(s))
			return b64([]byte(strings.Replace(string(head), "{", "{ ", 1)))
		}), "signature is not good"},
		{"psychic signature, CVE-2022-21449: r = s = 0", edit(2, func(string) string { return b64(make([]byte, 64)) }), "signature is not good"},
		{"an ASN.1 signature", func(i *issuer) string {
			token := good(i)
			input := token[:strings.LastIndex(token, ".")]
			sum := sha256.Sum256([]byte(input))
			return input + "." + b64(must(es.private.Sign(rand.Reader, sum[:], crypto.SHA256)))
		}, "signature is not good"},
		{"a member twice in the header", func(i *issuer) string {
			input := b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"p256","alg":"ES256"}`)) + "." + b64(must(json.Marshal(i.claims())))
			return input + "." + b64(es.signature([]byte(input)))
		}, `the member "alg" occurs twice`},
		{"the same, escaped", func(i *issuer) string {
			input := b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"p256","\u0061lg":"ES256"}`)) + "." + b64(must(json.Marshal(i.claims())))
			return input + "." + b64(es.signature([]byte(input)))
		}, `the member "alg" occurs twice`},
	})
}

// RFC 8725 3.7, RFC 7519 4: what can be read in two ways, or costs much, is refused although the signature is good.
func TestAttackPayload(t *testing.T) {
	t.Parallel()
	es := pairs()["ES256"]
	raw := func(change func(string) string) func(*issuer) string {
		return func(i *issuer) string { return es.sign(at, []byte(change(string(must(json.Marshal(i.claims())))))) }
	}
	deep := func(n int, open, shut string) func(*issuer) string {
		return raw(func(s string) string {
			return `{"x":` + strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) + "," + s[1:]
		})
	}
	refuse(t, []attack{
		{"a member twice", raw(func(s string) string { return `{"sub":"root",` + s[1:] }), `the member "sub" occurs twice`},
		{"a member twice, deep", raw(func(s string) string { return `{"x":[{"a":1,"a":2}],` + s[1:] }), `the member "a" occurs twice`},
		{"an array", raw(func(s string) string { return "[" + s + "]" }), "not a JSON object"},
		{"null", raw(func(string) string { return "null" }), "not a JSON object"},
		{"empty", raw(func(string) string { return "" }), "not JSON"},
		{"cut", raw(func(s string) string { return s[:len(s)-1] }), "not JSON"},
		{"followed", raw(func(s string) string { return s + "{}" }), "something follows"},
		{"not UTF-8", raw(func(s string) string { return `{"x":"` + "\xff" + `",` + s[1:] }), "not UTF-8"},
		{"XML", raw(func(string) string { return "<claims/>" }), "not JSON"},
		{"deep lists", deep(17, "[", "]"), "nested too deeply"},
		{"deep objects", deep(17, `{"x":`, "}"), "nested too deeply"},
		{"very deep", deep(3000, "[", "]"), "nested too deeply"},
		{"huge", raw(func(s string) string { return `{"x":"` + strings.Repeat("x", 16<<10) + `",` + s[1:] }), "more than 16384 bytes"},
	})
	// Claims in capitals are other claims.
	i := newIssuer(t, "", es)
	_, err := i.verifier(t).Verify(t.Context(), es.sign(at, with(i.claims(), "sub", nil, "Sub", "root", "SUB", "root")))
	wantError(t, err, "no subject")
	// A nested object is no attack.
	if _, err := i.verifier(t).Verify(t.Context(), es.sign(at, with(i.claims(), "x", object{"y": []any{object{"z": []int{1}}}}))); err != nil {
		t.Error(err)
	}
}
