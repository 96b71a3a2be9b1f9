package jwa_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/vault/internal/jwa"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// joseKey returns a key for go-jose; the public one is that of our JSON Web Key.
func joseKey(t testing.TB, k *jwa.Key) (private, public any) {
	t.Helper()
	if k.Spec().Type == jwa.Oct {
		secret := must[[]byte](t)(k.Encode())[1:]
		return secret, secret
	}
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(k.Public()); err != nil || !j.IsPublic() || !j.Valid() {
		t.Fatalf("public key %s: %v", k.Public(), err)
	}
	return must[crypto.Signer](t)(k.Signer()), j.Key
}

// privateJWK is a key as go-jose writes it.
func privateJWK(t testing.TB, k *jwa.Key) map[string]any {
	t.Helper()
	private, _ := joseKey(t, k)
	m := map[string]any{}
	if err := json.Unmarshal(must[[]byte](t)((&jose.JSONWebKey{Key: private, KeyID: "some id"}).MarshalJSON()), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	return must[[]byte](t)(json.Marshal(v))
}

func sameKey(t testing.TB, a, b *jwa.Key) {
	t.Helper()
	x, y := must[[]byte](t)(a.Encode()), must[[]byte](t)(b.Encode())
	if !bytes.Equal(x, y) || a.Spec() != b.Spec() {
		t.Errorf("%s is another key now", a)
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	for name, spec := range specs {
		if name == "RSA 4096" && testing.Short() {
			continue
		}
		k := key(t, name)
		if k.Spec() != spec || k.String() != name {
			t.Errorf("%s is %s, %+v", name, k, k.Spec())
		}
		m := privateJWK(t, k)
		m["key_ops"] = []string{"sign", "anything"}
		m["ext"] = map[string]any{"nested": []int{1}}
		j, err := jwa.ParseJWK(marshal(t, m))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameKey(t, k, j.Key)
		if j.HSM || !slices.Equal(j.Ops, []string{"sign", "anything"}) {
			t.Errorf("%s: HSM %v, ops %q", name, j.HSM, j.Ops)
		}
		m["kty"] = spec.Type + "-HSM"
		if j, err = jwa.ParseJWK(marshal(t, m)); err != nil || !j.HSM || j.Key.Spec() != spec {
			t.Errorf("%s-HSM: %v", name, err)
		}
		delete(m, "key_ops")
		if j, err = jwa.ParseJWK(marshal(t, m)); err != nil || j.Ops != nil {
			t.Errorf("%s without key_ops: %v, %v", name, j, err)
		}
	}
}

// .NET writes numbers as long as the modulus.
func TestImportOfPaddedRSA(t *testing.T) {
	t.Parallel()
	k := key(t, "RSA 2048")
	m := privateJWK(t, k)
	for _, part := range []string{"d", "e", "dp"} {
		m[part] = encode(append([]byte{0}, unbase64(t, m[part].(string))...))
	}
	sameKey(t, k, must[*jwa.JWK](t)(jwa.ParseJWK(marshal(t, m))).Key)
}

func TestEncoding(t *testing.T) {
	t.Parallel()
	for name := range specs {
		k := key(t, name)
		stored := must[[]byte](t)(k.Encode())
		sameKey(t, k, must[*jwa.Key](t)(jwa.Decode(stored)))
		for what, bad := range map[string][]byte{"empty": nil, "short": stored[:len(stored)/20], "other format": append([]byte{9}, stored[1:]...)} {
			if _, err := jwa.Decode(bad); err == nil {
				t.Errorf("%s, %s: decoded", name, what)
			}
		}
	}
}

func TestPublicKeysHaveNoPrivateParts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"RSA 2048": "e kty n", "EC P-256": "crv kty x y", "EC P-521": "crv kty x y", "OKP Ed25519": "crv kty x", "oct 256": "kty",
	} {
		var m map[string]string
		if err := json.Unmarshal(key(t, name).Public(), &m); err != nil {
			t.Fatal(err)
		}
		var names []string
		for n := range m {
			names = append(names, n)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
}

func TestBadJWKs(t *testing.T) {
	t.Parallel()
	flip := func(part string) func(map[string]any) {
		return func(m map[string]any) {
			b, _ := base64.RawURLEncoding.DecodeString(m[part].(string))
			b[len(b)-1] ^= 4
			m[part] = encode(b)
		}
	}
	without := func(part string) func(map[string]any) { return func(m map[string]any) { delete(m, part) } }
	set := func(part string, v any) func(map[string]any) { return func(m map[string]any) { m[part] = v } }
	from := func(part, name, other string) func(map[string]any) {
		return func(m map[string]any) { m[part] = privateJWK(t, generate(t, name))[other] }
	}
	for i, test := range []struct {
		key         string
		change      func(map[string]any)
		field, text string
	}{
		{"RSA 2048", without("kty"), "kty", "needs it"},
		{"RSA 2048", set("kty", "rsa"), "kty", "want RSA"},
		{"RSA 2048", set("kty", 7), "kty", "as a text"},
		{"RSA 2048", set("kty", nil), "kty", "as a text"},
		{"RSA 2048", set("key_ops", "sign"), "key_ops", "list"},
		{"RSA 2048", without("n"), "n", "needs it"},
		{"RSA 2048", without("d"), "d", "needs it"},
		{"RSA 2048", without("p"), "p", "needs it"},
		{"RSA 2048", without("qi"), "qi", "needs it"},
		{"RSA 2048", set("oth", []any{}), "oth", "two primes"},
		{"RSA 2048", flip("n"), "key", "do not belong together"},
		{"RSA 2048", flip("d"), "key", "do not belong together"},
		{"RSA 2048", flip("p"), "key", "do not belong together"},
		{"RSA 2048", flip("q"), "key", "do not belong together"},
		{"RSA 2048", flip("dp"), "key", "do not belong together"},
		{"RSA 2048", flip("dq"), "key", "do not belong together"},
		{"RSA 2048", flip("qi"), "key", "do not belong together"},
		{"RSA 2048", set("e", "Aw"), "e", "at least 65537"},
		{"RSA 2048", set("e", "AQAD"), "key", "do not belong together"},
		{"RSA 2048", set("e", encode(make([]byte, 600))), "e", "1 to 513 bytes"},
		{"RSA 2048", set("e", encode(bytes.Repeat([]byte{255}, 4))), "e", "below 2^31"},
		{"RSA 2048", set("n", encode(bytes.Repeat([]byte{255}, 128))), "key_size", "2048, 3072 or 4096"},
		{"RSA 2048", set("n", ""), "n", "bytes"},
		{"RSA 2048", set("n", "AQ=="), "n", "without padding"},
		{"RSA 2048", set("n", "A+A/"), "n", "base64url"},
		{"EC P-256", set("crv", "P-256K"), "crv", "secp256k1"},
		{"EC P-256", set("crv", "P-224"), "crv", "P-256, P-384 or P-521"},
		{"EC P-256", set("crv", "P-384"), "x", "want 48 bytes"},
		{"EC P-256", without("crv"), "crv", "needs it"},
		{"EC P-256", without("y"), "y", "needs it"},
		{"EC P-256", without("d"), "d", "needs it"},
		{"EC P-256", flip("x"), "x", "no point"},
		{"EC P-256", from("d", "EC P-256", "d"), "key", "do not belong together"},
		{"EC P-256", set("d", encode(make([]byte, 32))), "key", "do not belong together"},
		{"EC P-256", set("d", encode(bytes.Repeat([]byte{255}, 32))), "key", "do not belong together"},
		{"EC P-256", set("d", encode(make([]byte, 33))), "d", "want 32 bytes"},
		{"OKP Ed25519", set("crv", "X25519"), "crv", "Ed25519"},
		{"OKP Ed25519", from("d", "OKP Ed25519", "d"), "key", "do not belong together"},
		{"OKP Ed25519", set("d", encode(make([]byte, 64))), "d", "want 32 bytes"},
		{"OKP Ed25519", without("x"), "x", "needs it"},
		{"oct 256", without("k"), "k", "needs it"},
		{"oct 256", set("k", encode(make([]byte, 15))), "k", "16 to 512 bytes"},
		{"oct 256", set("k", encode(make([]byte, 513))), "k", "16 to 512 bytes"},
		{"oct 256", set("k", encode(make([]byte, 16))+"\n"), "k", "base64url"},
		{"oct 256", set("k", "AAAAAAAAAAAAAAAAAAAAAB"), "k", "base64url"}, // bits left over
		{"oct 256", set("filler", strings.Repeat("x", jwa.MaxJWK)), "key", "at most"},
	} {
		m := privateJWK(t, key(t, test.key))
		test.change(m)
		_, err := jwa.ParseJWK(marshal(t, m))
		t.Run(fmt.Sprint(i), func(t *testing.T) { wantField(t, err, test.field, test.text) })
	}
	for _, text := range []string{"", "null", "[]", "7", `"x"`, "{", `{"kty"}`, `{"kty":"oct"`, `{"kty":"oct"}}`, `{"kty":"oct"}]`, `{"kty":"oct"}{}`, `{"kty":"oct","kty":"oct"}`} {
		_, err := jwa.ParseJWK([]byte(text))
		wantField(t, err, "key", "")
	}
}

// RFC 7517 has case-sensitive names, and encoding/json does not.
func TestJWKNamesAreCaseSensitive(t *testing.T) {
	t.Parallel()
	m := privateJWK(t, key(t, "oct 256"))
	m["K"] = m["k"]
	delete(m, "k")
	_, err := jwa.ParseJWK(marshal(t, m))
	wantField(t, err, "k", "needs it")
}

func TestKeysMadeElsewhere(t *testing.T) {
	t.Parallel()
	small := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	_, err := jwa.New(small)
	wantField(t, err, "key_size", "2048")
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	_, err = jwa.New(p224)
	wantField(t, err, "crv", "P-224")
	a := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	b := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	a.PublicKey = b.PublicKey
	_, err = jwa.New(a)
	wantField(t, err, "key", "belong together")
	for _, other := range []any{nil, "text", ed25519.PrivateKey{1}, &rsa.PrivateKey{}, &ecdsa.PrivateKey{}, []byte{1}} {
		if _, err := jwa.New(other); err == nil {
			t.Errorf("%T is taken", other)
		}
	}
}

func TestSpecs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want jwa.Spec }{
		{jwa.Spec{Type: "RSA"}, jwa.Spec{Type: "RSA", Size: 2048}},
		{jwa.Spec{Type: "EC"}, jwa.Spec{Type: "EC", Curve: "P-256"}},
		{jwa.Spec{Type: "OKP"}, jwa.Spec{Type: "OKP", Curve: "Ed25519"}},
		{jwa.Spec{Type: "oct"}, jwa.Spec{Type: "oct", Size: 256}},
	} {
		if got, err := test.in.Normal(); got != test.want || err != nil {
			t.Errorf("%+v is %+v, %v", test.in, got, err)
		}
	}
	for _, test := range []struct {
		in    jwa.Spec
		field string
	}{
		{jwa.Spec{}, "kty"}, {jwa.Spec{Type: "EC-HSM"}, "kty"}, {jwa.Spec{Type: "dsa"}, "kty"},
		{jwa.Spec{Type: "RSA", Size: 1024}, "key_size"}, {jwa.Spec{Type: "RSA", Size: 8192}, "key_size"}, {jwa.Spec{Type: "RSA", Size: -1}, "key_size"},
		{jwa.Spec{Type: "RSA", Curve: "P-256"}, "crv"}, {jwa.Spec{Type: "EC", Size: 256}, "key_size"},
		{jwa.Spec{Type: "EC", Curve: "P-256K"}, "crv"}, {jwa.Spec{Type: "EC", Curve: "Ed25519"}, "crv"}, {jwa.Spec{Type: "OKP", Curve: "P-256"}, "crv"},
		{jwa.Spec{Type: "oct", Size: 120}, "key_size"}, {jwa.Spec{Type: "oct", Size: 129}, "key_size"}, {jwa.Spec{Type: "oct", Size: 4104}, "key_size"},
	} {
		_, err := jwa.Generate(test.in)
		wantField(t, err, test.field, "")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := must[*jwa.Key](t)(jwa.New([]byte("a secret of 16 b")))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, k); got != "oct 128" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}
