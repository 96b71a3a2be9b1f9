package keys_test

import (
	"testing"

	"github.com/perdure/perdure/vault/internal/keys"
)

// What a signature costs with its unit of work, on a store in memory, without rights and audit.
func BenchmarkSign(b *testing.B) {
	for _, c := range []struct{ alg, typ string }{{"ES256", "EC"}, {"RS256", "RSA"}, {"HS512", "oct 512"}} {
		b.Run(c.alg, func(b *testing.B) {
			w := newWorld(b, keys.Options{})
			w.create(b, "k", c.typ)
			value := digest("m")
			for b.Loop() {
				if _, _, err := w.Sign(b.Context(), by, id("k"), c.alg, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
