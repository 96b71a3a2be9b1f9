package certificates_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := policy("CN=web.example.com", dns("web.example.com"))
	tags := map[string]string{"team": "web"}
	op, err := w.Create(ctx, model.Operator, cert("Web"), model.CreateCertificate{Policy: p, Change: model.Change{Tags: tags}})
	if err != nil || op.Status != "completed" || op.Issuer.Name != "Self" || op.Version == "" {
		t.Fatalf("%+v %v", op, err)
	}
	c := w.get(t, "web")
	x := parse(t, c.DER)
	if c.Name != "Web" || c.Version != op.Version || !c.Enabled || !c.Expires.Equal(x.NotAfter) || !c.NotBefore.Equal(x.NotBefore) || c.Tags["team"] != "web" || c.Policy.X509.ValidityMonths != 12 {
		t.Errorf("%+v", c)
	}
	if out, err := w.verify(t, map[string][]byte{"c.pem": certPEM(c.DER)}, "-CAfile", "c.pem", "-verify_hostname", "web.example.com", "c.pem"); err != nil {
		t.Errorf("%v %s", err, out)
	}

	// Its key signs, and its secret has certificate and key.
	digest := sha256.Sum256([]byte("message"))
	signature, kid, err := w.keys.Sign(ctx, model.Operator, as(cert("web"), model.Keys), "ES256", digest[:])
	if err != nil || kid.Version != c.Version {
		t.Fatalf("%v %v", kid, err)
	}
	r, sig := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(x.PublicKey.(*ecdsa.PublicKey), digest[:], r, sig) {
		t.Error("the key is not that of the certificate")
	}
	s := w.secret(t, cert("web"))
	b, contentType, err := pki.Decode(s.Value, "")
	if err != nil || contentType != pki.TypePFX || s.ContentType != pki.TypePFX || !s.Managed || s.Version != c.Version || !b.Certificate.Equal(x) {
		t.Errorf("%v %v %+v", contentType, err, s.ID)
	}

	// The next version, by the policy that is there.
	w.Clock.Advance(time.Hour)
	next := w.create(t, "web", nil)
	if next.Version == c.Version || slices.Equal(next.DER, c.DER) || next.Policy.X509.Subject != "CN=web.example.com" || !next.Policy.Attributes.Created.Equal(c.Policy.Attributes.Created) {
		t.Errorf("%+v", next.Policy)
	}
	versions, err := w.Versions(ctx, model.Operator, cert("web"), model.Page{})
	if err != nil || len(versions.Items) != 2 || versions.Items[0].Version != next.Version || versions.Items[0].DER == nil || versions.Items[0].Policy != nil {
		t.Errorf("%+v %v", versions, err)
	}
	if list, err := w.List(ctx, model.Operator, model.DefaultVault, model.Page{}); err != nil || len(list.Items) != 1 || list.Items[0].Version != next.Version {
		t.Errorf("%+v %v", list, err)
	}
	old, err := w.Get(ctx, model.Operator, model.ID{Vault: model.DefaultVault, Name: "web", Version: c.Version})
	if err != nil || !slices.Equal(old.DER, c.DER) {
		t.Errorf("the version before: %v", err)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]func(*model.Policy){
		"rsa": func(p *model.Policy) { p.Key = model.KeyProperties{} },
		"ed":  func(p *model.Policy) { p.Key = model.KeyProperties{Type: "OKP", Exportable: true} },
		"pem": func(p *model.Policy) { p.Secret.ContentType = pki.TypePEM },
	} {
		c := w.create(t, name, policy("CN="+name, change))
		b, contentType, err := pki.Decode(w.secret(t, c.ID).Value, "")
		if err != nil || contentType != c.Policy.Secret.ContentType || !pki.SameKey(b.Key.Public(), parse(t, c.DER).PublicKey) {
			t.Errorf("%s: %s %v", name, contentType, err)
		}
	}
	c := w.create(t, "kept", policy("CN=kept", func(p *model.Policy) { p.Key.Exportable = false }))
	if s := w.secret(t, c.ID); strings.Contains(s.Value, "PRIVATE") || s.Value != string(certPEM(c.DER)) || s.ContentType != pki.TypePEM {
		t.Errorf("a key that cannot be exported: %s", s.ContentType)
	}
	_, err := w.Create(ctx, model.Operator, cert("none"), model.CreateCertificate{})
	if field(err) != "policy" {
		t.Errorf("without a policy: %v", err)
	}
	_, err = w.Create(ctx, model.Operator, cert("none"), model.CreateCertificate{Policy: policy("none")})
	if field(err) != "policy.x509_props.subject" {
		t.Errorf("a bad subject: %v", err)
	}
}

// A policy cannot take out of the vault what was made to stay there, nor make the key of an authority one for everything.
func TestReuseIsNoWayAround(t *testing.T) {
	t.Parallel()
	kept := func(p *model.Policy) { p.Key.Exportable = false }
	again := func(p *model.Policy) { p.Key.Reuse = true }
	for name, c := range map[string]struct {
		first, next *model.Policy
		good        bool
	}{
		"exported":       {policy("CN=a", kept), policy("CN=a", again), false},
		"kept":           {policy("CN=a", kept), policy("CN=a", kept, again), true},
		"kept from now":  {policy("CN=a"), policy("CN=a", kept, again), true},
		"authority kept": {policy("CN=a", authority, kept), policy("CN=a", authority, again), false},
		"authority":      {policy("CN=a", authority), policy("CN=a", authority, again), true},
		"no authority":   {policy("CN=a", authority), policy("CN=a", again), false},
		"to authority":   {policy("CN=a"), policy("CN=a", authority, again), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(t, "a", c.first)
			_, err := w.Create(ctx, model.Operator, cert("a"), model.CreateCertificate{Policy: c.next})
			if c.good && err != nil || !c.good && field(err) != "policy.key_props.reuse_key" {
				t.Error(err)
			}
			_, err = w.Create(ctx, model.Operator, cert("a"), model.CreateCertificate{Policy: func() *model.Policy { p := *c.next; p.Issuer.Name = "Unknown"; return &p }()})
			if c.good && err != nil || !c.good && field(err) != "policy.key_props.reuse_key" {
				t.Error(err)
			}
		})
	}
}

func TestReuseKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reuse := policy("CN=a", func(p *model.Policy) { p.Key.Reuse = true })
	first := parse(t, w.create(t, "a", reuse).DER)
	second := parse(t, w.create(t, "a", nil).DER)
	if !pki.SameKey(first.PublicKey, second.PublicKey) || first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Error("the key is another one")
	}
	third := parse(t, w.create(t, "a", policy("CN=a", func(p *model.Policy) { p.Key.Reuse, p.Key.Curve = true, "P-384" })).DER)
	if pki.SameKey(second.PublicKey, third.PublicKey) {
		t.Error("a key of another kind is used again")
	}
}

// What has the name already is not taken over.
func TestNameOfASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.secrets.Set(ctx, model.Operator, as(cert("taken"), model.Secrets), model.SetSecret{Value: "v"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Self", "Unknown"} {
		_, err := w.Create(ctx, model.Operator, cert("taken"), model.CreateCertificate{Policy: policy("CN=a", issuer(name))})
		is(t, name, err, model.ErrExists)
	}
	if _, err := w.Pending(ctx, model.Operator, cert("taken")); err == nil {
		t.Error("a request is left")
	}
	if _, err := w.secrets.Delete(ctx, model.Operator, as(cert("taken"), model.Secrets)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Self", "Unknown"} {
		_, err := w.Create(ctx, model.Operator, cert("taken"), model.CreateCertificate{Policy: policy("CN=a", issuer(name))})
		is(t, name, err, model.ErrDeleted)
	}
	// Nor does anybody else change what belongs to a certificate.
	c := w.create(t, "mine", policy("CN=mine"))
	_, err := w.secrets.Set(ctx, model.Operator, as(c.ID, model.Secrets), model.SetSecret{Value: "v"})
	is(t, "set", err, model.ErrManaged)
	_, err = w.keys.Rotate(ctx, model.Operator, as(c.ID, model.Keys))
	is(t, "rotate", err, model.ErrManaged)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create(t, "a", policy("CN=a"))
	off, later := false, w.Now().AddDate(3, 0, 0)
	got, err := w.Update(ctx, model.Operator, c.ID, model.Change{Enabled: &off, Expires: &later, Tags: map[string]string{"k": "v"}})
	if err != nil || got.Enabled || !got.Expires.Equal(c.Expires) || got.Tags["k"] != "v" || got.Policy == nil {
		t.Fatalf("%+v %v", got, err)
	}
	_, err = w.secrets.Get(ctx, model.Operator, as(c.ID, model.Secrets))
	is(t, "its secret", err, model.ErrDisabled)
	digest := make([]byte, 32)
	_, _, err = w.keys.Sign(ctx, model.Operator, as(c.ID, model.Keys), "ES256", digest)
	is(t, "its key", err, model.ErrDisabled)

	p, err := w.SetPolicy(ctx, model.Operator, c.ID, policy("CN=b"))
	if err != nil || p.X509.Subject != "CN=b" || !p.Attributes.Created.Equal(c.Policy.Attributes.Created) {
		t.Fatalf("%+v %v", p, err)
	}
	if p, err = w.Policy(ctx, model.Operator, cert("a")); err != nil || p.X509.Subject != "CN=b" {
		t.Errorf("%+v %v", p, err)
	}
	if next := parse(t, w.create(t, "a", nil).DER); next.Subject.CommonName != "b" {
		t.Error(next.Subject)
	}
	_, err = w.SetPolicy(ctx, model.Operator, cert("none"), policy("CN=b"))
	is(t, "no certificate", err, model.ErrNotFound)
}

// refusing is a guard that refuses some operations.
type refusing struct {
	model.Guard
	ops []model.Op
}

func (g *refusing) Do(ctx context.Context, by model.Caller, op *model.Operation, fn func(ctx context.Context) error) error {
	if slices.Contains(g.ops, op.Op) {
		return model.ErrForbidden
	}
	return g.Guard.Do(ctx, by, op, fn)
}

// Who may not do something learns nothing, and an authority below another one is for who may set issuers.
func TestRights(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	w := on(v, v.Guard, items.Options{})
	w.create(t, "ca", policy("CN=CA", authority))
	w.signer(t, "ca")
	poor := on(v, &refusing{v.Guard, []model.Op{model.OpSetIssuers}}, items.Options{})
	poor.create(t, "leaf", policy("CN=leaf", issuer("ca")))
	_, err := poor.Create(ctx, model.Operator, cert("sub"), model.CreateCertificate{Policy: policy("CN=sub", issuer("ca"), authority)})
	is(t, "an authority", err, model.ErrForbidden)
	_, err = poor.SetPolicy(ctx, model.Operator, cert("leaf"), policy("CN=leaf", issuer("ca"), authority))
	is(t, "a policy for one", err, model.ErrForbidden)

	nobody := on(v, &refusing{v.Guard, model.OpsOf(model.Certificates)}, items.Options{})
	for _, name := range []string{"ca", "none"} {
		_, err := nobody.Get(ctx, model.Operator, cert(name))
		is(t, "get", err, model.ErrForbidden)
		_, err = nobody.Create(ctx, model.Operator, cert(name), model.CreateCertificate{})
		is(t, "create", err, model.ErrForbidden)
		_, err = nobody.Import(ctx, model.Operator, cert(name), model.ImportCertificate{Value: "?"})
		is(t, "import", err, model.ErrForbidden)
		_, err = nobody.Merge(ctx, model.Operator, cert(name), [][]byte{w.get(t, "ca").DER}, model.Change{})
		is(t, "merge", err, model.ErrForbidden)
		is(t, "revoke", nobody.Revoke(ctx, model.Operator, cert(name), 0), model.ErrForbidden)
		_, err = nobody.TakeOffline(ctx, model.Operator, cert(name))
		is(t, "take offline", err, model.ErrForbidden)
	}
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.Create(ctx, model.Operator, cert("a"), model.CreateCertificate{Policy: policy("CN=a")}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	versions, err := w.Versions(ctx, model.Operator, cert("a"), model.Page{})
	if err != nil || len(versions.Items) != 8 {
		t.Errorf("%d versions, %v", len(versions.Items), err)
	}
	for _, v := range versions.Items {
		if s, err := w.secrets.Get(ctx, model.Operator, as(v.ID, model.Secrets)); err != nil || s.Version != v.Version {
			t.Errorf("%v: %v", v.ID, err)
		}
	}
}
