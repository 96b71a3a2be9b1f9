package authority_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/pgtest"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/pgidentity/authority"
)

// world is an authority on a store in memory, and what it has noted.
type world struct {
	*authority.Authority
	env   authority.Env
	clock *clock.Manual // begins at the real time, which PostgreSQL has too
	id    authority.Options

	mu    sync.Mutex
	notes []authority.Entry
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(committer.Close)
	w := &world{clock: clock.NewManual(time.Now())}
	env := &unit.Env{Snapshot: s.Snapshot, Now: w.clock.Now}
	w.env = authority.Env{
		Unit: func(ctx context.Context, fn func(ctx context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
		Now: w.clock.Now, Seal: keystore.NewMemory(),
	}
	w.id = authority.Options{
		Note: func(_ context.Context, e authority.Entry) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.notes = append(w.notes, e)
			return nil
		},
		Identity: func(_ context.Context, name string) (string, string, error) {
			if name, ok := strings.CutPrefix(name, "id-of-"); ok {
				return "id-of-" + name, name, nil
			}
			if name == "nobody" {
				return "", "", authority.ErrNotFound
			}
			return "id-of-" + name, name, nil
		},
		Workload: func(r *http.Request) (string, string, error) {
			name := r.Header.Get("X-Identity-Header")
			if name == "" {
				return "", "", errors.New("no header")
			}
			return "id-of-" + name, name, nil
		},
	}
	w.restart(t)
	return w
}

// restart is what a crash and a new start leave: the store alone.
func (w *world) restart(t testing.TB) {
	t.Helper()
	var err error
	if w.Authority, err = authority.New(w.env, w.id); err != nil {
		t.Fatal(err)
	}
}

func (w *world) noted(kind string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.notes {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// databases are those of a test's cluster.
var databases = []string{"orders", "stock"}

// database is an authority with a PostgreSQL server that trusts it. In database orders there is a table items with a row.
type database struct {
	*world
	cluster *pgtest.Cluster
	server  authority.Server
}

const server = "main"

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{world: newWorld(t), cluster: pgtest.Start(t)}
	for _, name := range databases {
		d.cluster.Exec(t, "postgres", "CREATE DATABASE "+name)
		d.cluster.Exec(t, name, "CREATE TABLE items (id serial PRIMARY KEY, name text); INSERT INTO items (name) VALUES ('first')")
	}
	d.server = authority.Server{Name: server, Host: "localhost", Names: []string{"127.0.0.1"}, Port: d.cluster.Port, Admin: d.cluster.Admin("postgres"), Databases: databases}
	if _, err := d.Add(t.Context(), d.server); err != nil {
		t.Fatal(err)
	}
	if err := d.Apply(t.Context(), server, d.cluster.Folder); err != nil {
		t.Fatalf("%v\n%s", err, d.cluster.Log())
	}
	return d
}

// clean takes all rights away.
func (d *database) clean(t *testing.T) {
	t.Helper()
	all, err := d.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		rights, err := d.Members(t.Context(), s.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rights {
			if _, err := d.Revoke(t.Context(), s.Name, m.Identity, ""); err != nil {
				t.Fatal(err)
			}
		}
		if s.Name != server {
			if err := d.Remove(t.Context(), s.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.cluster.Exec(t, "orders", "DROP TABLE IF EXISTS later, latest, made, own; DROP SEQUENCE IF EXISTS numbers")
	if got := d.roles(t); len(got) > 0 {
		t.Errorf("roles that are left: %q", got)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = nil
}

// grant gives rights in database orders.
func (d *database) grant(t *testing.T, name string, access authority.Access) *authority.Member {
	t.Helper()
	m, err := d.Grant(t.Context(), server, "id-of-"+name, name, authority.Grant{Database: "orders", Access: access})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// login is a certificate with its key.
type login struct {
	*authority.Issued
	key crypto.Signer
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func requestFor(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// login gets a certificate for an identity.
func (d *database) login(t *testing.T, name string) *login {
	t.Helper()
	key := newKey(t)
	issued, err := d.Issue(t.Context(), server, "id-of-"+name, requestFor(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return &login{issued, key}
}

// connect connects over the network.
func (l *login) connect(t *testing.T, d *database, name string) (*pgx.Conn, error) {
	t.Helper()
	return l.connectAs(t, d, l.Role, name)
}

func (l *login) connectAs(t *testing.T, d *database, role, name string) (*pgx.Conn, error) {
	t.Helper()
	config, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=require", d.cluster.Port, role, name))
	if err != nil {
		t.Fatal(err)
	}
	config.TLSConfig = l.tls(t)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func (l *login) tls(t *testing.T) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(l.CA)) {
		t.Fatalf("no certificates: %s", l.CA)
	}
	cert, err := tls.X509KeyPair([]byte(l.Certificate), keyPEM(t, l.key))
	if err != nil {
		t.Fatal(err)
	}
	// It is sent whether the server says that it knows its authority or not.
	return &tls.Config{RootCAs: pool, ServerName: l.Host, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
}

// must connects, which must succeed.
func (l *login) must(t *testing.T, d *database, name string) *pgx.Conn {
	t.Helper()
	conn, err := l.connect(t, d, name)
	if err != nil {
		t.Fatalf("%v\n%s", err, d.cluster.Log())
	}
	return conn
}

// denied reports whether PostgreSQL has refused something for want of a right.
func denied(err error) bool { return hasCode(err, "42501") }

func hasCode(err error, codes ...string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && slices.Contains(codes, refused.Code)
}

// try runs a statement and reports whether it was as wanted: done, or denied.
func try(t *testing.T, conn *pgx.Conn, sql string, want bool) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	switch {
	case want && err != nil:
		t.Errorf("%s: %v", sql, err)
	case !want && !denied(err):
		t.Errorf("%s: %v; want it denied", sql, err)
	}
}

// call sends a request to a handler.
func call(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// connectWith connects with what the test says.
func connectWith(t *testing.T, d *database, role, sslmode string, config *tls.Config) (*pgx.Conn, error) {
	t.Helper()
	c, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=orders sslmode=%s", d.cluster.Port, role, sslmode))
	if err != nil {
		t.Fatal(err)
	}
	if sslmode != "disable" {
		c.TLSConfig = config
	}
	return pgx.ConnectConfig(t.Context(), c)
}

// refused connects, which TLS must refuse for one of some reasons.
func refused(t *testing.T, d *database, l *login, reasons ...string) {
	t.Helper()
	_, err := l.connect(t, d, "orders")
	// In TLS 1.3 the client has begun to speak when the server refuses it: then the reason may be lost.
	for range 50 {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			break
		}
		_, err = l.connect(t, d, "orders")
	}
	if err == nil {
		t.Errorf("a certificate is taken that is to be refused: %v", reasons)
		return
	}
	if !slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(err.Error(), reason) }) {
		t.Errorf("refused by %v; want one of %q", err, reasons)
	}
}

// forged is a certificate for a role by an authority with the same name and the same serial numbers as the server's, and another key.
func forged(t *testing.T, d *database, role string) *login {
	t.Helper()
	ca, key := authorityOf(t, d), newKey(t)
	ca.PublicKey = key.Public()
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return signedBy(t, d, ca, key, role)
}

// authorityOf is the certificate of the server's authority.
func authorityOf(t *testing.T, d *database) *x509.Certificate {
	t.Helper()
	trust, err := d.Trust(t.Context(), server, "/nowhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode([]byte(trust.Files[0].Content))
	ca, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func signedBy(t *testing.T, d *database, ca *x509.Certificate, by crypto.Signer, role string) *login {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: role},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Minute),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &login{&authority.Issued{Certificate: string(text), CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityOf(t, d).Raw})), Role: role, Host: "localhost"}, key}
}

// forgedBy is a certificate for a role by the server's own authority, whose key was stolen.
func forgedBy(t *testing.T, d *database, role string) *login {
	t.Helper()
	ca, key, err := d.AuthorityKey(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	return signedBy(t, d, ca, key, role)
}
