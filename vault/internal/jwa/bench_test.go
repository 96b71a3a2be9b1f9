package jwa_test

import (
	"testing"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

func BenchmarkSign(b *testing.B) {
	for _, s := range signers {
		b.Run(s.alg+" "+s.key, func(b *testing.B) {
			k, value := key(b, s.key), digest(s.hash, "what is signed")
			for b.Loop() {
				must[[]byte](b)(k.Sign(s.alg, value))
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, s := range signers {
		b.Run(s.alg+" "+s.key, func(b *testing.B) {
			k, value := key(b, s.key), digest(s.hash, "what is signed")
			sig := must[[]byte](b)(k.Sign(s.alg, value))
			for b.Loop() {
				must[bool](b)(k.Verify(s.alg, value, sig))
			}
		})
	}
}

func BenchmarkUnwrap(b *testing.B) {
	for _, w := range wrappers {
		b.Run(w.alg+" "+w.key, func(b *testing.B) {
			k := key(b, w.key)
			in := must[*model.Cipher](b)(k.Wrap(&model.Cipher{Alg: w.alg, Value: make([]byte, 32)}))
			for b.Loop() {
				must[*model.Cipher](b)(k.Unwrap(in))
			}
		})
	}
}

// What the cache of the keys service saves.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"RSA 2048", "RSA 4096", "EC P-256", "OKP Ed25519", "oct 256"} {
		b.Run(name, func(b *testing.B) {
			stored := must[[]byte](b)(key(b, name).Encode())
			for b.Loop() {
				must[*jwa.Key](b)(jwa.Decode(stored))
			}
		})
	}
}
