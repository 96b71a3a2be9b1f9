package certificates_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/perdure/perdure/vault/internal/certificates"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/secrets"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

var ctx = context.Background()

// world is the services of a vault on a store in memory.
type world struct {
	*vaulttest.World
	*certificates.Service
	store   *items.Store
	keys    *keys.Service
	secrets *secrets.Service

	mu      sync.Mutex
	notices []certificates.Notice
}

func newWorld(t *testing.T) *world {
	t.Helper()
	v := vaulttest.New(t)
	return on(v, v.Guard, items.Options{})
}

func on(v *vaulttest.World, guard model.Guard, o items.Options) *world {
	w := &world{World: v, store: items.New(v.Env, o)}
	w.keys = keys.New(v.Env, w.store, guard, keys.Options{})
	w.secrets = secrets.New(v.Env, w.store, guard)
	w.Service = certificates.New(v.Env, w.store, w.keys, guard, certificates.Options{
		CRLURL: func(vault, authority string) string { return "https://" + vault + ".example/crl/" + authority + ".crl" },
		Notify: func(_ context.Context, n certificates.Notice) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.notices = append(w.notices, n)
			return nil
		},
	})
	return w
}

// told returns the reasons of the notices since it was last called, with what they are about.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, n := range w.notices {
		all = append(all, n.Name+" "+n.Reason+" "+strconv.Itoa(len(n.Contacts)))
	}
	w.notices = nil
	return all
}

func cert(name string) model.ID {
	return model.ID{Vault: model.DefaultVault, Kind: model.Certificates, Name: name}
}

func as(id model.ID, kind model.Kind) model.ID {
	id.Kind = kind
	return id
}

// policy is one with a key that is made quickly.
func policy(subject string, change ...func(*model.Policy)) *model.Policy {
	p := &model.Policy{
		Key:  model.KeyProperties{Exportable: true, Type: "EC"},
		X509: model.X509Properties{Subject: subject, KeyUsage: []string{"digitalSignature"}},
	}
	for _, fn := range change {
		fn(p)
	}
	return p
}

func issuer(name string) func(*model.Policy) {
	return func(p *model.Policy) { p.Issuer.Name = name }
}

func dns(names ...string) func(*model.Policy) {
	return func(p *model.Policy) { p.X509.DNSNames = names }
}

func authority(p *model.Policy) {
	p.X509.KeyUsage, p.X509.ValidityMonths = []string{"keyCertSign"}, 120
}

// create makes a version and returns it.
func (w *world) create(t *testing.T, name string, p *model.Policy) *model.Certificate {
	t.Helper()
	op, err := w.Create(ctx, model.Operator, cert(name), model.CreateCertificate{Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	if op.Status != "completed" || len(op.CSR) == 0 || op.RequestID == "" || op.Detail == "" {
		t.Fatalf("%+v", op)
	}
	return w.get(t, name)
}

func (w *world) get(t *testing.T, name string) *model.Certificate {
	t.Helper()
	c, err := w.Get(ctx, model.Operator, cert(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signer makes a certificate an issuer of the same name.
func (w *world) signer(t *testing.T, name string) {
	t.Helper()
	_, err := w.SetIssuer(ctx, model.Operator, model.Issuer{Vault: model.DefaultVault, Name: name, Provider: certificates.Provider, AccountID: name, Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) secret(t *testing.T, id model.ID) *model.Secret {
	t.Helper()
	s, err := w.secrets.Get(ctx, model.Operator, as(id, model.Secrets))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func certPEM(ders ...[]byte) []byte {
	var b bytes.Buffer
	for _, der := range ders {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}

// openssl runs the program on files, which are there by their names.
func openssl(t testing.TB, files map[string][]byte, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustOpenSSL(t testing.TB, files map[string][]byte, args ...string) string {
	t.Helper()
	out, err := openssl(t, files, args...)
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

// verify is openssl verify at the time of the world.
func (w *world) verify(t testing.TB, files map[string][]byte, args ...string) (string, error) {
	t.Helper()
	return openssl(t, files, append([]string{"verify", "-x509_strict", "-attime", strconv.FormatInt(w.Now().Unix(), 10)}, args...)...)
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// field is the field of a *model.FieldError; empty for any other error.
func field(err error) string {
	var fe *model.FieldError
	if errors.As(err, &fe) {
		return fe.Field
	}
	return ""
}
