package certificates_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// outside is an authority that is not in the vault.
func (w *world) outside(t *testing.T) *pki.Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.SelfSigned(pki.Complete(policy("CN=Outside", authority)), key, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &pki.Authority{Certificate: c, Key: key}
}

func (w *world) begin(t *testing.T, name string, p *model.Policy) *model.Pending {
	t.Helper()
	op, err := w.Create(ctx, model.Operator, cert(name), model.CreateCertificate{Policy: p, Change: model.Change{Tags: map[string]string{"at": "create"}}})
	if err != nil || op.Status != "inProgress" || op.Version != "" {
		t.Fatalf("%+v %v", op, err)
	}
	return op
}

func sign(t *testing.T, a *pki.Authority, csr []byte, p pki.Profile) []byte {
	t.Helper()
	r, err := pki.ParseRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Sign(r, p)
	if err != nil {
		t.Fatal(err)
	}
	return c.Raw
}

func TestMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca := w.outside(t)
	at := pki.Profile{Issue: pki.Issue{Now: w.Now()}}
	op := w.begin(t, "web", policy("CN=web,O=Example", issuer("unknown"), dns("web.example.com")))
	if op.Issuer.Name != "Unknown" {
		t.Errorf("%+v", op)
	}
	text := mustOpenSSL(t, map[string][]byte{"csr.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: op.CSR})}, "req", "-in", "csr.pem", "-verify", "-noout", "-text")
	if !strings.Contains(text, "DNS:web.example.com") {
		t.Error(text)
	}
	if _, err := w.Get(ctx, model.Operator, cert("web")); err == nil {
		t.Error("it is there before it is signed")
	}
	if p, err := w.Policy(ctx, model.Operator, cert("web")); err != nil || p.X509.Subject != "CN=web,O=Example" {
		t.Errorf("its policy: %+v %v", p, err)
	}
	_, err := w.Create(ctx, model.Operator, cert("web"), model.CreateCertificate{Policy: policy("CN=web")})
	is(t, "another one", err, model.ErrExists)

	// A certificate for another key, one that has ended, one of a stranger beside it, an authority.
	other := w.begin(t, "other", policy("CN=web", issuer("Unknown")))
	signed := sign(t, ca, op.CSR, at)
	for name, chain := range map[string][][]byte{
		"other key": {sign(t, ca, other.CSR, at)}, "no certificate": {[]byte("x")}, "none": {},
		"stranger": {signed, w.outside(t).Certificate.Raw},
	} {
		if _, err := w.Merge(ctx, model.Operator, cert("web"), chain, model.Change{}); field(err) != "x5c" {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := w.Merge(ctx, model.Operator, cert("web"), [][]byte{ca.Certificate.Raw, signed}, model.Change{})
	if err != nil {
		t.Fatal(err)
	}
	if string(c.DER) != string(signed) || len(c.Chain) != 0 || c.Policy == nil || c.Tags["at"] != "create" {
		t.Errorf("%+v", c)
	}
	b, _, err := pki.Decode(w.secret(t, c.ID).Value, "")
	if err != nil || string(b.Certificate.Raw) != string(signed) {
		t.Error(err)
	}
	if op, err = w.Pending(ctx, model.Operator, cert("web")); err != nil || op.Status != "completed" || op.Version != c.Version {
		t.Errorf("%+v %v", op, err)
	}
	if _, err := w.Merge(ctx, model.Operator, cert("web"), [][]byte{signed}, model.Change{}); field(err) != "x5c" {
		t.Errorf("again: %v", err)
	}
	// That it is not yet valid is no reason to refuse it; that it has ended is.
	op = w.begin(t, "web", nil)
	w.Clock.Advance(366 * 24 * time.Hour)
	if _, err := w.Merge(ctx, model.Operator, cert("web"), [][]byte{sign(t, ca, op.CSR, at)}, model.Change{}); field(err) != "x5c" {
		t.Errorf("one that has ended: %v", err)
	}
	at.Now = w.Now().AddDate(0, 1, 0)
	if _, err := w.Merge(ctx, model.Operator, cert("web"), [][]byte{sign(t, ca, op.CSR, at)}, model.Change{Tags: map[string]string{"at": "merge"}}); err != nil {
		t.Error(err)
	}
	if c := w.get(t, "web"); c.Tags["at"] != "merge" {
		t.Errorf("%+v", c.Tags)
	}
}

// An intermediate whose root is elsewhere: its request is signed there, and it issues here.
func TestOfflineRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.outside(t)
	op := w.begin(t, "middle", policy("CN=Middle", authority, issuer("Unknown")))
	r, err := pki.ParseRequest(op.CSR)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue(pki.Complete(policy("CN=Middle")), r.PublicKey, pki.Issue{Now: w.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Merge(ctx, model.Operator, cert("middle"), [][]byte{leaf.Raw}, model.Change{}); field(err) != "x5c" {
		t.Errorf("a leaf for an authority: %v", err)
	}
	signed := sign(t, root, op.CSR, pki.Profile{Issue: pki.Issue{Now: w.Now()}, Authority: true, ValidityMonths: 60})
	if _, err := w.Merge(ctx, model.Operator, cert("middle"), [][]byte{signed, root.Certificate.Raw}, model.Change{}); err != nil {
		t.Fatal(err)
	}
	w.signer(t, "middle")
	c := w.create(t, "leaf", policy("CN=leaf", issuer("middle"), dns("leaf.example.com")))
	if len(c.Chain) != 1 || string(c.Chain[0]) != string(signed) {
		t.Fatalf("%d in the chain", len(c.Chain))
	}
	files := map[string][]byte{"root.pem": certPEM(root.Certificate.Raw), "chain.pem": certPEM(c.Chain...), "leaf.pem": certPEM(c.DER)}
	if out, err := w.verify(t, files, "-CAfile", "root.pem", "-untrusted", "chain.pem", "-verify_hostname", "leaf.example.com", "leaf.pem"); err != nil {
		t.Errorf("%v %s", err, out)
	}
}

func TestCancelAndDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Pending(ctx, model.Operator, cert("a"))
	is(t, "none", err, model.ErrNotFound)
	op := w.begin(t, "a", policy("CN=a", issuer("Unknown")))
	if got, err := w.CancelPending(ctx, model.Operator, cert("a"), false); err != nil || got.Cancelled {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := w.CancelPending(ctx, model.Operator, cert("a"), true); err != nil || !got.Cancelled || got.Status != "cancelled" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := w.Pending(ctx, model.Operator, cert("a")); err != nil || !got.Cancelled || string(got.CSR) != string(op.CSR) {
		t.Errorf("%+v %v", got, err)
	}
	signed := sign(t, w.outside(t), op.CSR, pki.Profile{Issue: pki.Issue{Now: w.Now()}})
	if _, err := w.Merge(ctx, model.Operator, cert("a"), [][]byte{signed}, model.Change{}); field(err) != "x5c" {
		t.Errorf("merged though cancelled: %v", err)
	}
	op = w.begin(t, "a", policy("CN=a", issuer("Unknown")))
	if got, err := w.DeletePending(ctx, model.Operator, cert("a")); err != nil || got.RequestID != op.RequestID {
		t.Errorf("%+v %v", got, err)
	}
	_, err = w.Pending(ctx, model.Operator, cert("a"))
	is(t, "deleted", err, model.ErrNotFound)
	_, err = w.Policy(ctx, model.Operator, cert("a"))
	is(t, "its policy", err, model.ErrNotFound)
}
