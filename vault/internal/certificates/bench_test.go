package certificates_test

import (
	"testing"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// BenchmarkCreate makes certificates that an authority of the vault signs.
func BenchmarkCreate(b *testing.B) {
	v := vaulttest.New(b)
	w := on(v, v.Guard, items.Options{})
	make := func(name string, p *model.Policy) {
		if _, err := w.Create(ctx, model.Operator, cert(name), model.CreateCertificate{Policy: p}); err != nil {
			b.Fatal(err)
		}
	}
	make("ca", policy("CN=CA", authority))
	if _, err := w.SetIssuer(ctx, model.Operator, model.Issuer{Vault: model.DefaultVault, Name: "ca", Provider: "Perdure", AccountID: "ca", Enabled: true}); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		if n++; n%model.MaxVersions == 0 { // an item has no more
			b.StopTimer()
			if _, err := w.Delete(ctx, model.Operator, cert("leaf")); err != nil {
				b.Fatal(err)
			}
			if err := w.Purge(ctx, model.Operator, cert("leaf")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		make("leaf", policy("CN=leaf", issuer("ca")))
	}
}

// BenchmarkCRL is what a client costs that fetches a list.
func BenchmarkCRL(b *testing.B) {
	v := vaulttest.New(b)
	w := on(v, v.Guard, items.Options{})
	if _, err := w.Create(ctx, model.Operator, cert("ca"), model.CreateCertificate{Policy: policy("CN=CA", authority)}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.CRL(ctx, model.DefaultVault, "ca"); err != nil {
			b.Fatal(err)
		}
	}
}
