package rest_test

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA-OAEP is made with it
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// public reads a key as a JOSE library does.
func public(t *testing.T, k *azkeys.JSONWebKey) *jose.JSONWebKey {
	t.Helper()
	text, err := json.Marshal(k)
	must(t, err)
	var jwk jose.JSONWebKey
	must(t, jwk.UnmarshalJSON(text))
	if !jwk.IsPublic() {
		t.Fatalf("%s is no public key", text)
	}
	return &jwk
}

// openssl runs openssl on files of a folder.
func openssl(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func needOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl")
	}
}

// write puts a file into a folder.
func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
}

// Signatures are good for Go, for a JOSE library and for openssl, and the vault verifies what it should alone.
func TestSignatures(t *testing.T) {
	t.Parallel()
	needOpenSSL(t)
	v := openVault(t)
	c := v.keys(t, &surface{})
	for _, k := range []struct {
		name, kty, crv string
		algs           []string
	}{
		{"rsa", "RSA", "", []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{"p256", "EC", "P-256", []string{"ES256"}},
		{"p384", "EC-HSM", "P-384", []string{"ES384"}},
		{"p521", "EC", "P-521", []string{"ES512"}},
		{"ed", "OKP", "Ed25519", []string{"EdDSA"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			in := azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyType(k.kty))}
			if k.crv != "" {
				in.Curve = to.Ptr(azkeys.CurveName(k.crv))
			}
			made, err := c.CreateKey(t.Context(), k.name, in, nil)
			must(t, err)
			if strings.HasSuffix(k.kty, "-HSM") { // what JOSE does not know
				made.Key.Kty = to.Ptr(azkeys.KeyType(strings.TrimSuffix(k.kty, "-HSM")))
			}
			for _, alg := range k.algs {
				checkSignature(t, c, made.Key, alg)
			}
		})
	}
}

func hashOf(alg string) crypto.Hash {
	return map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
}

func checkSignature(t *testing.T, c *azkeys.Client, key *azkeys.JSONWebKey, alg string) {
	t.Helper()
	jwk := public(t, key)
	part := base64.RawURLEncoding.EncodeToString
	message := part([]byte(`{"alg":"`+alg+`"}`)) + "." + part([]byte("hello"))
	digest := []byte(message) // Ed25519 signs the message itself
	if alg != "EdDSA" {
		h := hashOf(alg).New()
		h.Write([]byte(message))
		digest = h.Sum(nil)
	}
	signed, err := c.Sign(t.Context(), key.KID.Name(), "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithm(alg)), Value: digest}, nil)
	must(t, err)
	if *signed.KID != *key.KID {
		t.Errorf("%s: signed by %s", alg, *signed.KID)
	}
	jws, err := jose.ParseSignedCompact(message+"."+part(signed.Result), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	must(t, err)
	if payload, err := jws.Verify(jwk); err != nil || string(payload) != "hello" {
		t.Errorf("%s: JOSE says %v", alg, err)
	}
	if err := verify(jwk.Key, alg, digest, signed.Result); err != nil {
		t.Errorf("%s: Go says %v", alg, err)
	}
	opensslVerify(t, jwk.Key, alg, []byte(message), signed.Result)

	for _, signature := range [][]byte{signed.Result, flipped(signed.Result)} {
		got, err := c.Verify(t.Context(), key.KID.Name(), key.KID.Version(), azkeys.VerifyParameters{
			Algorithm: to.Ptr(azkeys.SignatureAlgorithm(alg)), Digest: digest, Signature: signature,
		}, nil)
		must(t, err)
		if want := string(signature) == string(signed.Result); *got.Value != want {
			t.Errorf("%s: the vault says %v, want %v", alg, *got.Value, want)
		}
	}
}

func flipped(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[len(b)/2] ^= 1
	return b
}

// verify checks a signature with Go's own crypto.
func verify(key any, alg string, digest, signature []byte) error {
	ok := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		if alg[:2] == "PS" {
			return rsa.VerifyPSS(k, hashOf(alg), digest, signature, nil)
		}
		return rsa.VerifyPKCS1v15(k, hashOf(alg), digest, signature)
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		ok = ecdsa.Verify(k, digest, new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, digest, signature)
	}
	if !ok {
		return fmt.Errorf("a signature of %T does not verify", key)
	}
	return nil
}

// opensslVerify checks a signature with openssl, which wants those of elliptic curves in DER.
func opensslVerify(t *testing.T, key any, alg string, message, signature []byte) {
	t.Helper()
	dir := t.TempDir()
	spki, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	if _, is := key.(*ecdsa.PublicKey); is {
		half := len(signature) / 2
		signature, err = asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
		must(t, err)
	}
	write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	write(t, dir, "message", message)
	write(t, dir, "signature", signature)
	args := []string{"dgst", "-sha" + alg[2:], "-verify", "key.pem", "-signature", "signature"}
	switch alg[:2] {
	case "PS":
		args = append(args, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
	case "Ed":
		args = []string{"pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-sigfile", "signature", "-in"}
	}
	out, err := openssl(t, dir, append(args, "message")...)
	if err != nil {
		t.Errorf("%s: openssl says %v: %s", alg, err, out)
	}
	write(t, dir, "message", append(message, '!'))
	if out, err := openssl(t, dir, append(args, "message")...); err == nil {
		t.Errorf("%s: openssl takes another message: %s", alg, out)
	}
}

// What others encrypt for a key the vault decrypts, and the other way around.
func TestCiphers(t *testing.T) {
	t.Parallel()
	v, ctx := openVault(t), t.Context()
	c := v.keys(t, &surface{})
	made, err := c.CreateKey(ctx, "rsa", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA)}, nil)
	must(t, err)
	jwk := public(t, made.Key)
	key := jwk.Key.(*rsa.PublicKey)
	ask := func(do func(context.Context, string, string, azkeys.KeyOperationParameters) (azkeys.KeyOperationResult, error), name, alg string, in azkeys.KeyOperationParameters) azkeys.KeyOperationResult {
		t.Helper()
		in.Algorithm = to.Ptr(azkeys.EncryptionAlgorithm(alg))
		out, err := do(ctx, name, "", in)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		return out
	}
	encrypt := func(ctx context.Context, name, version string, in azkeys.KeyOperationParameters) (azkeys.KeyOperationResult, error) {
		out, err := c.Encrypt(ctx, name, version, in, nil)
		return out.KeyOperationResult, err
	}
	decrypt := func(ctx context.Context, name, version string, in azkeys.KeyOperationParameters) (azkeys.KeyOperationResult, error) {
		out, err := c.Decrypt(ctx, name, version, in, nil)
		return out.KeyOperationResult, err
	}
	wrap := func(ctx context.Context, name, version string, in azkeys.KeyOperationParameters) (azkeys.KeyOperationResult, error) {
		out, err := c.WrapKey(ctx, name, version, in, nil)
		return out.KeyOperationResult, err
	}
	unwrap := func(ctx context.Context, name, version string, in azkeys.KeyOperationParameters) (azkeys.KeyOperationResult, error) {
		out, err := c.UnwrapKey(ctx, name, version, in, nil)
		return out.KeyOperationResult, err
	}

	// RSA, by Go
	for alg, hash := range map[string]crypto.Hash{"RSA-OAEP": crypto.SHA1, "RSA-OAEP-256": crypto.SHA256} {
		h := sha256.New()
		if hash == crypto.SHA1 {
			h = sha1.New() //nolint:gosec // see the import
		}
		box, err := rsa.EncryptOAEP(h, rand.Reader, key, []byte("text"), nil)
		must(t, err)
		if got := ask(decrypt, "rsa", alg, azkeys.KeyOperationParameters{Value: box}); string(got.Result) != "text" {
			t.Errorf("%s: %q", alg, got.Result)
		}
		own := ask(encrypt, "rsa", alg, azkeys.KeyOperationParameters{Value: []byte("mine")})
		if got := ask(decrypt, "rsa", alg, azkeys.KeyOperationParameters{Value: own.Result}); string(got.Result) != "mine" {
			t.Errorf("%s: %q", alg, got.Result)
		}
	}
	// RSA, by a JOSE library: the vault unwraps the key of what was encrypted
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: jwk}, nil)
	must(t, err)
	jwe, err := encrypter.Encrypt([]byte("letter"))
	must(t, err)
	compact, err := jwe.CompactSerialize()
	must(t, err)
	part := strings.Split(compact, ".")
	var bytes [5][]byte
	for i := range part {
		bytes[i], err = base64.RawURLEncoding.DecodeString(part[i])
		must(t, err)
	}
	cek := ask(unwrap, "rsa", "RSA-OAEP-256", azkeys.KeyOperationParameters{Value: bytes[1]}).Result
	if got, err := gcm(t, cek).Open(nil, bytes[2], append(bytes[3], bytes[4]...), []byte(part[0])); err != nil || string(got) != "letter" {
		t.Errorf("JWE: %q %v", got, err)
	}

	// AES, with a key that both know
	secret := []byte("0123456789abcdef0123456789abcdef")
	_, err = c.ImportKey(ctx, "aes", azkeys.ImportKeyParameters{Key: &azkeys.JSONWebKey{Kty: to.Ptr(azkeys.KeyTypeOct), K: secret}}, nil)
	must(t, err)
	block, err := aes.NewCipher(secret)
	must(t, err)
	box := ask(encrypt, "aes", "A256GCM", azkeys.KeyOperationParameters{Value: []byte("text"), AdditionalAuthenticatedData: []byte("aad")})
	if got, err := gcm(t, secret).Open(nil, box.IV, append(box.Result, box.AuthenticationTag...), []byte("aad")); err != nil || string(got) != "text" {
		t.Errorf("A256GCM: %q %v", got, err)
	}
	nonce := []byte("twelve bytes")
	sealed := gcm(t, secret).Seal(nil, nonce, []byte("text"), []byte("aad"))
	if got := ask(decrypt, "aes", "A256GCM", azkeys.KeyOperationParameters{
		Value: sealed[:4], AuthenticationTag: sealed[4:], IV: nonce, AdditionalAuthenticatedData: []byte("aad"),
	}); string(got.Result) != "text" {
		t.Errorf("A256GCM: %q", got.Result)
	}
	wrapped := ask(wrap, "aes", "A256KW", azkeys.KeyOperationParameters{Value: secret})
	if got, err := josecipher.KeyUnwrap(block, wrapped.Result); err != nil || string(got) != string(secret) {
		t.Errorf("A256KW: %x %v", got, err)
	}
	theirs, err := josecipher.KeyWrap(block, []byte("sixteen bytes ..")[:16])
	must(t, err)
	if got := ask(unwrap, "aes", "A256KW", azkeys.KeyOperationParameters{Value: theirs}); string(got.Result) != "sixteen bytes .." {
		t.Errorf("A256KW: %q", got.Result)
	}
	_, err = c.Encrypt(ctx, "aes", "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: []byte("x")}, nil)
	if e := wantCode(t, err, 403, "Forbidden"); e != nil && !strings.Contains(e.Error(), "RSA-OAEP-256") {
		t.Errorf("an algorithm of others: %v", e)
	}
}

func gcm(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	must(t, err)
	aead, err := cipher.NewGCM(block)
	must(t, err)
	return aead
}
