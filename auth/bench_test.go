package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/perdure/perdure/auth"
)

func BenchmarkVerifyCached(b *testing.B) {
	i := newIssuer(b, "", pairs()["RS256"])
	v := i.verifier(b)
	token := pairs()["RS256"].sign(at, i.claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCachedParallel(b *testing.B) {
	i := newIssuer(b, "", pairs()["RS256"])
	v := i.verifier(b)
	token := pairs()["RS256"].sign(at, i.claims())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkVerifyUncached(b *testing.B) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES512", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			i := newIssuer(b, "", pairs()[alg])
			v := i.verifier(b, func(c *auth.VerifierConfig) { c.CacheSize = -1 })
			token := pairs()[alg].sign(at, i.claims())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMiddleware(b *testing.B) {
	i := newIssuer(b, "", pairs()["RS256"])
	policy := auth.All(auth.Permission("read:files"), auth.Any(auth.Role("admin"), auth.Scope("read")))
	h := auth.Middleware(i.verifier(b), policy, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+pairs()["RS256"].sign(at, i.claims()))
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	if w.Code != http.StatusOK {
		b.Fatal(w.Code)
	}
}
