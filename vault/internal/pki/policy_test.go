package pki_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

func TestCompleteIsAsAzure(t *testing.T) {
	t.Parallel()
	p := policy(t, "CN=a", func(p *model.Policy) { p.Issuer.Name = "self" })
	if p.Key != (model.KeyProperties{Exportable: true, Type: "RSA", Size: 2048}) || p.Secret.ContentType != pki.TypePFX || p.Issuer.Name != "Self" ||
		p.X509.ValidityMonths != 12 || len(p.X509.ExtKeyUsage) != 2 || !slices.Equal(p.Lifetime, []model.CertificateAction{{Action: "AutoRenew", LifetimePercentage: 80}}) {
		t.Errorf("%+v", p)
	}
	if !slices.Equal(p.X509.KeyUsage, []string{"digitalSignature", "keyEncipherment"}) {
		t.Errorf("%v", p.X509.KeyUsage)
	}
	p = policy(t, "CN=a", func(p *model.Policy) { p.Key.Type = "OKP" })
	if p.Key.Curve != "Ed25519" || !slices.Equal(p.X509.KeyUsage, []string{"digitalSignature"}) {
		t.Errorf("%+v", p)
	}
	p = policy(t, "CN=a", authority, func(p *model.Policy) { p.Issuer.Name = "UNKNOWN"; p.Key.Type = "EC" })
	if p.Key.Curve != "P-256" || p.Key.Exportable || p.X509.ExtKeyUsage != nil || !slices.Equal(p.X509.KeyUsage, []string{"keyCertSign", "cRLSign"}) || p.Lifetime[0].Action != "EmailContacts" {
		t.Errorf("%+v", p)
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for field, changes := range map[string][]func(*model.Policy){
		"policy.key_props.kty":               {func(p *model.Policy) { p.Key.Type = "oct" }, func(p *model.Policy) { p.Key.Type = "DSA" }},
		"policy.key_props.key_size":          {func(p *model.Policy) { p.Key.Size = 1024 }, func(p *model.Policy) { p.Key = model.KeyProperties{Type: "EC", Size: 384} }},
		"policy.key_props.crv":               {func(p *model.Policy) { p.Key = model.KeyProperties{Type: "EC", Curve: "P-256K"} }, func(p *model.Policy) { p.Key.Type, p.Key.Curve = "RSA", "P-256" }},
		"policy.secret_props.contentType":    {func(p *model.Policy) { p.Secret.ContentType = "text/plain" }},
		"policy.issuer.name":                 {func(p *model.Policy) { p.Issuer.Name = "a/b" }},
		"policy.x509_props.subject":          {func(p *model.Policy) { p.X509.Subject = "a" }, func(p *model.Policy) { p.X509.Subject = "" }, func(p *model.Policy) { authority(p); p.X509.Subject = ""; p.X509.DNSNames = []string{"a"} }},
		"policy.x509_props.sans.dns_names":   {dns("a b"), dns("a..b"), dns("*.*.a"), dns("-a"), dns("köln.example"), dns("")},
		"policy.x509_props.sans.emails":      {func(p *model.Policy) { p.X509.Emails = []string{"A <a@b.c>"} }},
		"policy.x509_props.sans.upns":        {func(p *model.Policy) { p.X509.UPNs = []string{"user"} }},
		"policy.x509_props.sans.ipAddresses": {func(p *model.Policy) { p.X509.IPAddresses = []string{"1.2.3"} }, func(p *model.Policy) { p.X509.IPAddresses = []string{"fe80::1%eth0"} }},
		"policy.x509_props.sans.uris":        {func(p *model.Policy) { p.X509.URIs = []string{"/path"} }},
		"policy.x509_props.sans":             {func(p *model.Policy) { p.X509.DNSNames = slices.Repeat([]string{"a"}, 101) }},
		"policy.x509_props.ekus":             {func(p *model.Policy) { p.X509.ExtKeyUsage = []string{"serverAuth"} }, func(p *model.Policy) { p.X509.ExtKeyUsage = []string{"1.2.3", "1.2.3"} }},
		"policy.x509_props.key_usage":        {func(p *model.Policy) { p.X509.KeyUsage = []string{"DigitalSignature"} }},
		"policy.x509_props.validity_months":  {func(p *model.Policy) { p.X509.ValidityMonths = -1 }, func(p *model.Policy) { p.X509.ValidityMonths = 601 }},
		"policy.x509_props.validity_days":    {func(p *model.Policy) { p.X509.ValidityMonths, p.X509.ValidityDays = 1, 1 }},
		"policy.lifetime_actions.trigger": {func(p *model.Policy) { p.Lifetime = []model.CertificateAction{{Action: "AutoRenew"}} },
			func(p *model.Policy) {
				p.Lifetime = []model.CertificateAction{{Action: "AutoRenew", LifetimePercentage: 1, DaysBeforeExpiry: 1}}
			}},
		"policy.lifetime_actions.trigger.lifetime_percentage": {func(p *model.Policy) {
			p.Lifetime = []model.CertificateAction{{Action: "AutoRenew", LifetimePercentage: 100}}
		}},
		"policy.lifetime_actions.trigger.days_before_expiry": {func(p *model.Policy) {
			p.Lifetime = []model.CertificateAction{{Action: "AutoRenew", DaysBeforeExpiry: 12*27 + 1}}
		}},
		"policy.lifetime_actions.action.action_type": {func(p *model.Policy) {
			p.Lifetime = []model.CertificateAction{{Action: "Renew", LifetimePercentage: 1}}
		}},
	} {
		for i, change := range changes {
			p := &model.Policy{X509: model.X509Properties{Subject: "CN=a"}}
			change(p)
			var fe *model.FieldError
			if err := pki.Check(pki.Complete(p)); !errors.As(err, &fe) || fe.Field != field {
				t.Errorf("%s, %d: %v", field, i, err)
			}
		}
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(0, 0, 100)
	if got := pki.Due(model.CertificateAction{LifetimePercentage: 80}, from, to); !got.Equal(from.AddDate(0, 0, 80)) {
		t.Error(got)
	}
	if got := pki.Due(model.CertificateAction{DaysBeforeExpiry: 30}, from, to); !got.Equal(from.AddDate(0, 0, 70)) {
		t.Error(got)
	}
}

// A month from the last of January ends on the last of February.
func TestMonthsEndWithinTheMonth(t *testing.T) {
	t.Parallel()
	p := policy(t, "CN=a", func(p *model.Policy) { p.X509.ValidityMonths = 1 })
	c, err := pki.SelfSigned(p, ecKey(t, elliptic.P256()), time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2027, 2, 28, 11, 50, 0, 0, time.UTC); !c.NotAfter.Equal(want) {
		t.Errorf("until %v, want %v", c.NotAfter, want)
	}
}

// The policy of a certificate makes the same certificate again.
func TestPolicyOf(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P256())
	want := policy(t, "CN=a,O=b", func(p *model.Policy) {
		p.Key.Type = "EC"
		p.X509.DNSNames, p.X509.UPNs, p.X509.URIs = []string{"a.example"}, []string{"u@d.example"}, []string{"https://a.example"}
		p.X509.IPAddresses, p.X509.Emails = []string{"2001:db8::1"}, []string{"a@b.example"}
		p.X509.ExtKeyUsage = []string{"1.3.6.1.5.5.7.3.2", "1.2.3.4"}
	})
	c, err := pki.SelfSigned(want, key, now)
	if err != nil {
		t.Fatal(err)
	}
	got := pki.PolicyOf(c, true, pki.TypePEM)
	if err := pki.Check(pki.Complete(got)); err != nil {
		t.Fatal(err)
	}
	again, err := pki.SelfSigned(got, key, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []bool{
		string(again.RawSubject) == string(c.RawSubject), slices.EqualFunc(again.Extensions, c.Extensions, func(a, b pkix.Extension) bool { return a.Id.Equal(b.Id) && string(a.Value) == string(b.Value) }),
	} {
		if !same {
			t.Errorf("%+v", got)
		}
	}
	if got.Issuer.Name != "Unknown" || got.Key.Type != "EC" || got.Key.Curve != "P-256" || c.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("%+v", got)
	}
}

func FuzzReadExtensions(f *testing.F) {
	c, err := pki.SelfSigned(policy(f, "CN=a", func(p *model.Policy) { p.X509.UPNs = []string{"u@d.example"} }), ecKey(f, elliptic.P256()), now)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range c.Extensions {
		f.Add(e.Value)
	}
	f.Fuzz(func(_ *testing.T, value []byte) { pki.ReadExtensions(value) })
}
