package certificates_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/certificates"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// hierarchy makes a root, an intermediate, and a leaf that this has signed.
func (w *world) hierarchy(t *testing.T) (root, middle, leaf *model.Certificate) {
	t.Helper()
	root = w.create(t, "root", policy("CN=Root,O=Example", authority))
	w.signer(t, "root")
	middle = w.create(t, "middle", policy("CN=Middle,O=Example", authority, issuer("root")))
	w.signer(t, "middle")
	return root, middle, w.create(t, "leaf", policy("CN=leaf.example.com", issuer("middle"), dns("leaf.example.com")))
}

func (w *world) crl(t *testing.T, authority string) []byte {
	t.Helper()
	der, err := w.CRL(ctx, model.DefaultVault, authority)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func crlPEM(ders ...[]byte) []byte {
	var all []byte
	for _, der := range ders {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return all
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, middle, leaf := w.hierarchy(t)
	files := map[string][]byte{"root.pem": certPEM(root.DER), "chain.pem": certPEM(leaf.Chain...), "leaf.pem": certPEM(leaf.DER)}
	args := []string{"-CAfile", "root.pem", "-untrusted", "chain.pem", "-purpose", "sslserver", "-verify_hostname", "leaf.example.com"}
	if out, err := w.verify(t, files, append(args, "leaf.pem")...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	x := parse(t, leaf.DER)
	list := "middle-" + middle.Version
	if want := "https://default.example/crl/" + list + ".crl"; len(x.CRLDistributionPoints) != 1 || x.CRLDistributionPoints[0] != want {
		t.Errorf("lists at %v, want %v", x.CRLDistributionPoints, want)
	}
	// The secret has the chain, which servers send.
	if b, _, err := pki.Decode(w.secret(t, leaf.ID).Value, ""); err != nil || len(b.Chain) != 1 {
		t.Errorf("%v", err)
	}

	// Revocation: of the leaf by the intermediate, then of the intermediate by the root.
	before := w.crl(t, list)
	if string(before) != string(w.crl(t, list)) || string(before) != string(w.crl(t, "Middle")) {
		t.Error("the list is made anew each time")
	}
	files["lists.pem"] = crlPEM(before, w.crl(t, "root"))
	check := append(args, "-crl_check_all", "-CRLfile", "lists.pem", "leaf.pem")
	if out, err := w.verify(t, files, check...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	other := w.create(t, "other", policy("CN=other", issuer("middle")))
	if err := w.Revoke(ctx, model.Operator, cert("leaf"), 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Revoke(ctx, model.Operator, cert("leaf"), 4); err != nil {
		t.Errorf("again: %v", err)
	}
	if c := w.get(t, "leaf"); c.Revoked.IsZero() {
		t.Error("it does not say so")
	}
	files["lists.pem"] = crlPEM(w.crl(t, list), w.crl(t, "root"))
	if out, err := w.verify(t, files, check...); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("%v %s", err, out)
	}
	files["leaf.pem"] = certPEM(other.DER)
	good := []string{"-CAfile", "root.pem", "-untrusted", "chain.pem", "-crl_check_all", "-CRLfile", "lists.pem", "leaf.pem"}
	if out, err := w.verify(t, files, good...); err != nil {
		t.Errorf("one that is not revoked: %v %s", err, out)
	}
	l, err := x509.ParseRevocationList(w.crl(t, list))
	if err != nil || len(l.RevokedCertificateEntries) != 1 || l.RevokedCertificateEntries[0].ReasonCode != 1 {
		t.Errorf("%+v %v", l, err)
	}
	if err := w.Revoke(ctx, model.Operator, cert("middle"), 2); err != nil {
		t.Fatal(err)
	}
	files["lists.pem"] = crlPEM(w.crl(t, list), w.crl(t, "root"))
	if out, err := w.verify(t, files, good...); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("%v %s", err, out)
	}
	if _, err := w.Create(ctx, model.Operator, cert("more"), model.CreateCertificate{Policy: policy("CN=more", issuer("middle"))}); field(err) != "policy.issuer.name" {
		t.Errorf("signed by one that is revoked: %v", err)
	}

	// What cannot be revoked, and who has no list.
	for name, err := range map[string]error{
		"self-signed": w.Revoke(ctx, model.Operator, cert("root"), 0), "reason": w.Revoke(ctx, model.Operator, cert("leaf"), 6),
	} {
		is(t, name, err, model.ErrInvalid)
	}
	is(t, "none", w.Revoke(ctx, model.Operator, cert("none"), 0), model.ErrNotFound)
	for _, name := range []string{"leaf", "none", "middle-00000000000000000000000000000000"} {
		_, err := w.CRL(ctx, model.DefaultVault, name)
		is(t, name, err, model.ErrNotFound)
	}
	_, err = w.CRL(ctx, model.DefaultVault, "a/b")
	is(t, "no name", err, model.ErrInvalid)
}

// A list is good for a week, made anew in time, and an ended certificate leaves it after that.
func TestListsInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hierarchy(t)
	if err := w.Revoke(ctx, model.Operator, cert("leaf"), 0); err != nil {
		t.Fatal(err)
	}
	first := w.crl(t, "middle")
	w.Clock.Advance(3 * 24 * time.Hour)
	if string(w.crl(t, "middle")) != string(first) {
		t.Error("made anew after three days")
	}
	w.Clock.Advance(24 * time.Hour)
	second := w.crl(t, "middle")
	off := false
	if _, err := w.Update(ctx, model.Operator, cert("middle"), model.Change{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(4 * 24 * time.Hour)
	list := "middle-" + w.get(t, "middle").Version
	third := w.crl(t, list) // one that is disabled says still what is revoked
	if string(third) == string(second) {
		t.Error("not made anew by an authority that is disabled")
	}
	if _, err := w.Delete(ctx, model.Operator, cert("middle")); err != nil {
		t.Fatal(err)
	}
	if string(w.crl(t, list)) != string(third) {
		t.Error("the last list is gone with the authority")
	}
	_, err := w.CRL(ctx, model.DefaultVault, "middle")
	is(t, "deleted", err, model.ErrNotFound)
	if _, err := w.Recover(ctx, model.Operator, cert("middle")); err != nil {
		t.Fatal(err)
	}
	on := true
	if _, err := w.Update(ctx, model.Operator, cert("middle"), model.Change{Enabled: &on}); err != nil {
		t.Fatal(err)
	}
	a, errA := x509.ParseRevocationList(first)
	b, errB := x509.ParseRevocationList(second)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if b.Number.Cmp(a.Number) <= 0 || !b.NextUpdate.After(a.NextUpdate) || len(b.RevokedCertificateEntries) != 1 {
		t.Errorf("%+v", b)
	}
	w.Clock.Advance(380 * 24 * time.Hour)
	if _, _, err := w.RenewDue(ctx); err != nil {
		t.Fatal(err)
	}
	if l, err := x509.ParseRevocationList(w.crl(t, "middle")); err != nil || len(l.RevokedCertificateEntries) != 0 || l.Number.Cmp(b.Number) <= 0 {
		t.Errorf("%+v %v", l, err)
	}
}

// The next version of an authority has a key of its own. What the one before has signed is revoked on a list by that key.
func TestNextVersionOfAnAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, old, leaf := w.hierarchy(t)
	next := w.create(t, "middle", nil)
	if next.Version == old.Version {
		t.Fatal("no next version")
	}
	if err := w.Revoke(ctx, model.Operator, cert("leaf"), 0); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"root.pem": certPEM(root.DER), "chain.pem": certPEM(old.DER), "leaf.pem": certPEM(leaf.DER), "lists.pem": crlPEM(w.crl(t, "middle-"+old.Version)),
	}
	if out, err := w.verify(t, files, "-crl_check", "-CAfile", "root.pem", "-untrusted", "chain.pem", "-CRLfile", "lists.pem", "leaf.pem"); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("%v %s", err, out)
	}
	if l, err := x509.ParseRevocationList(w.crl(t, "middle")); err != nil || len(l.RevokedCertificateEntries) != 0 || l.CheckSignatureFrom(parse(t, next.DER)) != nil {
		t.Errorf("%+v %v", l, err)
	}
	// A certificate whose name looks like the list of another one does not take its place.
	if _, err := w.Create(ctx, model.Operator, cert("middle-"+old.Version), model.CreateCertificate{Policy: policy("CN=Fake", authority)}); err != nil {
		t.Fatal(err)
	}
	if l, err := x509.ParseRevocationList(w.crl(t, "middle-"+old.Version)); err != nil || l.CheckSignatureFrom(parse(t, old.DER)) != nil {
		t.Errorf("%+v %v", l, err)
	}
	if again := w.create(t, "leaf", nil); string(again.Chain[0]) != string(next.DER) {
		t.Error("signed by the version before")
	}
}

// Nobody has the key of an authority sign past the service.
func TestKeyOfAnAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hierarchy(t)
	for _, name := range []string{"root", "middle"} {
		alg, size := "ES256", 32
		_, _, err := w.keys.Sign(ctx, model.Operator, as(cert(name), model.Keys), alg, make([]byte, size))
		is(t, name, err, model.ErrOperation)
	}
}

func TestTakeOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, middle, _ := w.hierarchy(t)
	if _, err := w.TakeOffline(ctx, model.Operator, cert("leaf")); field(err) != "name" {
		t.Errorf("a leaf: %v", err)
	}
	file, err := w.TakeOffline(ctx, model.Operator, cert("root"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := pki.DecodePEM(file)
	if err != nil || string(b.Certificate.Raw) != string(root.DER) {
		t.Fatal(err)
	}
	// It is gone: from the secret, from the key, and for signing.
	if s := w.secret(t, cert("root")); strings.Contains(s.Value, "PRIVATE") || s.Value != string(certPEM(root.DER)) {
		t.Error("the secret has it still")
	}
	if _, err := w.TakeOffline(ctx, model.Operator, cert("root")); field(err) != "name" {
		t.Errorf("again: %v", err)
	}
	_, err = w.keys.Signer(ctx, as(root.ID, model.Keys))
	if err == nil {
		t.Error("the key signs still")
	}
	if _, err := w.Create(ctx, model.Operator, cert("next"), model.CreateCertificate{Policy: policy("CN=Next", authority, issuer("root"))}); field(err) != "policy.issuer.name" {
		t.Errorf("signed without the key: %v", err)
	}
	// Lists come from where the key is. The one that was left is good for a year.
	w.lists(t, root, middle, &pki.Authority{Certificate: b.Certificate, Key: b.Key})
	// What it has signed is good, and signs.
	leaf := w.create(t, "leaf", nil)
	files := map[string][]byte{"root.pem": certPEM(root.DER), "chain.pem": certPEM(middle.DER), "leaf.pem": certPEM(leaf.DER)}
	if out, err := w.verify(t, files, "-CAfile", "root.pem", "-untrusted", "chain.pem", "leaf.pem"); err != nil {
		t.Errorf("%v %s", err, out)
	}
	// The file signs elsewhere what the vault asks for.
	op := w.begin(t, "next", policy("CN=Next", authority, issuer("Unknown")))
	away := &pki.Authority{Certificate: b.Certificate, Key: b.Key}
	signed := sign(t, away, op.CSR, pki.Profile{Issue: pki.Issue{Now: w.Now()}, Authority: true})
	if _, err := w.Merge(ctx, model.Operator, cert("next"), [][]byte{signed, b.Certificate.Raw}, model.Change{}); err != nil {
		t.Error(err)
	}
}

// lists are those of a root whose key is elsewhere.
func (w *world) lists(t *testing.T, root, middle *model.Certificate, away *pki.Authority) {
	t.Helper()
	files := map[string][]byte{"root.pem": certPEM(root.DER), "middle.pem": certPEM(middle.DER), "list.pem": crlPEM(w.crl(t, "root-"+root.Version))}
	check := []string{"-crl_check", "-CAfile", "root.pem", "-CRLfile", "list.pem", "middle.pem"}
	if out, err := w.verify(t, files, check...); err != nil {
		t.Errorf("the last list: %v %s", err, out)
	}
	if err := w.Revoke(ctx, model.Operator, cert("middle"), 0); field(err) != "name" {
		t.Errorf("revoked where no list can be made: %v", err)
	}
	serial := parse(t, middle.DER).SerialNumber
	list := func(a *pki.Authority, number int64, from, to time.Duration) []byte {
		der, err := a.RevocationList([]pki.Revoked{{Serial: serial, At: w.Now()}}, big.NewInt(number), w.Now().Add(from), w.Now().Add(to))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	number := w.Now().Unix() + 10
	for name, der := range map[string][]byte{
		"none": []byte("x"), "stranger": list(w.outside(t), number, 0, time.Hour), "old": list(away, number, -2*time.Hour, -time.Hour),
		"before": list(away, 1, 0, time.Hour), "future": list(away, number, time.Hour, 2*time.Hour),
	} {
		if err := w.SetCRL(ctx, model.Operator, cert("root"), der); field(err) != "value" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.SetCRL(ctx, model.Operator, cert("middle"), list(away, number, 0, time.Hour)); field(err) != "name" {
		t.Errorf("for one whose key is here: %v", err)
	}
	if err := w.SetCRL(ctx, model.Operator, cert("root"), list(away, number, 0, time.Hour)); err != nil {
		t.Fatal(err)
	}
	files["list.pem"] = crlPEM(w.crl(t, "root"))
	if out, err := w.verify(t, files, check...); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("%v %s", err, out)
	}
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "ca", policy("CN=CA", authority))
	w.create(t, "leaf", policy("CN=leaf"))
	in := model.Issuer{Vault: model.DefaultVault, Name: "Away", Provider: "Test", AccountID: "user", Organization: []byte(`{"id":"x"}`), Enabled: true}
	got, err := w.SetIssuer(ctx, model.Operator, in)
	if err != nil || got.Created.IsZero() || got.Provider != "Test" {
		t.Fatalf("%+v %v", got, err)
	}
	for i, bad := range []model.Issuer{
		{Name: "self", Provider: "Test"}, {Name: "a/b", Provider: "Test"}, {Name: "a"}, {Name: "a", Provider: "Perdure"}, {Name: "a", Provider: "Perdure", AccountID: "none"}, {Name: "a", Provider: "perdure", AccountID: "leaf"},
	} {
		bad.Vault = model.DefaultVault
		_, err := w.SetIssuer(ctx, model.Operator, bad)
		is(t, "issuer "+string(rune('0'+i)), err, model.ErrInvalid)
	}
	w.signer(t, "ca")
	if got, err = w.UpdateIssuer(ctx, model.Operator, model.DefaultVault, "AWAY", func(i *model.Issuer) error { i.Enabled, i.Name = false, "x"; return nil }); err != nil || got.Enabled || got.Name != "Away" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err = w.Issuer(ctx, model.Operator, model.DefaultVault, "away"); err != nil || got.Enabled || got.AccountID != "user" || string(got.Organization) != `{"id":"x"}` {
		t.Errorf("%+v %v", got, err)
	}
	first, err := w.ListIssuers(ctx, model.Operator, model.DefaultVault, model.Page{Max: 1})
	if err != nil || len(first.Items) != 1 || first.Items[0].Name != "Away" || first.Next == "" {
		t.Fatalf("%+v %v", first, err)
	}
	if second, err := w.ListIssuers(ctx, model.Operator, model.DefaultVault, model.Page{Cursor: first.Next}); err != nil || len(second.Items) != 1 || second.Items[0].Name != "ca" || second.Next != "" {
		t.Errorf("%+v %v", second, err)
	}
	_, err = w.ListIssuers(ctx, model.Operator, model.DefaultVault, model.Page{Cursor: "?"})
	is(t, "a bad cursor", err, model.ErrInvalid)
	for name, issuerName := range map[string]string{"none": "none", "another provider": "away"} {
		_, err := w.Create(ctx, model.Operator, cert("x"), model.CreateCertificate{Policy: policy("CN=x", issuer(issuerName))})
		if field(err) != "policy.issuer.name" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = w.Create(ctx, model.Operator, cert("ca"), model.CreateCertificate{Policy: policy("CN=x", issuer("ca"), authority)})
	if field(err) != "policy.issuer.name" {
		t.Errorf("signed by itself: %v", err)
	}
	off := false
	if _, err := w.Update(ctx, model.Operator, cert("ca"), model.Change{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Create(ctx, model.Operator, cert("x"), model.CreateCertificate{Policy: policy("CN=x", issuer("ca"))})
	is(t, "by a disabled one", err, model.ErrDisabled)
	if _, err = w.DeleteIssuer(ctx, model.Operator, model.DefaultVault, "ca"); err != nil {
		t.Error(err)
	}
	_, err = w.DeleteIssuer(ctx, model.Operator, model.DefaultVault, "ca")
	is(t, "deleted", err, model.ErrNotFound)
	if certificates.Provider != "Perdure" {
		t.Error(certificates.Provider)
	}
}

func TestContacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got, err := w.Contacts(ctx, model.Operator, model.DefaultVault); err != nil || len(got) != 0 {
		t.Errorf("%+v %v", got, err)
	}
	all := []model.Contact{{Email: "one@example.com", Name: "One", Phone: "1"}, {Email: "two@example.com"}}
	if got, err := w.SetContacts(ctx, model.Operator, model.DefaultVault, all); err != nil || len(got) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	_, err := w.SetContacts(ctx, model.Operator, model.DefaultVault, []model.Contact{{Email: "One <one@example.com>"}})
	is(t, "a bad address", err, model.ErrInvalid)
	if got, err := w.Contacts(ctx, model.Operator, model.DefaultVault); err != nil || len(got) != 2 || got[0] != all[0] {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := w.DeleteContacts(ctx, model.Operator, model.DefaultVault); err != nil || len(got) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	_, err = w.DeleteContacts(ctx, model.Operator, model.DefaultVault)
	is(t, "deleted", err, model.ErrNotFound)
}
