package authority_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/pgidentity/authority"
)

func TestRoleNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"orders": "orders", "Order Service": "order_service", "--a--b--": "a_b", "Bücher": "b_cher", "日本": "id", "7eleven": "id_7eleven",
		"": "id", `x"; DROP ROLE postgres; --`: "x_drop_role_postgres", strings.Repeat("a", 100): strings.Repeat("a", 48),
	} {
		if got, plain := authority.RoleName(name); got != want || !plain {
			t.Errorf("%q: %q, %v; want %q", name, got, plain, want)
		}
	}
	for _, name := range []string{"postgres", "Public", "pg_monitor", "perdure_identities", "all", "replication", "root"} {
		if got, plain := authority.RoleName(name); plain {
			t.Errorf("%q: %q is an identity's", name, got)
		}
	}
	if a, b := authority.OwnerRole("a_b", "c"), authority.OwnerRole("a", "b_c"); a == b || len(authority.OwnerRole(strings.Repeat("x", 63), strings.Repeat("y", 63))) > 63 {
		t.Errorf("%q %q", a, b)
	}
}

func FuzzRoleName(f *testing.F) {
	f.Add("Order Service")
	f.Add("pg_x\x00")
	f.Fuzz(func(t *testing.T, name string) {
		role, _ := authority.RoleName(name)
		for _, r := range []string{role, "id_" + authority.Distinct(role, "x"), authority.OwnerRole(name, name)} {
			if r == "" || len(r) > 63 || strings.Trim(r, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || r[0] >= '0' && r[0] <= '9' {
				t.Errorf("%q: %q", name, r)
			}
		}
	})
}

func FuzzRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der := requestFor(f, key)
	f.Add(der)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, request []byte) {
		public, err := authority.ParseRequest(request)
		if err != nil {
			if !errors.Is(err, authority.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		switch key := public.(type) {
		case *ecdsa.PublicKey:
			if key.Curve != elliptic.P256() {
				t.Errorf("curve %v", key.Curve)
			}
		case ed25519.PublicKey:
		default:
			t.Errorf("%T", public)
		}
	})
}

// FuzzServer registers what an operator sends: whatever is taken makes lines of pg_hba.conf that say what they are to say.
func FuzzServer(f *testing.F) {
	f.Add(`{"name":"main","host":"db","databases":["orders"],"admin":"host=/run user=postgres"}`)
	f.Add(`{"name":"main","host":"db","databases":["a b","all","+x,y","ü#"],"admin":"user='a b\" x'"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var s authority.Server
		if json.Unmarshal([]byte(text), &s) != nil || s.Check() != nil {
			return
		}
		lines := 0
		for _, line := range s.HBA() {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) || strings.Count(line, `"`)%2 != 0 {
				t.Errorf("%q", line)
			}
			if !strings.HasPrefix(line, "#") {
				lines++
			}
			if strings.HasPrefix(line, "host") && !strings.HasSuffix(line, "\" +perdure_identities all cert") {
				t.Errorf("%q", line)
			}
		}
		if lines != 3 && lines != 5 {
			t.Errorf("%d lines: %q", lines, s.HBA())
		}
	})
}

func BenchmarkIssue(b *testing.B) {
	w := newWorld(b)
	if _, err := w.Add(b.Context(), authority.Server{Name: server, Host: "localhost", Databases: databases}); err != nil {
		b.Fatal(err)
	}
	if _, err := w.PrintGrant(b.Context(), server, "id-of-app", "App", authority.Grant{Database: "orders", Access: authority.Reader}); err != nil {
		b.Fatal(err)
	}
	request := requestFor(b, newKey(b))
	for b.Loop() {
		if _, err := w.Issue(b.Context(), server, "id-of-app", request); err != nil {
			b.Fatal(err)
		}
		w.clock.Advance(time.Minute) // so that there are as many that are good as with fifteen processes
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := requestFor(t, newKey(t))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	for name, request := range map[string][]byte{
		"P-384": requestFor(t, p384), "RSA": requestFor(t, weak), "empty": nil, "other's signature": damaged, "long": bytes.Repeat([]byte("x"), authority.MaxRequest+1),
		"two":      append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good})...),
		"no PEM":   []byte("-----BEGIN what\n"),
		"a secret": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: good}),
	} {
		if _, err := authority.ParseRequest(request); !errors.Is(err, authority.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := authority.ParseRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good})); err != nil {
		t.Error(err)
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := authority.Server{Name: "main", Host: "db.example.com", Databases: []string{"orders"}}
	for field, change := range map[string]func(*authority.Server){
		"name":            func(s *authority.Server) { s.Name = "Main" },
		"host":            func(s *authority.Server) { s.Host = "a b" },
		"names[0]":        func(s *authority.Server) { s.Names = []string{"-x"} },
		"port":            func(s *authority.Server) { s.Port = 70000 },
		"certificate_ttl": func(s *authority.Server) { s.CertificateTTL = authority.Duration(24 * time.Hour) },
		"databases":       func(s *authority.Server) { s.Databases = nil },
		"databases[0]":    func(s *authority.Server) { s.Databases = []string{"x\" all\nhost"} },
		"databases[1]":    func(s *authority.Server) { s.Databases = []string{"x", "/regex"} },
		"admin":           func(s *authority.Server) { s.Admin = "host=/run user=postgres password=geheim" },
		"admin ":          func(s *authority.Server) { s.Admin = "postgres://postgres:geheim@localhost/" },
		"admin  ":         func(s *authority.Server) { s.Admin = "port=geheim" },
	} {
		s := good
		change(&s)
		var wrong *authority.FieldError
		if _, err := w.Add(t.Context(), s); !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", field, err)
		}
	}
	made, err := w.Add(t.Context(), good)
	if err != nil || made.Port != 5432 || time.Duration(made.CertificateTTL) != authority.DefaultTTL {
		t.Errorf("%+v %v", made, err)
	}
	if _, err := w.Add(t.Context(), good); !errors.Is(err, authority.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if _, err := w.Grant(t.Context(), "main", "id", "app", authority.Grant{Database: "orders", Access: authority.Reader}); !errors.Is(err, authority.ErrDatabase) {
		t.Errorf("without an administrator: %v", err)
	}
	if err := w.Remove(t.Context(), "main"); !errors.Is(err, authority.ErrInUse) {
		t.Errorf("with rights on it: %v", err)
	}
	if _, _, err := w.PrintRevoke(t.Context(), "main", "id"); err != nil {
		t.Error(err)
	}
	if err := w.Remove(t.Context(), "main"); err != nil {
		t.Error(err)
	}
	if all, err := w.Servers(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

// testRenewedAuthority goes through the change of a certificate authority on a server that is up all the time: at each
// moment who has a certificate comes in.
func testRenewedAuthority(t *testing.T, d *database) {
	d.grant(t, "reader", authority.Reader)
	apply := func() {
		t.Helper()
		if err := d.Apply(t.Context(), server, ""); err != nil {
			t.Fatal(err)
		}
	}
	issuer := func(l *login) string {
		b, _ := pem.Decode([]byte(l.Certificate))
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c.Issuer.CommonName
	}
	before := d.login(t, "reader")
	d.clock.Advance(time.Second)
	if err := d.RenewCA(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if err := d.RenewCA(t.Context(), server); !errors.Is(err, authority.ErrExists) {
		t.Errorf("again: %v", err)
	}
	between := d.login(t, "reader")
	between.must(t, d, "orders")
	apply()
	after := d.login(t, "reader")
	if issuer(before) != issuer(between) || issuer(after) == issuer(before) {
		t.Errorf("issuers %s, %s, %s", issuer(before), issuer(between), issuer(after))
	}
	for _, l := range []*login{before, between, after} { // before knows the old authority alone
		l.must(t, d, "orders")
	}
	// The certificates of before have ended; their authority goes.
	if err := d.Age(t.Context(), server, authority.DefaultTTL+authority.Skew); err != nil {
		t.Fatal(err)
	}
	apply()
	now := d.login(t, "reader")
	if strings.Count(after.CA, "BEGIN") != 2 || strings.Count(now.CA, "BEGIN") != 1 {
		t.Errorf("authorities: %s\n%s", after.CA, now.CA)
	}
	between.must(t, d, "orders") // as the real time goes: it knows both
	now.must(t, d, "orders")
	apply()
	refused(t, d, between, "unknown certificate authority")
	now.must(t, d, "orders")

}

// testSweptAuthority leaves it all to Sweep.
func testSweptAuthority(t *testing.T, d *database) {
	d.grant(t, "reader", authority.Reader)
	d.sweep(t, 0)
	before := d.login(t, "reader")
	d.clock.Advance(time.Second)
	if err := d.RenewCA(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	d.sweep(t, 1) // it is installed
	d.sweep(t, 0)
	before.must(t, d, "orders")
	if err := d.Age(t.Context(), server, authority.DefaultTTL+authority.Skew); err != nil {
		t.Fatal(err)
	}
	d.sweep(t, 1) // and signs the server's certificate
	d.sweep(t, 0)
	now := d.login(t, "reader")
	now.must(t, d, "orders")
	if strings.Count(now.CA, "BEGIN") != 1 {
		t.Errorf("authorities %s", now.CA)
	}
	d.clock.Advance(250 * 24 * time.Hour)
	d.sweep(t, 1) // the server's certificate
	d.sweep(t, 0)
	d.clock.Advance(4 * 365 * 24 * time.Hour)
	d.sweep(t, 2) // an authority, and the server's settings
	d.clock.Advance(authority.DefaultTTL + authority.Skew)
	d.sweep(t, 1) // which is used now
	d.sweep(t, 0)
	s, err := d.Server(t.Context(), server)
	if err != nil || s.CertificateEnds.Sub(d.clock.Now()) < 300*24*time.Hour {
		t.Errorf("%+v %v", s, err)
	}
}

// testIdentityEnds has an identity that is deleted.
func testIdentityEnds(t *testing.T, d *database) {
	d.grant(t, "app", authority.Reader)
	d.grant(t, "other", authority.Reader)
	d.lease(t, "", time.Hour)
	if err := d.RevokeIdentity(t.Context(), "id-of-app"); err != nil {
		t.Fatal(err)
	}
	if got := d.roles(t); len(got) != 1 || got[0] != "other" {
		t.Errorf("roles %q", got)
	}
}

// testInstall is what a command does that runs as the server's user, while the app does not.
func testInstall(t *testing.T, d *database) {
	request, err := authority.Request(d.cluster.Folder)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := d.Trust(t.Context(), server, d.cluster.Folder, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Install(t.Context(), &d.server, trust); err != nil {
		t.Fatal(err)
	}
	if kept := d.cluster.Query(t, "postgres", "SELECT pg_read_file('pg_hba.conf.before-perdure')"); len(kept) != 1 || !strings.Contains(kept[0], "reject") {
		t.Errorf("what was there before: %q", kept)
	}
	// A server that does not take its files is noticed.
	for i, f := range trust.Files {
		if f.Name == authority.FileCertificate { // of another key
			trust.Files[i].Content = trust.Files[0].Content
		}
	}
	if err := authority.Install(t.Context(), &d.server, trust); !errors.Is(err, authority.ErrDatabase) {
		t.Errorf("%v", err)
	}
	// Nor does one stay whose pg_hba.conf cannot be read.
	good, err := d.Trust(t.Context(), server, d.cluster.Folder, request)
	if err != nil {
		t.Fatal(err)
	}
	good.HBA = append(good.HBA, "nonsense")
	if err := authority.Install(t.Context(), &d.server, good); err == nil || !strings.Contains(err.Error(), "pg_hba.conf") {
		t.Errorf("%v", err)
	}
	if got := d.cluster.Query(t, "postgres", "SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL"); len(got) > 0 {
		t.Errorf("%q stays", got)
	}
}

func testPrinted(t *testing.T, d *database) {
	sql, err := d.PrintGrant(t.Context(), server, "id-of-app", "app", authority.Grant{Database: "orders", Access: authority.Writer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.login(t, "app").connect(t, d, "orders"); !hasCode(err, "28000") {
		t.Errorf("before it was run: %v", err)
	}
	runScript(t, d, sql)
	conn := d.login(t, "app").must(t, d, "orders")
	try(t, conn, "INSERT INTO items (name) VALUES ('x')", true)
	sql, done, err := d.PrintRevoke(t.Context(), server, "id-of-app")
	if err != nil || done.Certificates != 2 {
		t.Fatalf("%+v %v", done, err)
	}
	runScript(t, d, sql)
	if got := d.roles(t); len(got) != 0 {
		t.Errorf("roles %q", got)
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("its session goes on")
	}
	trust, err := d.Trust(t.Context(), server, "/etc/postgresql/perdure", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := trust.String()
	for _, want := range []string{
		"ALTER SYSTEM SET ssl_ca_file = '/etc/postgresql/perdure/perdure-ca.crt'", "hostssl \"orders\",\"stock\" +perdure_identities all cert",
		"local   all         \"postgres\" peer", "openssl req -new", "BEGIN X509 CRL", "pg_reload_conf",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("a private key is printed:\n%s", text)
	}
}

// runScript runs a script as psql does.
func runScript(t *testing.T, d *database, text string) {
	t.Helper()
	for part := range strings.SplitSeq(text, "\\connect ") {
		name, sql, found := strings.Cut(part, "\n")
		if !found {
			continue
		}
		d.cluster.Exec(t, strings.Trim(name, `"`), sql)
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Add(t.Context(), authority.Server{Name: server, Host: "localhost", Port: 5433, Databases: databases}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.PrintGrant(t.Context(), server, "id-of-app", "App", authority.Grant{Database: "orders", Access: authority.Reader}); err != nil {
		t.Fatal(err)
	}
	h, key := w.Certificates(), newKey(t)
	path := authority.PathCertificate + "?server=" + server
	rec := call(h, "POST", path, string(requestFor(t, key)), "X-Identity-Header", "app")
	var issued authority.Issued
	if err := json.Unmarshal(rec.Body.Bytes(), &issued); err != nil || rec.Code != http.StatusOK || issued.Role != "app" || issued.Host != "localhost" || issued.Port != 5433 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	b, _ := pem.Decode([]byte(issued.Certificate))
	cert, err := x509.ParseCertificate(b.Bytes)
	if err != nil || cert.Subject.String() != "CN=app" || !key.PublicKey.Equal(cert.PublicKey) || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || cert.IsCA {
		t.Errorf("%+v %v", cert, err)
	}
	if rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v", rec.Header())
	}
	for _, one := range []struct {
		method, path, body, who string
		status                  int
	}{
		{"GET", path, "", "app", http.StatusMethodNotAllowed},
		{"POST", path, string(requestFor(t, key)), "", http.StatusUnauthorized},
		{"POST", path, string(requestFor(t, key)), "stranger", http.StatusForbidden},
		{"POST", authority.PathCertificate + "?server=none", string(requestFor(t, key)), "app", http.StatusForbidden},
		{"POST", authority.PathCertificate + "?server=%00", string(requestFor(t, key)), "app", http.StatusForbidden},
		{"POST", path + "&lease=none", string(requestFor(t, key)), "app", http.StatusForbidden},
		{"POST", path + "&lease=%2f%ff", string(requestFor(t, key)), "app", http.StatusForbidden},
		{"POST", path, "what", "app", http.StatusBadRequest},
		{"POST", path, strings.Repeat("x", authority.MaxRequest+1), "app", http.StatusRequestEntityTooLarge},
	} {
		rec := call(h, one.method, one.path, one.body, "X-Identity-Header", one.who)
		if rec.Code != one.status || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s by %q: %d %s", one.method, one.path, one.who, rec.Code, rec.Body)
		}
	}
}

// TestCertificatesAreBounded has a workload that asks and asks.
func TestCertificatesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Add(t.Context(), authority.Server{Name: server, Host: "localhost", Databases: databases}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.PrintGrant(t.Context(), server, "id-of-app", "App", authority.Grant{Database: "orders", Access: authority.Reader}); err != nil {
		t.Fatal(err)
	}
	request := requestFor(t, newKey(t))
	for range authority.MaxLive {
		if _, err := w.Issue(t.Context(), server, "id-of-app", request); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Issue(t.Context(), server, "id-of-app", request); !errors.Is(err, authority.ErrTooMany) {
		t.Errorf("%v", err)
	}
	w.clock.Advance(authority.DefaultTTL + authority.Skew)
	if _, err := w.Issue(t.Context(), server, "id-of-app", request); err != nil {
		t.Errorf("after their end: %v", err)
	}
}

func testAdministration(t *testing.T, d *database) {
	h := d.Administration()
	for _, one := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/servers", "", 200, `"certificate_ttl":"10m0s"`},
		{"POST", "/servers", `{"name":"second","host":"db","databases":["x"],"certificate_ttl":"5m"}`, 200, `"port":5432`},
		{"POST", "/servers", `{"name":"second","host":"db","databases":["x"]}`, 409, "second"},
		{"POST", "/servers", `{"name":"third","host":"db","databases":["x"],"password":"x"}`, 400, "password"},
		{"POST", "/servers", `{} {}`, 400, "one JSON value"},
		{"PUT", "/servers/second", `{"host":"db2","databases":["x"]}`, 200, `"host":"db2"`},
		{"PUT", "/servers/second", `{"name":"other","host":"db2","databases":["x"]}`, 400, "keeps its name"},
		{"PUT", "/servers/none", `{"host":"db2","databases":["x"]}`, 404, "none"},
		{"DELETE", "/servers/second", "", 204, ""},
		{"GET", "/servers/second", "", 404, "second"},
		{"GET", "/servers/main/trust", "", 200, authority.FileCRL},
		{"GET", "/servers/main/trust?folder=relative", "", 400, "absolute"},
		{"POST", "/servers/main/trust", `{"apply":true}`, 204, ""},
		{"POST", "/servers/main/authority", "", 204, ""},
		{"POST", "/servers/main/grants", `{"identity":"nobody","database":"orders","access":"reader"}`, 404, "nobody"},
		{"POST", "/servers/main/grants", `{"identity":"app","database":"none","access":"reader"}`, 400, "orders, stock"},
		{"POST", "/servers/main/grants", `{"identity":"app","database":"orders","access":"reader","schemas":["none"]}`, 502, `schema \"none\" does not exist`},
		{"GET", "/servers/main/grants", "", 200, `[]`},
		{"POST", "/servers/main/grants", `{"identity":"app","database":"orders","access":"reader"}`, 200, `"role":"app"`},
		{"POST", "/servers/main/grants", `{"identity":"other","database":"orders","access":"ddl","print":true}`, 200, `CREATE ROLE \"other\" LOGIN`},
		{"GET", "/servers/main/grants", "", 200, `"state":"active"`},
		{"POST", "/servers/main/revocations", `{"identity":"app"}`, 200, `"installed":true`},
		{"POST", "/servers/main/revocations", `{"identity":"stranger"}`, 404, "stranger"},
		{"POST", "/servers/main/leases", `{"database":"orders","access":"reader","until":"` + d.clock.Now().Add(time.Hour).Format(time.RFC3339) + `","identity":"app"}`, 200, `"role":"perdure_lease_`},
		{"GET", "/servers/main/leases", "", 200, `"identity":"id-of-app"`},
		{"DELETE", "/servers/main/grants/app", "", 200, `"installed":true`},
		{"DELETE", "/servers/main/grants/other?print=true", "", 200, `DROP ROLE \"other\"`},
		{"DELETE", "/servers/main/grants/app", "", 404, "app"},
		{"DELETE", "/servers/main", "", 409, "leases"},
	} {
		rec := call(h, one.method, one.path, one.body)
		if rec.Code != one.status || !strings.Contains(rec.Body.String(), one.want) {
			t.Errorf("%s %s %s: %d %s", one.method, one.path, one.body, rec.Code, rec.Body)
		}
	}
	all, err := d.Leases(t.Context(), server)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	if rec := call(h, "DELETE", "/servers/main/leases/"+all[0].ID, ""); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := call(h, "DELETE", "/servers/main", ""); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestNoKeyIsReadable looks for the key of an authority in what the store and the interfaces give.
func TestNoKeyIsReadable(t *testing.T) {
	t.Parallel()
	d := &database{world: newWorld(t)}
	if _, err := d.Add(t.Context(), authority.Server{Name: server, Host: "localhost", Databases: databases}); err != nil {
		t.Fatal(err)
	}
	_, key, err := d.AuthorityKey(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := d.AuthorityRows(t.Context(), server)
	if err != nil || len(rows) == 0 {
		t.Fatal(err)
	}
	if bytes.Contains(rows, secret[:16]) {
		t.Error("the store has the key")
	}
	h := d.Administration()
	for _, path := range []string{"/servers", "/servers/main", "/servers/main/trust?folder=/x", "/servers/main/grants", "/servers/main/leases"} {
		if rec := call(h, "GET", path, ""); rec.Code != 200 || strings.Contains(rec.Body.String(), "PRIVATE") || strings.Contains(rec.Body.String(), `"key"`) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	// Another server's authority does not open it either: what is sealed is bound to its place.
	if err := d.MoveAuthority(context.Background(), server); err == nil {
		t.Error("a sealed key opens in another place")
	}
}
