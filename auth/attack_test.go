package auth_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/auth"
)

// attack is a token that must not be accepted.
type attack struct {
	name  string // with the section or the class of the CVE
	token func(i *issuer) string
	want  string // what the error says
}

// refuse sends tokens to a verifier of an issuer with the keys RS256, ES256 and EdDSA. Each comes twice, so that
// what is remembered of the first does not help the second.
func refuse(t *testing.T, attacks []attack) {
	t.Helper()
	i := newIssuer(t, "/", pairs()["RS256"], pairs()["ES256"], pairs()["EdDSA"])
	v := i.verifier(t)
	for _, a := range attacks {
		token := a.token(i)
		for range 2 {
			p, err := v.Verify(t.Context(), token)
			if p != nil || !errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), a.want) {
				t.Errorf("%s: got %v, %v, want an error with %q", a.name, p, err, a.want)
			}
		}
	}
	if n := auth.Cached(v); n != 0 {
		t.Errorf("%d refused tokens are remembered", n)
	}
	if text := i.log.String(); strings.Contains(text, "eyJ") {
		t.Errorf("a token is in the log: %s", text)
	}
	for _, key := range []string{"RS256", "ES256", "EdDSA"} { // the verifier is able to accept
		if _, err := v.Verify(t.Context(), pairs()[key].sign(at, i.claims())); err != nil {
			t.Errorf("%s: a good token is refused: %v", key, err)
		}
	}
}

func TestAttackAlgorithm(t *testing.T) {
	t.Parallel()
	rs := pairs()["RS256"]
	var attacks []attack
	for _, alg := range []any{"none", "None", "NONE", "nOnE", "none ", "", nil} {
		attacks = append(attacks, attack{"RFC 8725 2.1, CVE-2015-9235: alg none", func(i *issuer) string {
			header := b64(must(json.Marshal(with(at, "alg", alg))))
			return header + "." + b64(must(json.Marshal(i.claims()))) + "."
		}, "is not accepted"}, attack{"RFC 8725 2.1: alg none with a good signature", func(i *issuer) string {
			header := b64(must(json.Marshal(with(at, "alg", alg, "kid", "rsa"))))
			input := header + "." + b64(must(json.Marshal(i.claims())))
			return input + "." + b64(rs.signature([]byte(input)))
		}, "is not accepted"})
	}
	public := rs.private.Public().(*rsa.PublicKey)
	pkix := must(x509.MarshalPKIXPublicKey(public))
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	for name, secret := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}), "PEM of PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"DER": pkix, "DER of PKCS #1": pkcs1, "JWK": must(json.Marshal(rs.jwk())), "modulus": public.N.Bytes(), "empty": nil, "zero": {0},
	} {
		for _, alg := range []string{"HS256", "hs256", "HS512"} {
			attacks = append(attacks, attack{"RFC 8725 2.1, CVE-2016-5431: HMAC with the public key, " + name, func(i *issuer) string {
				input := b64(must(json.Marshal(with(at, "alg", alg, "kid", "rsa")))) + "." + b64(must(json.Marshal(i.claims())))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(input))
				return input + "." + b64(mac.Sum(nil))
			}, "is not accepted"})
		}
	}
	for _, alg := range []string{"rs256", "RS256 ", "RS1", "RSA1_5", "dir", "A128KW", "ES256K", "Ed448"} {
		attacks = append(attacks, attack{"RFC 7515 4.1.1: " + alg, func(i *issuer) string { return rs.sign(with(at, "alg", alg), i.claims()) }, "is not accepted"})
	}
	refuse(t, attacks)
}

// RFC 8725 3.1 and 3.5: a key is used with the algorithms of its kind alone, and with the one that it names.
func TestAttackAlgorithmOfAnotherKey(t *testing.T) {
	t.Parallel()
	var attacks []attack
	for _, tt := range []struct{ alg, kid, want string }{
		{"RS256", "p256", "not that of the key"}, {"PS256", "p256", "not that of the key"}, {"EdDSA", "p256", "not that of the key"},
		{"ES256", "rsa", "not that of the key"}, {"EdDSA", "rsa", "not that of the key"}, {"ES256", "ed", "not that of the key"},
		{"ES384", "p256", "not that of the key"}, {"ES512", "p256", "not that of the key"}, // wrong curve
		{"ES384", "p384", "has no key"}, {"RS256", "other", "has no key"},
		{"PS256", "rsa", "signature is not good"}, {"RS384", "rsa", "signature is not good"}, // signed otherwise than the header says
	} {
		signer := pairs()["RS256"]
		if strings.HasPrefix(tt.alg, "ES") {
			signer = pairs()[tt.alg]
		}
		attacks = append(attacks, attack{tt.alg + " with the key " + tt.kid, func(i *issuer) string {
			return signer.sign(with(at, "alg", tt.alg, "kid", tt.kid), i.claims())
		}, tt.want})
	}
	refuse(t, attacks)

	i := newIssuer(t, "")
	i.keys = []object{pairs()["RS256"].jwk("alg", "RS256"), pairs()["ES256"].jwk("alg", "ES384")}
	v := i.verifier(t)
	_, err := v.Verify(t.Context(), pairs()["PS256"].sign(at, i.claims()))
	wantError(t, err, "its algorithm PS256 is not that of the key")
	_, err = v.Verify(t.Context(), pairs()["ES256"].sign(at, i.claims()))
	wantError(t, err, "has no key")
	if _, err = v.Verify(t.Context(), pairs()["RS256"].sign(at, i.claims())); err != nil {
		t.Error(err)
	}

	only := i.verifier(t, func(c *auth.VerifierConfig) { c.Algorithms = []string{"ES256"} })
	_, err = only.Verify(t.Context(), pairs()["RS256"].sign(at, i.claims()))
	wantError(t, err, `its algorithm "RS256" is not accepted`)
}

// RFC 8725 3.10, RFC 7515 10.1: "kid" finds a key of the issuer and nothing else.
func TestAttackKeyID(t *testing.T) {
	t.Parallel()
	var attacks []attack
	for _, kid := range []string{
		"../../../../dev/null", "/etc/passwd", "x' UNION SELECT 'key'--", "rsa' OR '1'='1", "rsa\x00", "RSA", " rsa", "https://evil.example/keys#rsa",
		"$(id)", "p256", "other", strings.Repeat("k", 2000),
	} {
		attacks = append(attacks, attack{"kid " + kid, func(i *issuer) string {
			return pairs()["other"].sign(with(at, "kid", kid), i.claims())
		}, "the token is not accepted: "})
	}
	for _, kid := range []any{1, true, []string{"rsa"}, object{"kid": "rsa"}} {
		attacks = append(attacks, attack{"kid of another type", func(i *issuer) string {
			return pairs()["RS256"].sign(with(at, "kid", kid), i.claims())
		}, `"kid" in its header is not a string`})
	}
	attacks = append(attacks, attack{"no kid, and a key that is not the issuer's", func(i *issuer) string {
		return pairs()["other"].sign(with(at, "kid", ""), i.claims())
	}, "its signature is not good"})
	refuse(t, attacks)
}

// RFC 8725 3.10, RFC 7515 4.1.2 to 4.1.6, CVE-2018-0114: a token does not bring its own key, and makes nobody fetch one.
func TestAttackEmbeddedKey(t *testing.T) {
	t.Parallel()
	other := pairs()["other"]
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id.example"}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(100000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, other.private.Public(), other.private))
	evil := newIssuer(t, "", other)
	var attacks []attack
	for name, header := range map[string]object{
		"jwk": {"jwk": other.jwk()}, "jku": {"jku": evil.URL + "/keys"}, "x5u": {"x5u": evil.URL + "/keys"},
		"x5c": {"x5c": []string{base64.StdEncoding.EncodeToString(certificate)}},
	} {
		for _, kid := range []string{"rsa", "other", ""} {
			attacks = append(attacks, attack{name + " of the attacker, kid " + kid, func(i *issuer) string {
				return other.sign(with(header, "typ", "at+jwt", "kid", kid), i.claims())
			}, "the token is not accepted: "})
		}
	}
	refuse(t, attacks)
	if n := evil.fetches.Load(); n != 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
	// They are ignored in a token that is good otherwise.
	i := newIssuer(t, "", pairs()["RS256"])
	if _, err := i.verifier(t).Verify(t.Context(), pairs()["RS256"].sign(object{"typ": "at+jwt", "jku": evil.URL, "jwk": other.jwk()}, i.claims())); err != nil {
		t.Error(err)
	}
}

// RFC 7519 4.1, RFC 9068 4: claims of a token with a good signature.
func TestAttackClaims(t *testing.T) {
	t.Parallel()
	var attacks []attack
	for _, tt := range []struct {
		name    string
		changes func(i *issuer) []any
		want    string
	}{
		{"expired", func(i *issuer) []any { return []any{"exp", start.Unix() - 60} }, "expired at"},
		{"not yet good", func(i *issuer) []any { return []any{"nbf", start.Unix() + 60} }, "not good before"},
		{"from the future", func(i *issuer) []any { return []any{"iat", start.Unix() + 60} }, "issued in the future"},
		{"another issuer", func(i *issuer) []any { return []any{"iss", "https://evil.example/"} }, "https://evil.example/"},
		{"the issuer without its slash", func(i *issuer) []any { return []any{"iss", strings.TrimSuffix(i.name(), "/")} }, "they differ in the trailing slash alone"},
		{"the issuer in upper case", func(i *issuer) []any { return []any{"iss", strings.ToUpper(i.name())} }, "is expected"},
		{"the issuer and more", func(i *issuer) []any { return []any{"iss", i.name() + "@evil.example"} }, "is expected"},
		{"issuers", func(i *issuer) []any { return []any{"iss", []string{i.name()}} }, "it has no issuer"},
		{"no issuer", func(i *issuer) []any { return []any{"iss", nil} }, "it has no issuer"},
		{"another audience, RFC 8725 3.9", func(i *issuer) []any { return []any{"aud", "billing"} }, `for the audience "billing"`},
		{"no audience", func(i *issuer) []any { return []any{"aud", nil} }, "for the audience nobody"},
		{"no subject", func(i *issuer) []any { return []any{"sub", nil} }, "no subject"},
		{"an empty subject", func(i *issuer) []any { return []any{"sub", ""} }, "no subject"},
		{"a number as subject, CVE-2024-53861", func(i *issuer) []any { return []any{"sub", 1} }, "no subject"},
		{"bound to a key, RFC 9449 7.1", func(i *issuer) []any { return []any{"cnf", object{"jkt": "x"}} }, "bound to a key"},
	} {
		attacks = append(attacks, attack{tt.name, func(i *issuer) string {
			return pairs()["ES256"].sign(at, with(i.claims(), tt.changes(i)...))
		}, tt.want})
	}
	refuse(t, attacks)
}

// RFC 9068 5, RFC 8725 3.11 and 3.12: no other token of the same issuer is taken for an access token.
func TestAttackTokenOfAnotherKind(t *testing.T) {
	t.Parallel()
	jwt := object{"typ": "JWT"}
	for _, tt := range []struct {
		name    string
		header  object
		changes []any
		want    string // empty if it is an access token
	}{
		{"an access token with a type", at, []any{"nonce", "n", "at_hash", "x"}, ""},
		{"with the long form of the type", object{"typ": "application/at+jwt"}, nil, ""},
		{"in capitals", object{"typ": "AT+JWT"}, nil, ""},
		{"with the type of all tokens", jwt, nil, ""},
		{"without a type", object{}, nil, ""},
		{"an ID token with a nonce", jwt, []any{"nonce", "n"}, "it has the claim nonce"},
		{"an ID token with at_hash", jwt, []any{"at_hash", "x"}, "it has the claim at_hash"},
		{"an ID token with c_hash, without a type", object{}, []any{"c_hash", "x"}, "it has the claim c_hash"},
		{"an ID token of an application that has the API's name", jwt, []any{"azp", "api", "client_id", nil, "scope", nil, "permissions", nil}, "it was issued to"},
		{"the same as a list", jwt, []any{"aud", []string{"api"}, "azp", "api", "client_id", nil, "scope", nil, "permissions", nil}, "it was issued to"},
		{"an access token of Entra for the same application", jwt, []any{"azp", "api", "client_id", nil, "scope", nil, "permissions", nil, "scp", "Files"}, ""},
		{"an ID token of Keycloak", jwt, []any{"typ", "ID"}, "its claim typ is"},
		{"a refresh token of Keycloak", jwt, []any{"typ", "Refresh"}, "its claim typ is"},
		{"an access token of Keycloak", jwt, []any{"typ", "Bearer", "nonce", "n"}, ""},
		{"an ID token of Cognito", jwt, []any{"token_use", "id"}, "its claim token_use is"},
		{"an access token of Cognito", jwt, []any{"token_use", "access"}, ""},
		{"a logout token, OIDC Back-Channel Logout 2.4", object{"typ": "logout+jwt"}, nil, `its type "logout+jwt"`},
		{"a logout token without a type", jwt, []any{"events", object{}}, "it has the claim events"},
		{"a proof, RFC 9449", object{"typ": "dpop+jwt"}, nil, `its type "dpop+jwt"`},
		{"introspection, RFC 9701", object{"typ": "token-introspection+jwt"}, nil, "its type"},
		{"an authorization request, RFC 9101", object{"typ": "oauth-authz-req+jwt"}, nil, "its type"},
	} {
		i := newIssuer(t, "", pairs()["ES256"])
		token := pairs()["ES256"].sign(tt.header, with(i.claims(), tt.changes...))
		_, err := i.verifier(t).Verify(t.Context(), token)
		if tt.want == "" && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if tt.want != "" && (!errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
		_, err = i.verifier(t, func(c *auth.VerifierConfig) { c.RequireTypedTokens = true }).Verify(t.Context(), token)
		if typ, _ := tt.header["typ"].(string); strings.HasSuffix(strings.ToLower(typ), "at+jwt") != (err == nil) {
			t.Errorf("%s: with RequireTypedTokens: %v", tt.name, err)
		}
	}
}

// RFC 7518 3.3, NIST SP 800-131A: weak keys verify nothing; keys for other uses (RFC 7517 4.2 and 4.3) and keys that
// are not public neither.
func TestAttackKeysOfTheIssuer(t *testing.T) {
	t.Parallel()
	es := pairs()["ES256"]
	private := must(json.Marshal(jose.JSONWebKey{Key: es.private, KeyID: "p256"}))
	var secret object
	if err := json.Unmarshal(private, &secret); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		key  object
		sign pair
	}{
		{"1024 bits", pairs()["weak"].jwk(), pairs()["weak"]},
		{"for encryption", es.jwk("use", "enc"), es},
		{"for another operation", with(es.jwk(), "key_ops", []string{"encrypt"}), es},
		{"private", secret, es},
		{"of another algorithm", es.jwk("alg", "ECDH-ES"), es},
		{"symmetric", object{"kty": "oct", "kid": "p256", "k": "AAAA"}, es},
		{"of another curve", with(es.jwk(), "crv", "P-384"), es},
		{"not on the curve, CVE-2015-7940", with(es.jwk(), "x", b64(make([]byte, 32))), es},
		{"with the exponent 1", with(pairs()["RS256"].jwk(), "e", "AQ"), pairs()["RS256"]},
		{"without its point", with(es.jwk(), "x", nil, "y", nil), es},
		{"of numbers", object{"kty": 1, "kid": "p256"}, es},
	} {
		i := newIssuer(t, "")
		i.keys = []object{tt.key}
		_, err := i.verifier(t).Verify(t.Context(), tt.sign.sign(at, i.claims()))
		if !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: got %v", tt.name, err)
		}
		wantError(t, err, "the issuer has no key")
		i.set(func() { i.keys = append(i.keys, pairs()["EdDSA"].jwk()) }) // the others are good
		i.clock.Advance(time.Minute)
		if _, err := i.verifier(t).Verify(t.Context(), pairs()["EdDSA"].sign(at, i.claims())); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
