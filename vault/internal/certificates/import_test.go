package certificates_test

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, leaf := w.hierarchy(t)
	b, _, err := pki.Decode(w.secret(t, leaf.ID).Value, "")
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := b.PFX("word")
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.PEM()
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := os.ReadFile("testdata/azure-sdk.pfx.b64") // what the test of Azure's client imports: triple DES, no password
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		in   model.ImportCertificate
		kind string
	}{
		"pfx": {model.ImportCertificate{Value: base64.StdEncoding.EncodeToString(pfx), Password: "word"}, pki.TypePFX},
		"pem": {model.ImportCertificate{Value: string(text)}, pki.TypePEM},
		"sdk": {model.ImportCertificate{Value: string(sdk)}, pki.TypePFX},
		"changed": {model.ImportCertificate{Value: string(text), Policy: &model.Policy{
			Key: model.KeyProperties{Exportable: true}, Secret: model.SecretProperties{ContentType: pki.TypePFX},
		}}, pki.TypePFX},
	} {
		off := false
		test.in.Change = model.Change{Enabled: &off, Tags: map[string]string{"k": "v"}}
		c, err := w.Import(ctx, model.Operator, cert(name), test.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.Enabled || c.Tags["k"] != "v" || c.Policy.Secret.ContentType != test.kind || c.Policy.Issuer.Name != "Unknown" || !c.Policy.Key.Exportable {
			t.Errorf("%s: %+v %+v", name, c.Attributes, c.Policy)
		}
		if name != "sdk" && (!slices.Equal(c.DER, leaf.DER) || len(c.Chain) != 1 || c.Policy.X509.DNSNames[0] != "leaf.example.com") {
			t.Errorf("%s: another certificate", name)
		}
		on := true
		if _, err := w.Update(ctx, model.Operator, c.ID, model.Change{Enabled: &on}); err != nil {
			t.Fatal(err)
		}
		again, kind, err := pki.Decode(w.secret(t, c.ID).Value, "")
		if err != nil || kind != test.kind || !slices.Equal(again.Certificate.Raw, c.DER) {
			t.Errorf("%s: %s %v", name, kind, err)
		}
	}
	for name, in := range map[string]model.ImportCertificate{
		"password": {Value: base64.StdEncoding.EncodeToString(pfx), Password: "other"},
		"no key":   {Value: string(certPEM(leaf.DER))},
		"nothing":  {},
		"policy":   {Value: string(text), Policy: &model.Policy{Secret: model.SecretProperties{ContentType: "x"}}},
	} {
		if _, err := w.Import(ctx, model.Operator, cert("bad"), in); field(err) == "" || strings.Contains(err.Error(), "other") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A second import is the next version, and the policy may say who makes the one after.
	first := w.get(t, "pem")
	c, err := w.Import(ctx, model.Operator, cert("pem"), model.ImportCertificate{Value: string(text), Policy: &model.Policy{Issuer: model.IssuerReference{Name: "middle"}}})
	if err != nil || c.Version == first.Version || !c.Policy.Attributes.Created.Equal(first.Policy.Attributes.Created) {
		t.Fatalf("%+v %v", c, err)
	}
	if next := w.create(t, "pem", nil); !slices.Equal(next.Chain[0], leaf.Chain[0]) || parse(t, next.DER).DNSNames[0] != "leaf.example.com" {
		t.Error("not signed by the vault's own")
	}
}

func TestDeletedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create(t, "a", policy("CN=a"))
	others := func() (n int) {
		if _, err := w.secrets.Get(ctx, model.Operator, as(c.ID, model.Secrets)); err == nil {
			n++
		}
		if _, err := w.keys.Get(ctx, model.Operator, as(c.ID, model.Keys)); err == nil {
			n++
		}
		return n
	}
	backup, err := w.Backup(ctx, model.Operator, cert("a"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Restore(ctx, model.Operator, model.DefaultVault, backup)
	is(t, "restored over it", err, model.ErrExists)
	d, err := w.Delete(ctx, model.Operator, cert("a"))
	if err != nil || d.Item.Version != c.Version || d.Item.Policy == nil || d.PurgeAt.IsZero() || others() != 0 {
		t.Fatalf("%+v %v", d, err)
	}
	if got, err := w.GetDeleted(ctx, model.Operator, cert("a")); err != nil || got.Item.Version != c.Version || got.Item.Policy.X509.Subject != "CN=a" {
		t.Errorf("%+v %v", got, err)
	}
	if list, err := w.ListDeleted(ctx, model.Operator, model.DefaultVault, model.Page{}); err != nil || len(list.Items) != 1 || list.Items[0].Item.Name != "a" {
		t.Errorf("%+v %v", list, err)
	}
	for _, name := range []string{"Self", "Unknown"} {
		_, err = w.Create(ctx, model.Operator, cert("a"), model.CreateCertificate{Policy: policy("CN=a", issuer(name))})
		is(t, "its name: "+name, err, model.ErrDeleted)
	}
	if got, err := w.Recover(ctx, model.Operator, cert("a")); err != nil || got.Version != c.Version || got.Policy == nil || others() != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := w.Delete(ctx, model.Operator, cert("a")); err != nil {
		t.Fatal(err)
	}
	if err := w.Purge(ctx, model.Operator, cert("a")); err != nil {
		t.Fatal(err)
	}
	_, err = w.GetDeleted(ctx, model.Operator, cert("a"))
	is(t, "purged", err, model.ErrNotFound)
	got, err := w.Restore(ctx, model.Operator, model.DefaultVault, backup)
	if err != nil || got.Version != c.Version || !slices.Equal(got.DER, c.DER) || got.Policy == nil || others() != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	// Parts of different certificates are no backup, nor is what was changed.
	other, err := w.Backup(ctx, model.Operator, w.create(t, "b", policy("CN=b")).ID)
	if err != nil {
		t.Fatal(err)
	}
	w.create(t, "b", nil)
	later, err := w.Backup(ctx, model.Operator, cert("b"))
	if err != nil {
		t.Fatal(err)
	}
	mixed := strings.Split(string(other), `"key":`)[0] + `"key":` + strings.Split(string(backup), `"key":`)[1]
	versions := strings.Split(string(later), `"key":`)[0] + `"key":` + strings.Split(string(other), `"key":`)[1]
	for name, bad := range map[string]string{"mixed": mixed, "versions": versions, "empty": "", "no backup": "x", "no parts": "perdure-certificate-backup 1\n{}", "json": "perdure-certificate-backup 1\n{"} {
		_, err := w.Restore(ctx, model.Operator, "elsewhere", []byte(bad))
		is(t, name, err, model.ErrInvalid)
	}
	if _, err := w.Restore(ctx, model.Operator, "elsewhere", backup); err != nil {
		t.Errorf("in another vault: %v", err)
	}
}

func TestPurgeProtection(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	w := on(v, v.Guard, items.Options{PurgeProtected: func(string) bool { return true }})
	w.create(t, "a", policy("CN=a"))
	if _, err := w.Delete(ctx, model.Operator, cert("a")); err != nil {
		t.Fatal(err)
	}
	is(t, "purge", w.Purge(ctx, model.Operator, cert("a")), model.ErrProtected)
	if _, err := w.Recover(ctx, model.Operator, cert("a")); err != nil {
		t.Error(err)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte("perdure-certificate-backup 1\n{}"))
	f.Add([]byte(`perdure-certificate-backup 1` + "\n" + `{"certificate":"cGVyZHVyZQ==","key":null}`))
	v := vaulttest.New(f)
	w := on(v, v.Guard, items.Options{})
	f.Fuzz(func(t *testing.T, backup []byte) {
		if _, err := w.Restore(ctx, model.Operator, model.DefaultVault, backup); err == nil {
			t.Fatal("restored")
		}
	})
}

// A policy that makes an authority below an issuer of the vault is not brought in by a backup of another vault.
func TestRestoreDelegates(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	w := on(v, v.Guard, items.Options{})
	w.create(t, "root", policy("CN=Root", authority))
	w.signer(t, "root")
	w.create(t, "below", policy("CN=Below", authority, issuer("root")))
	w.create(t, "leaf", policy("CN=leaf", issuer("root")))
	poor := on(v, &refusing{v.Guard, []model.Op{model.OpSetIssuers}}, items.Options{})
	for name, want := range map[string]error{"below": model.ErrForbidden, "leaf": nil, "root": nil} {
		backup, err := w.Backup(ctx, model.Operator, cert(name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = poor.Restore(ctx, model.Operator, "other", backup)
		is(t, name, err, want)
		if want != nil {
			_, err = w.Restore(ctx, model.Operator, "other", backup)
			is(t, name+" with the right", err, nil)
		}
	}
}

// Where names are used again, a secret that has had the name since is not taken for the certificate's.
func TestDeletedPartsAreTheCertificates(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	w := on(v, v.Guard, items.Options{ReuseDeleted: func(string) bool { return true }})
	made := w.create(t, "a", policy("CN=a"))
	if _, err := w.Delete(ctx, model.Operator, cert("a")); err != nil {
		t.Fatal(err)
	}
	secret := as(cert("a"), model.Secrets)
	if _, err := w.secrets.Set(ctx, model.Operator, secret, model.SetSecret{Value: "another's"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.secrets.Delete(ctx, model.Operator, secret); err != nil {
		t.Fatal(err)
	}
	_, err := w.Recover(ctx, model.Operator, cert("a"))
	is(t, "recover", err, model.ErrExists)
	is(t, "purge", w.Purge(ctx, model.Operator, cert("a")), model.ErrExists)
	is(t, "purge the secret", w.secrets.Purge(ctx, model.Operator, secret), nil)
	_, err = w.Recover(ctx, model.Operator, cert("a"))
	is(t, "recover", err, nil)
	if got := w.secret(t, cert("a")); !got.Managed || got.Version != made.Version {
		t.Errorf("%+v", got.ID)
	}
}
