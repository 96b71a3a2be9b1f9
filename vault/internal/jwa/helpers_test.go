package jwa_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// made are keys that the tests share, since RSA takes long.
var made sync.Map // name of a key → func() *jwa.Key

// key returns the one key of a name: "RSA 2048", "EC P-256", "OKP Ed25519", "oct 256".
func key(t testing.TB, name string) *jwa.Key {
	t.Helper()
	f, _ := made.LoadOrStore(name, sync.OnceValue(func() *jwa.Key { return generate(t, name) }))
	return f.(func() *jwa.Key)()
}

func generate(t testing.TB, name string) *jwa.Key {
	t.Helper()
	k, err := jwa.Generate(specs[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return k
}

var specs = map[string]jwa.Spec{
	"RSA 2048": {Type: "RSA", Size: 2048}, "RSA 3072": {Type: "RSA", Size: 3072}, "RSA 4096": {Type: "RSA", Size: 4096},
	"EC P-256": {Type: "EC", Curve: "P-256"}, "EC P-384": {Type: "EC", Curve: "P-384"}, "EC P-521": {Type: "EC", Curve: "P-521"},
	"OKP Ed25519": {Type: "OKP", Curve: "Ed25519"},
	"oct 128":     {Type: "oct", Size: 128}, "oct 192": {Type: "oct", Size: 192}, "oct 256": {Type: "oct", Size: 256},
	"oct 384": {Type: "oct", Size: 384}, "oct 512": {Type: "oct", Size: 512}, "oct 2048": {Type: "oct", Size: 2048},
}

// signers are the algorithms for signatures with a key that has them, and the hash whose digest they take.
var signers = []struct {
	alg, key string
	hash     crypto.Hash // 0: the message itself
}{
	{"RS256", "RSA 2048", crypto.SHA256}, {"RS384", "RSA 2048", crypto.SHA384}, {"RS512", "RSA 3072", crypto.SHA512},
	{"PS256", "RSA 2048", crypto.SHA256}, {"PS384", "RSA 2048", crypto.SHA384}, {"PS512", "RSA 3072", crypto.SHA512},
	{"ES256", "EC P-256", crypto.SHA256}, {"ES384", "EC P-384", crypto.SHA384}, {"ES512", "EC P-521", crypto.SHA512},
	{"EdDSA", "OKP Ed25519", 0},
	{"HS256", "oct 256", 0}, {"HS384", "oct 384", 0}, {"HS512", "oct 512", 0}, {"HS256", "oct 2048", 0},
}

// digest is what an algorithm takes of a message.
func digest(hash crypto.Hash, message string) []byte {
	if hash == 0 {
		return []byte(message)
	}
	h := hash.New()
	h.Write([]byte(message))
	return h.Sum(nil)
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantField fails unless err is about a field of a request, with a text in it.
func wantField(t testing.TB, err error, field, text string) {
	t.Helper()
	var f *model.FieldError
	if !errors.As(err, &f) || f.Field != field || !strings.Contains(f.Detail, text) {
		t.Errorf("error %v, want one of field %q with %q", err, field, text)
	}
}

// must returns what came without an error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
