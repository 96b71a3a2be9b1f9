package oidc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
)

// BenchmarkClientCredentials issues access tokens to an application, with the entry in the audit log, on a store in memory.
func BenchmarkClientCredentials(b *testing.B) {
	for _, alg := range []string{directory.RS256, directory.ES256, directory.EdDSA} {
		b.Run(alg, func(b *testing.B) {
			w := newWorld(b)
			w.Do(b, func(ctx context.Context) error {
				_, err := w.UpdateAPI(ctx, directory.Command, w.api.ID, func(a *directory.API) error { a.SigningAlg = alg; return nil })
				return err
			})
			body := url.Values{
				"grant_type": {"client_credentials"}, "client_id": {w.web.ClientID}, "client_secret": {w.secret}, "audience": {apiName},
			}.Encode()
			send := func() {
				r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				rec := httptest.NewRecorder()
				w.provider.ServeHTTP(rec, r)
				if rec.Code != http.StatusOK {
					b.Fatalf("answer %d %s", rec.Code, rec.Body)
				}
			}
			send() // makes the key
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					send()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
