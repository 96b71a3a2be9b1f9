package pgidentity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/pgtest"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/pgidentity"
	"github.com/perdure/perdure/pgidentity/authority"
)

// testCA is an authority that the test has the key of.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newCA(t *testing.T) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{cert, key, certificatePEM(der)}
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (c *testCA) client(t *testing.T, role string, public crypto.PublicKey) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: role}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return certificatePEM(der)
}

// world is a PostgreSQL server that lets in by an authority, and the endpoint of managed identities.
type world struct {
	*authority.Authority
	cluster *pgtest.Cluster
	server  authority.Server
	url     string
	issued  atomic.Int64
}

func newWorld(t *testing.T, ttl time.Duration) *world {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(committer.Close)
	env := &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
	w := &world{cluster: pgtest.Start(t)}
	var err error
	w.Authority, err = authority.New(authority.Env{
		Unit: func(ctx context.Context, fn func(ctx context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
		Now: time.Now, Seal: keystore.NewMemory(),
	}, authority.Options{
		Workload: func(r *http.Request) (string, string, error) {
			name, ok := strings.CutPrefix(r.Header.Get("X-Identity-Header"), "secret of ")
			if !ok {
				return "", "", errors.New("who is that?")
			}
			return "id-of-" + name, name, nil
		},
		Note: func(_ context.Context, e authority.Entry) error {
			if e.Kind == authority.NotedCertificate {
				w.issued.Add(1)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.cluster.Exec(t, "postgres", "CREATE DATABASE orders")
	w.cluster.Exec(t, "orders", "CREATE TABLE items (id serial PRIMARY KEY, name text)")
	w.server = authority.Server{
		Name: "main", Host: "127.0.0.1", Port: w.cluster.Port, Admin: w.cluster.Admin("postgres"), Databases: []string{"orders"}, CertificateTTL: authority.Duration(ttl),
	}
	if _, err := w.Add(t.Context(), w.server); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), "main", w.cluster.Folder); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Grant(t.Context(), "main", "id-of-app", "app", authority.Grant{Database: "orders", Access: authority.Writer}); err != nil {
		t.Fatal(err)
	}
	http := httptest.NewServer(w.Certificates())
	t.Cleanup(http.Close)
	w.url = http.URL + "/perdure/identity/token"
	return w
}

func (w *world) endpoint(name string) *pgidentity.Endpoint {
	return &pgidentity.Endpoint{URL: w.url, Secret: "secret of " + name}
}

func TestConnector(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	connector, err := pgidentity.Connector("dbname=orders", pgidentity.As("main", pgidentity.NewSource(w.endpoint("app"))))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	var who string
	if err := db.QueryRow("INSERT INTO items (name) VALUES ('x') RETURNING current_user").Scan(&who); err != nil || who != "app" {
		t.Fatalf("%q %v", who, err)
	}
	if _, err := db.Exec("CREATE TABLE mine (id int)"); err == nil {
		t.Error("a writer makes tables")
	}

	// One connection, to where the connection string says.
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://somebody@localhost:%d/orders?sslmode=disable", w.cluster.Port))
	if err != nil {
		t.Fatal(err)
	}
	if err := pgidentity.Configure(t.Context(), config, "main", pgidentity.NewSource(w.endpoint("app"))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		var tls bool
		if err := conn.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&tls); err != nil || !tls {
			t.Errorf("TLS %v %v", tls, err)
		}
		_ = conn.Close(t.Context())
	}

	// Who has no rights.
	connector, err = pgidentity.Connector("dbname=orders", pgidentity.As("main", pgidentity.NewSource(w.endpoint("stranger"))))
	if err != nil {
		t.Fatal(err)
	}
	stranger := sql.OpenDB(connector)
	t.Cleanup(func() { _ = stranger.Close() })
	refused := new(pgidentity.RefusedError)
	if err := stranger.Ping(); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("%v", err)
	}

	// A leased role, which ends.
	l, err := w.Lease(t.Context(), authority.LeaseRequest{Server: "main", Database: "orders", Access: authority.Reader, Until: time.Now().Add(time.Hour), Instance: "i", Identity: "id-of-app"})
	if err != nil {
		t.Fatal(err)
	}
	connector, err = pgidentity.Connector("dbname=orders", pgidentity.As("main", pgidentity.Leased(w.endpoint("app"), l.ID)))
	if err != nil {
		t.Fatal(err)
	}
	leased := sql.OpenDB(connector)
	t.Cleanup(func() { _ = leased.Close() })
	if err := leased.QueryRow("SELECT current_user").Scan(&who); err != nil || who != l.Role {
		t.Errorf("%q %v", who, err)
	}
	if _, err := pgidentity.Leased(w.endpoint("other"), l.ID).Certificate(t.Context(), "main"); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("the lease of another: %v", err)
	}
	if err := w.EndInstance(t.Context(), "i"); err != nil {
		t.Fatal(err)
	}
	if err := leased.Ping(); err == nil {
		t.Error("a lease goes on after its end")
	}
}

// TestWrongServer has servers that are not the one that is meant.
func TestWrongServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	connect := func(change func(*pgidentity.Answer)) error {
		signer := pgidentity.SignerFunc(func(ctx context.Context, server, lease string, request []byte) (*pgidentity.Answer, error) {
			a, err := w.endpoint("app").Sign(ctx, server, lease, request)
			if err == nil {
				change(a)
			}
			return a, err
		})
		config, err := pgx.ParseConfig("dbname=orders")
		if err != nil {
			t.Fatal(err)
		}
		if err := pgidentity.Configure(t.Context(), config, "main", pgidentity.NewSource(signer)); err != nil {
			t.Fatal(err)
		}
		if config.Host == "localhost" { // the name is not in the certificate, the server is there
			config.Host = "127.0.0.1"
		}
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err
	}
	if err := connect(func(*pgidentity.Answer) {}); err != nil {
		t.Fatal(err)
	}
	other := newCA(t)
	if err := connect(func(a *pgidentity.Answer) { a.CA = other.pem }); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of another authority: %v", err)
	}
	if err := connect(func(a *pgidentity.Answer) { a.Host = "localhost" }); err == nil || !strings.Contains(err.Error(), "cannot validate certificate for localhost") && !strings.Contains(err.Error(), "not valid for any names") {
		t.Errorf("a server of another name: %v", err)
	}
	// One that lets everybody in, without a certificate.
	hba := filepath.Join(w.cluster.Folder, "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("local all all peer\nhostssl all all all trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.cluster.Exec(t, "postgres", "ALTER SYSTEM SET ssl_ca_file = ''")
	w.cluster.Exec(t, "postgres", "ALTER SYSTEM SET ssl_crl_file = ''")
	w.cluster.Exec(t, "postgres", "SELECT pg_reload_conf()")
	for deadline := time.Now().Add(time.Minute); ; { // it reads its files when it comes to that
		err := connect(func(*pgidentity.Answer) {})
		if err != nil && strings.Contains(err.Error(), "sslcertmode") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a server that asks for no certificate: %v", err)
		}
	}
}

// TestRenewalUnderLoad has a pool whose connections are short, with certificates that are shorter than the test: no
// query fails.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	const ttl, renewals = 3 * time.Second, 3
	w := newWorld(t, ttl)
	config, err := pgxpool.ParseConfig("dbname=orders")
	if err != nil {
		t.Fatal(err)
	}
	config.BeforeConnect = pgidentity.As("main", pgidentity.NewSource(w.endpoint("app")))
	config.MaxConns, config.MaxConnLifetime = 4, 50*time.Millisecond
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	deadline := time.Now().Add(time.Minute)
	var queries, failed atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for w.issued.Load() <= renewals {
				if time.Now().After(deadline) {
					t.Error("the certificates are not renewed")
					return
				}
				queries.Add(1)
				if _, err := pool.Exec(t.Context(), "SELECT 1"); err != nil {
					failed.Add(1)
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d queries over %d connections with %d certificates, %d failed", queries.Load(), pool.Stat().NewConnsCount(), w.issued.Load(), failed.Load())
	if n := pool.Stat().NewConnsCount(); n < 2*renewals {
		t.Errorf("%d connections: too few to say anything", n)
	}
}

// Who has had its certificates revoked and still has its rights is back with the next login, not when the certificate would have
// been renewed.
func TestRevokedCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10*time.Minute)
	config, err := pgxpool.ParseConfig("dbname=orders")
	if err != nil {
		t.Fatal(err)
	}
	config.BeforeConnect = pgidentity.As("main", pgidentity.NewSource(w.endpoint("app")))
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RevokeCertificates(t.Context(), "main", "id-of-app"); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for deadline := time.Now().Add(30 * time.Second); ; refused++ {
		if _, err = pool.Exec(t.Context(), "SELECT 1"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still out: %v", err)
		}
	}
	if n := w.issued.Load(); refused == 0 || n < 2 {
		t.Errorf("refused %d times, %d certificates; want some, and 2 or more", refused, n)
	}
}
