package authority_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/perdure/perdure/pgidentity/authority"
)

func keyPEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// part is a test on a database that others use before and after it.
type part struct {
	name string
	test func(t *testing.T, d *database)
}

// on runs tests one after another: a cluster takes seconds to make.
func on(t *testing.T, parts ...part) {
	t.Helper()
	t.Parallel()
	d := newDatabase(t)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			p.test(t, d)
			d.clean(t)
		})
	}
}

func TestOnPostgreSQL(t *testing.T) {
	on(t, part{"rights", testRights}, part{"no way in", testNoWayIn}, part{"revocation", testRevocation}, part{"changed rights", testChangedRights}, part{"what is left behind", testLeftBehind},
		part{"foreign role", testForeignRole}, part{"ed25519", testEd25519}, part{"printed", testPrinted})
}

func TestAuthoritiesOnPostgreSQL(t *testing.T) {
	on(t, part{"renewed", testRenewedAuthority}, part{"install", testInstall}, part{"swept", testSweptAuthority})
}

// Those that move the time far come last: PostgreSQL's own stays.
func TestChangesOnPostgreSQL(t *testing.T) {
	on(t, part{"leases", testLeases}, part{"tables of migrations", testTablesOfMigrations}, part{"identity ends", testIdentityEnds}, part{"unreachable", testUnreachable}, part{"crashes", testCrashes}, part{"administration", testAdministration})
}

func testRights(t *testing.T, d *database) {
	// The rights of one must come in whatever order they are given.
	d.grant(t, "Reader One", authority.Reader)
	d.grant(t, "migrations", authority.DDL)
	d.grant(t, "writer", authority.Writer)
	if again := d.grant(t, "Reader One", authority.Reader); again.Role != "reader_one" || len(again.Grants) != 1 {
		t.Errorf("%+v", again)
	}
	ddl := d.login(t, "migrations").must(t, d, "orders")
	try(t, ddl, "CREATE TABLE later (id int, name text)", true)
	try(t, ddl, "ALTER TABLE later ADD PRIMARY KEY (id)", true)
	try(t, ddl, "CREATE SEQUENCE numbers", true)
	try(t, ddl, "CREATE SCHEMA mine", false)
	try(t, ddl, "CREATE ROLE mine", false)
	try(t, ddl, "DROP TABLE items", false) // which is not its own
	try(t, ddl, "INSERT INTO items (name) VALUES ('by ddl')", true)

	reader := d.login(t, "Reader One").must(t, d, "orders")
	try(t, reader, "SELECT name FROM items", true)
	try(t, reader, "SELECT name FROM later", true)
	for _, sql := range []string{
		"INSERT INTO items (name) VALUES ('x')", "UPDATE items SET name = 'x'", "DELETE FROM items", "TRUNCATE items", "CREATE TABLE mine (id int)",
		"CREATE TEMPORARY TABLE mine (id int)", "INSERT INTO later VALUES (1, 'x')", "SELECT nextval('numbers')", "SET ROLE perdure_ddl", "DROP TABLE later",
		"SELECT rolpassword FROM pg_authid", "COPY items TO PROGRAM 'cat'", "CREATE SCHEMA mine", "ALTER SYSTEM SET ssl = off",
	} {
		if sql == "SET ROLE perdure_ddl" {
			sql = "SET ROLE " + authority.OwnerRole("orders", "public")
		}
		try(t, reader, sql, false)
	}

	writer := d.login(t, "writer").must(t, d, "orders")
	for sql, want := range map[string]bool{
		"INSERT INTO items (name) VALUES ('x')": true, "UPDATE items SET name = 'y' WHERE name = 'x'": true, "DELETE FROM items WHERE name = 'y'": true,
		"INSERT INTO later VALUES (1, 'x')": true, "SELECT nextval('numbers')": true, "CREATE TEMPORARY TABLE mine (id int)": true,
		"CREATE TABLE public.mine (id int)": false, "TRUNCATE items": false, "ALTER TABLE items ADD x int": false, "DROP TABLE later": false,
	} {
		try(t, writer, sql, want)
	}

	// A table that the administrator makes later is known as well.
	d.cluster.Exec(t, "orders", "CREATE TABLE latest (id int)")
	try(t, reader, "SELECT * FROM latest", true)
	try(t, reader, "INSERT INTO latest VALUES (1)", false)
	try(t, writer, "INSERT INTO latest VALUES (1)", true)

	for _, name := range []string{"stock", "postgres", "template1"} {
		if _, err := d.login(t, "Reader One").connect(t, d, name); !hasCode(err, "42501", "28000") {
			t.Errorf("database %s: %v", name, err)
		}
	}
}

func testNoWayIn(t *testing.T, d *database) {
	d.cluster.Exec(t, "postgres", "CREATE ROLE old LOGIN; CREATE ROLE secretive LOGIN PASSWORD 'x'; ALTER ROLE secretive PASSWORD NULL")
	d.grant(t, "reader", authority.Reader)

	t.Run("no grant", func(t *testing.T) {
		if _, err := d.Issue(t.Context(), server, "id-of-stranger", requestFor(t, newKey(t))); !errors.Is(err, authority.ErrForbidden) {
			t.Errorf("a certificate without rights: %v", err)
		}
		if _, err := d.Issue(t.Context(), "other", "id-of-reader", requestFor(t, newKey(t))); !errors.Is(err, authority.ErrForbidden) {
			t.Errorf("a certificate for another server: %v", err)
		}
		for _, role := range []string{"stranger", "old", d.cluster.User} { // none, one that may not, the administrator
			if _, err := d.login(t, "reader").connectAs(t, d, role, "orders"); !hasCode(err, "28000") {
				t.Errorf("reader as %s: %v", role, err)
			}
		}
	})
	t.Run("no certificate", func(t *testing.T) {
		l := d.login(t, "reader")
		config := l.tls(t)
		config.GetClientCertificate = nil
		for _, sslmode := range []string{"disable", "require"} {
			if _, err := connectWith(t, d, l.Role, sslmode, config); !hasCode(err, "28000") {
				t.Errorf("sslmode %s without a certificate: %v", sslmode, err)
			}
		}
	})
	t.Run("expired", func(t *testing.T) {
		env := d.env
		env.Now = func() time.Time { return d.clock.Now().Add(-time.Hour) }
		past, err := authority.New(env, authority.Options{})
		if err != nil {
			t.Fatal(err)
		}
		key := newKey(t)
		issued, err := past.Issue(t.Context(), server, "id-of-reader", requestFor(t, key))
		if err != nil {
			t.Fatal(err)
		}
		if !issued.NotAfter.Before(time.Now()) {
			t.Fatalf("it ends %v", issued.NotAfter)
		}
		l := &login{issued, key}
		refused(t, d, l, "expired")
	})
	t.Run("other authority", func(t *testing.T) {
		// Another server's, and one that has the very same name.
		other := d.server
		other.Name = "other"
		if _, err := d.Add(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		m, err := d.Grant(t.Context(), "other", "id-of-other", "Reader", authority.Grant{Database: "stock", Access: authority.Reader})
		if err != nil || m.Role == "reader" {
			t.Fatalf("the role of another is taken: %+v %v", m, err)
		}
		sql, err := d.PrintGrant(t.Context(), "other", "id-of-reader", "reader", authority.Grant{Database: "orders", Access: authority.Reader})
		if err != nil || !strings.Contains(sql, "CREATE ROLE \"reader\"") {
			t.Fatalf("%v %s", err, sql)
		}
		key := newKey(t)
		issued, err := d.Issue(t.Context(), "other", "id-of-reader", requestFor(t, key))
		if err != nil || issued.Role != "reader" {
			t.Fatalf("%+v %v", issued, err)
		}
		issued.CA = d.login(t, "reader").CA
		refused(t, d, &login{issued, key}, "unknown certificate authority", "unknown ca")
		refused(t, d, forged(t, d, "reader"), "unknown certificate authority", "unknown ca", "bad certificate", "error decrypting")
	})
	t.Run("nothing has a password", func(t *testing.T) {
		if got := d.cluster.Query(t, "postgres", "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL"); len(got) > 0 {
			t.Errorf("roles with passwords: %q", got)
		}
		rules := d.cluster.Query(t, "postgres", "SELECT type || ' ' || auth_method FROM pg_hba_file_rules ORDER BY line_number")
		network := 0
		for _, rule := range rules {
			if rule != "local peer" && rule != "hostssl cert" {
				t.Errorf("pg_hba.conf lets in by %q", rule)
			}
			if rule == "hostssl cert" {
				network++
			}
		}
		if network != 1 {
			t.Errorf("%q", rules)
		}
		for _, file := range []struct {
			name string
			mode os.FileMode
		}{{authority.FileKey, 0o600}, {authority.FileCA, 0o644}, {authority.FileCRL, 0o644}, {authority.FileCertificate, 0o644}} {
			info, err := os.Stat(filepath.Join(d.cluster.Folder, file.name))
			if err != nil || info.Mode().Perm() != file.mode {
				t.Errorf("%s: %v %v", file.name, info.Mode(), err)
			}
		}
	})
}

func testRevocation(t *testing.T, d *database) {
	d.grant(t, "reader", authority.Reader)
	lost, other := d.login(t, "reader"), d.login(t, "reader")
	open := lost.must(t, d, "orders")
	done, err := d.RevokeCertificates(t.Context(), server, "id-of-reader")
	if err != nil || done.Certificates != 2 || !done.Installed {
		t.Fatalf("%+v %v", done, err)
	}
	if _, err := open.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("its session goes on")
	}
	refused(t, d, lost, "revoked")
	refused(t, d, other, "revoked")
	d.login(t, "reader").must(t, d, "orders") // whose rights stay

	// All of it goes.
	session := d.login(t, "reader")
	conn := session.must(t, d, "orders")
	if done, err = d.Revoke(t.Context(), server, "id-of-reader", ""); err != nil || !done.Installed {
		t.Fatalf("%+v %v", done, err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("its session goes on")
	}
	if got := d.cluster.Query(t, "postgres", "SELECT rolname FROM pg_roles WHERE rolname = 'reader'"); len(got) > 0 {
		t.Errorf("the role is there: %q", got)
	}
	if _, err := d.Issue(t.Context(), server, "id-of-reader", requestFor(t, newKey(t))); !errors.Is(err, authority.ErrForbidden) {
		t.Errorf("a certificate after that: %v", err)
	}
	// Who gets the rights again does not get them for the old certificates.
	d.grant(t, "reader", authority.Reader)
	refused(t, d, session, "revoked")
	d.login(t, "reader").must(t, d, "orders")
}

func testChangedRights(t *testing.T, d *database) {
	d.grant(t, "app", authority.DDL)
	before := d.login(t, "app").must(t, d, "orders")
	try(t, before, "CREATE TABLE made (id int)", true)
	try(t, before, "RESET ROLE", true)
	try(t, before, "CREATE TABLE own (id int)", true)
	if _, err := d.Grant(t.Context(), server, "id-of-app", "app", authority.Grant{Database: "stock", Access: authority.Writer}); err != nil {
		t.Fatal(err)
	}
	d.grant(t, "app", authority.Reader)
	if _, err := before.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session with the rights of before goes on")
	}
	orders, stock := d.login(t, "app").must(t, d, "orders"), d.login(t, "app").must(t, d, "stock")
	try(t, orders, "SELECT * FROM made", true)
	try(t, orders, "SELECT * FROM own", true)
	try(t, orders, "INSERT INTO made VALUES (1)", false)
	try(t, orders, "DROP TABLE own", false)
	try(t, orders, "SET ROLE "+authority.OwnerRole("orders", "public"), false)
	try(t, stock, "INSERT INTO items (name) VALUES ('x')", true)

	// One database of two.
	if _, err := d.Revoke(t.Context(), server, "id-of-app", "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := orders.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session in the other database goes on")
	}
	if _, err := d.login(t, "app").connect(t, d, "orders"); !denied(err) {
		t.Errorf("orders: %v", err)
	}
	try(t, d.login(t, "app").must(t, d, "stock"), "INSERT INTO items (name) VALUES ('y')", true)
	if _, err := d.Revoke(t.Context(), server, "id-of-app", "orders"); !errors.Is(err, authority.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	if _, err := d.Revoke(t.Context(), server, "id-of-app", "stock"); err != nil {
		t.Fatal(err)
	}
	if got := d.cluster.Query(t, "orders", "SELECT relname::text FROM pg_class WHERE relname IN ('made', 'own') ORDER BY 1"); len(got) != 2 {
		t.Errorf("what it made is gone: %q", got)
	}
}

// Functions that run as their owner must not become the administrator's, whatever is done with the rights of who made them.
func testLeftBehind(t *testing.T, d *database) {
	const body = "() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'"
	runsAs := func(conn *pgx.Conn, function string) string {
		t.Helper()
		var who string
		if err := conn.QueryRow(t.Context(), "SELECT "+function+"()").Scan(&who); err != nil {
			return ""
		}
		if super := d.cluster.Query(t, "postgres", "SELECT rolsuper::text FROM pg_roles WHERE rolname = '"+who+"'"); len(super) != 1 || super[0] != "false" {
			t.Errorf("the function %s runs as %s: superuser %q", function, who, super)
		}
		return who
	}
	// Rights that are given again end no session: its temporary functions are there still.
	d.grant(t, "writer", authority.Writer)
	writer := d.login(t, "writer").must(t, d, "orders")
	try(t, writer, "CREATE FUNCTION pg_temp.who"+body, true)
	if who := runsAs(writer, "pg_temp.who"); who != "writer" {
		t.Errorf("before: %q", who)
	}
	d.grant(t, "writer", authority.Writer)
	runsAs(writer, "pg_temp.who")

	// Who loses ddl has made a function as itself, not as the role that all with ddl share.
	d.grant(t, "app", authority.DDL)
	ddl := d.login(t, "app").must(t, d, "orders")
	try(t, ddl, "SET ROLE NONE", true)
	try(t, ddl, "CREATE FUNCTION public.who"+body, true)
	d.grant(t, "app", authority.Reader)
	if who := runsAs(d.login(t, "app").must(t, d, "orders"), "public.who"); who == "" {
		t.Error("the function cannot be called any more")
	}
	d.cluster.Exec(t, "orders", "DROP FUNCTION public.who()")

	// Nor when a change that broke off is finished.
	d.grant(t, "app", authority.DDL)
	ddl = d.login(t, "app").must(t, d, "orders")
	try(t, ddl, "SET ROLE NONE", true)
	try(t, ddl, "CREATE FUNCTION public.who"+body, true)
	d.SetFault(func(step string) error {
		if step == "grant noted" {
			return errors.New("a crash")
		}
		return nil
	})
	_, err := d.Grant(t.Context(), server, "id-of-app", "app", authority.Grant{Database: "orders", Access: authority.DDL})
	if err == nil {
		t.Error("there was no crash")
	}
	d.SetFault(func(string) error { return nil })
	d.sweep(t, 1)
	runsAs(d.login(t, "app").must(t, d, "orders"), "public.who")
	d.cluster.Exec(t, "orders", "DROP FUNCTION public.who()")
}

func testForeignRole(t *testing.T, d *database) {
	d.cluster.Exec(t, "postgres", "CREATE ROLE billing LOGIN SUPERUSER")
	m := d.grant(t, "Billing", authority.Reader)
	if m.Role != authority.Distinct("billing", "id-of-Billing") {
		t.Errorf("role %q", m.Role)
	}
	d.login(t, "Billing").must(t, d, "orders")
	if got := d.cluster.Query(t, "postgres", "SELECT rolsuper::text FROM pg_roles WHERE rolname = 'billing'"); len(got) != 1 || got[0] != "true" {
		t.Errorf("the other role was changed: %q", got)
	}
	if _, err := d.Revoke(t.Context(), server, "id-of-Billing", ""); err != nil {
		t.Fatal(err)
	}
	if got := d.cluster.Query(t, "postgres", "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'billing%'"); len(got) != 1 || got[0] != "billing" {
		t.Errorf("roles: %q", got)
	}
	// A certificate that names somebody who is not Perdure's is good for nothing.
	refusedRole := forgedBy(t, d, "billing")
	if _, err := refusedRole.connect(t, d, "orders"); !hasCode(err, "28000") {
		t.Errorf("the superuser over the network: %v", err)
	}
}

func testEd25519(t *testing.T, d *database) {
	d.grant(t, "reader", authority.Reader)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := d.Issue(t.Context(), server, "id-of-reader", requestFor(t, key))
	if err != nil {
		t.Fatal(err)
	}
	(&login{issued, key}).must(t, d, "orders")
}
