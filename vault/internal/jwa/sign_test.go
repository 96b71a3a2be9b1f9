package jwa_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, s := range signers {
		k, value := key(t, s.key), digest(s.hash, "what is signed")
		sig, err := k.Sign(s.alg, value)
		if err != nil {
			t.Errorf("%s: %v", s.alg, err)
			continue
		}
		if ok, err := k.Verify(s.alg, value, sig); !ok || err != nil {
			t.Errorf("%s: %v, %v", s.alg, ok, err)
		}
		for what, bad := range map[string][]byte{
			"changed": append([]byte{sig[0] ^ 1}, sig[1:]...), "short": sig[1:], "long": append(bytes.Clone(sig), 0), "empty": nil, "zero": make([]byte, len(sig)),
		} {
			if ok, err := k.Verify(s.alg, value, bad); ok || err != nil {
				t.Errorf("%s, %s signature: %v, %v", s.alg, what, ok, err)
			}
		}
		if ok, err := k.Verify(s.alg, digest(s.hash, "something else"), sig); ok || err != nil {
			t.Errorf("%s, another message: %v, %v", s.alg, ok, err)
		}
		if ok, err := generate(t, cheaper(s.key)).Verify(s.alg, value, sig); s.key == cheaper(s.key) && (ok || err != nil) {
			t.Errorf("%s, another key: %v, %v", s.alg, ok, err)
		}
	}
}

// cheaper is the name of a key that can be made often.
func cheaper(name string) string {
	if specs[name].Type == jwa.RSA {
		return "oct 256"
	}
	return name
}

// A JOSE library must read our signatures, and we its own.
func TestSignaturesWithGoJOSE(t *testing.T) {
	t.Parallel()
	for _, s := range signers {
		k := key(t, s.key)
		private, public := joseKey(t, k)
		opts := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.alg), Key: private}
		js, err := jose.NewSigner(opts, nil)
		if err != nil {
			t.Errorf("%s: %v", s.alg, err)
			continue
		}
		theirs, err := js.Sign([]byte("what is signed"))
		if err != nil {
			t.Errorf("%s: %v", s.alg, err)
			continue
		}
		compact := must[string](t)(theirs.CompactSerialize())
		parts := bytes.Split([]byte(compact), []byte("."))
		input := string(bytes.Join(parts[:2], []byte(".")))
		if ok, err := k.Verify(s.alg, digest(s.hash, input), unbase64(t, string(parts[2]))); !ok || err != nil {
			t.Errorf("%s of go-jose: %v, %v", s.alg, ok, err)
		}

		ours := must[[]byte](t)(k.Sign(s.alg, digest(s.hash, input)))
		parsed, err := jose.ParseSignedCompact(input+"."+encode(ours), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.alg)})
		if err != nil {
			t.Errorf("%s: %v", s.alg, err)
			continue
		}
		if _, err := parsed.Verify(public); err != nil {
			t.Errorf("%s for go-jose: %v", s.alg, err)
		}
	}
}

func TestWrongDigests(t *testing.T) {
	t.Parallel()
	for _, s := range signers {
		k, right := key(t, s.key), digest(s.hash, "m")
		bad := [][]byte{nil, right[1:], append(bytes.Clone(right), 0)}
		if s.hash == 0 {
			bad = [][]byte{make([]byte, jwa.MaxData+1)}
		}
		for _, value := range bad {
			_, err := k.Sign(s.alg, value)
			wantField(t, err, "value", fmt.Sprint(len(value)))
			_, err = k.Verify(s.alg, value, nil)
			wantField(t, err, "value", fmt.Sprint(len(value)))
		}
	}
}

func TestAlgorithmsOfOtherKeys(t *testing.T) {
	t.Parallel()
	for name := range specs {
		if name == "RSA 4096" { // takes long, and is as the other ones
			continue
		}
		k := key(t, name)
		for _, s := range signers {
			_, err := k.Sign(s.alg, digest(s.hash, "m"))
			fits := specs[s.key].Type == k.Spec().Type && specs[s.key].Curve == k.Spec().Curve
			if fits && k.Spec().Type == jwa.Oct {
				fits = k.Spec().Size >= map[string]int{"HS256": 256, "HS384": 384, "HS512": 512}[s.alg]
			}
			if fits && err != nil || !fits && !errors.Is(err, model.ErrOperation) {
				t.Errorf("%s by %s: %v", s.alg, name, err)
			}
		}
		for _, alg := range []string{"", "none", "rs256", "RSA-OAEP", "A256KW", "ES256K"} {
			_, err := k.Sign(alg, make([]byte, 32))
			wantField(t, err, "alg", "")
		}
	}
}

func TestSigner(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"RSA 2048", "EC P-384", "OKP Ed25519"} {
		k := key(t, name)
		s := must[crypto.Signer](t)(k.Signer())
		if p, ok := s.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(k.PublicKey()) {
			t.Errorf("%s: public keys %v and %v", name, s.Public(), k.PublicKey())
		}
	}
	if _, err := key(t, "oct 256").Signer(); !errors.Is(err, model.ErrOperation) || key(t, "oct 256").PublicKey() != nil {
		t.Errorf("oct signs: %v", err)
	}
}
